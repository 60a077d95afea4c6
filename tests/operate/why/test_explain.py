"""What a decision was made of is told as it was then, with what followed it."""

from __future__ import annotations

from dataclasses import astuple
from datetime import UTC, datetime

import orjson
import pytest

from keys.hsm import Verdict
from switch.ledger.history import Place
from switch.ledger.operators import Actor, CardPlace, Controls, Operators
from switch.operate.why import NotRecorded, explain
from switch.operate.why.checks import NOT_ASKED, NOT_RECORDED, PASSED, REFUSED
from switch.operate.why.page import page
from switch.wire.message import Message
from tests.flows.day import CASH, FUNDING, INQUIRY, REFUND, Day, balances
from tests.flows.later import advice, completion, increment, repeat, reversal
from tests.flows.support import PIN_BLOCK, House, as_the_demo, open_house
from tests.ledger.support import PROGRAM
from tests.operate.why.support import ECOMMERCE, verdict, why

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = Verdict.MISMATCH
ALICE = Actor("alice", "asked by the holder")


async def test_what_was_here_first(one_house: House) -> None:
    """A late original is explained by its reversal, or by the advice that decided it elsewhere."""
    day = await Day.begin(one_house)
    reversed_, declined, approved = day.asks(), day.asks(), day.asks()
    await day.send(reversal(reversed_))
    await day.send(advice(declined, response="05"))
    await day.send(advice(approved))
    for message, reason, words in (
        (reversed_, "reversed_before_original", "its reversal"),
        (declined, "declined_elsewhere", "an advice of its decline"),
        (approved, None, "an advice was here first"),
    ):
        await day.send(message)
        told = await why(day, message)
        assert (reason, ()) == (told.reason, told.notes)
        was, inputs = verdict(told, "earlier")
        assert (REFUSED if reason else PASSED) == was
        assert inputs.startswith(words)
        assert NOT_ASKED == verdict(told, "funds")[0]


async def test_strong_authentication(one_house: House) -> None:
    """A soft decline is explained by what was demanded and did not come."""
    keys = one_house.books.connection
    await keys.execute(
        """UPDATE programs SET settings = jsonb_set(settings || $1::jsonb, '{keys,cavv}',
           settings #> '{keys,card_code}') WHERE program_id = $2""",
        '{"strong_authentication": {"ecommerce_from_minor": 500}}', PROGRAM,
    )  # fmt: skip
    try:
        day = await Day.begin(await open_house(one_house.ledger, one_house.books, []))
        message = day.asks(**ECOMMERCE)
        assert "1A" == (await day.send(message)).code
        told = await why(day, message)
        assert (REFUSED, "demanded, and no CAVV shows it") == verdict(told, "authentication")
    finally:
        await as_the_demo(one_house.books)


async def test_an_approval(one_house: House) -> None:
    """An approval has passed every question that there was something to ask of."""
    day = await Day.begin(one_house)
    await one_house.books.limit(day.account_id, "all", "week", amount_minor=5_000, count=9)
    message = day.asks(_52=PIN_BLOCK)
    code = (await day.send(message)).authorization_code
    told = await why(day, message)
    assert ("approved", None, code, ()) == (
        told.verdict, told.reason, told.answer["authorization_code"], told.notes,
    )  # fmt: skip
    assert None is told.refusing
    assert {PASSED} == {c.verdict for c in told.checks if c.name not in ("card_codes",)}
    assert "PIN right, 0 of 3 tries used before" == verdict(told, "pin")[1]
    (limit,) = told.as_json()["limits"]
    assert (5_000, 0, 1_000, 9, 0) == tuple(
        limit[name]
        for name in ("limit_minor", "used_minor", "this_minor", "limit_count", "used_count")
    )


async def test_nothing_of_a_secret(one_house: House) -> None:
    """Neither the page nor the JSON has a PAN, a token, a PIN's reference or what was verified."""
    day = await Day.begin(one_house)
    message = day.asks(_52=PIN_BLOCK)
    await day.send(message)
    told = await why(day, message)
    texts = "\n".join(page(told)) + orjson.dumps(told.as_json()).decode()
    token = one_house.vault.pan_token(day.pan)
    for secret in (day.pan, day.pan[8:-4] + day.pan[-4:], PIN_BLOCK, token.hex(), "10385",
                   message.fields[55][4:20]):  # fmt: skip
        assert secret.lower() not in texts.lower()
    assert "pan_ciphertext" not in texts


async def test_what_was_is_told_not_what_is(one_house: House) -> None:
    """Operators changed card, account and limits since: the decision is explained by what was."""
    day = await Day.begin(one_house, mcc_blocked=["7995"], credit_limit_minor=50_000)
    await one_house.books.limit(day.account_id, "all", "day", amount_minor=2_000)
    refused, approved = day.asks(_18="7995"), day.asks(_18="5411")
    await day.send(refused)
    await day.send(approved)
    card = CardPlace(day.account_id, day.account_id)
    desk = Operators(one_house.books.connection)
    await desk.set_controls(ALICE, card, Controls(allow_mccs=["7995"], block_mccs=["5411"]))
    await desk.set_limit(ALICE, card, "all", "day", 1, None)
    await desk.block_card(ALICE, card, "stolen")
    await desk.unblock_card(ALICE, card)
    await desk.block_card(ALICE, card, "lost")
    await desk.set_credit_limit(ALICE, day.account_id, 0)
    await desk.post(ALICE, day.account_id, -70_000)
    await desk.close_account(ALICE, day.account_id)

    told = await why(day, refused)
    assert ("not_permitted", ()) == (told.reason, told.notes)
    assert verdict(told, "controls")[1].endswith("MCC 7995 is blocked")
    told = await why(day, approved)
    assert ("approved", ()) == (told.verdict, told.notes)
    assert told.card is not None
    assert "active" == told.card["status"]
    assert told.account is not None
    assert "open" == told.account["status"]
    assert (100_000, 0, 50_000, 150_000, 149_000) == astuple(told.funds)  # type: ignore[arg-type]
    assert "of 20.00 EUR" in verdict(told, "limits")[1]


async def test_a_change_past_the_records_is_told(one_house: House) -> None:
    """Who changed a card by hand is not recorded: the record is believed, and the doubt told."""
    day = await Day.begin(one_house, card_status="stolen")
    message = day.asks()
    await day.send(message)
    await day.change(status="active")
    told = await why(day, message)
    assert ("stolen", "status") == (told.reason, told.refusing and told.refusing.name)
    (note,) = told.notes
    assert note.startswith("status: what is known now says nothing against it")


async def test_a_row_of_the_version_before(one_house: House) -> None:
    """What kept no findings is explained as far as it can be: the rest is not recorded."""
    day = await Day.begin(one_house)
    message = day.asks(_52=PIN_BLOCK)
    one_house.hsm.pin[:] = [WRONG]
    await day.send(message)
    await one_house.books.connection.execute(
        "UPDATE authorizations SET findings = NULL WHERE account_id = $1", day.account_id
    )
    told = await why(day, message)
    assert ("pin_mismatch", "pin") == (told.reason, told.refusing and told.refusing.name)
    assert {NOT_RECORDED} == {
        verdict(told, name)[0] for name in ("expiry", "cryptogram", "card_codes", "counter")
    }
    assert PASSED == verdict(told, "status")[0]


async def test_what_followed(one_house: House) -> None:
    """Repeats, completion, reversal and expiry are told in order of time, with the money."""
    day = await Day.begin(one_house)
    asked = await day.approved(8_000)
    await day.send(repeat(asked))
    await day.send(increment(asked, 500))
    await day.send(completion(asked, 6_235))
    told = await why(day, asked)
    assert ["repeat", "authorization", "completion", "posted", "advised"] == sorted(
        (event.what for event in told.followed), key=_ORDER.index
    )
    assert sorted(event.at for event in told.followed) == [event.at for event in told.followed]
    assert -6_235 in [event.amount_minor for event in told.followed if event.what == "posted"]
    assert {"completed"} == {hold.state for hold in told.holds}

    gone = await day.approved(1_000)
    await day.expire()
    assert "expired" in [event.what for event in (await why(day, gone)).followed]
    taken = await day.approved(1_000)
    await day.send(reversal(taken))
    assert ["reversal advice", "reversed"] == [e.what for e in (await why(day, taken)).followed]
    lost = day.asks(700)
    await day.unwind(await day.send(lost))
    assert ["answer lost", "unwound"] == [e.what for e in (await why(day, lost)).followed]


_ORDER = ["repeat", "authorization", "completion", "posted", "advised"]


async def test_what_is_booked_is_no_decision(one_house: House) -> None:
    """An advice was asked nothing: it is told what we would have said, and what came before it."""
    day = await Day.begin(one_house, posted_minor=0)
    message = advice(day.asks(1_500))
    await day.send(message)
    told = await why(day, message)
    assert ("booked", (), "00", "insufficient_funds") == (
        told.verdict, told.checks, told.answer["response_code_brought"],
        told.answer["would_have_declined"],
    )  # fmt: skip
    assert any("we would have said insufficient_funds" in line for line in page(told))


async def test_the_money_is_what_it_was(one_house: House) -> None:
    """Posted, held and available before and after each decision are what the account had then,
    whatever moved since.
    """
    day = await Day.begin(one_house, credit_limit_minor=5_000)
    known: list[tuple[Message, tuple[int, int], tuple[int, int]]] = []

    async def decided(message: Message) -> Message:
        before = await balances(one_house, day.account_id)
        await day.send(message)
        known.append((message, before, await balances(one_house, day.account_id)))
        return message

    first = await decided(day.asks(2_000))
    second = await decided(day.asks(3_000, mti="0200"))
    await decided(day.asks(700, mti="0200", _3=REFUND))
    await decided(day.asks(900, mti="0200", _3=FUNDING))
    await decided(day.asks(0))
    await decided(day.asks(0, _3=INQUIRY))
    await decided(increment(first, 300))
    await day.send(completion(first, 1_700))
    await decided(day.asks(500_000))
    await day.send(reversal(second, 1_000))
    await decided(day.asks(500, mti="0200", _3=CASH))
    await Operators(one_house.books.connection).post(ALICE, day.account_id, 12_345)
    await decided(day.asks(100))
    await day.expire()
    await decided(day.asks(100_000))
    for message, (posted, held), (posted_after, held_after) in known:
        funds = (await why(day, message)).funds
        assert funds is not None
        assert (posted, held, 5_000) == (
            funds.posted_minor, funds.held_minor, funds.credit_limit_minor,
        )  # fmt: skip
        assert posted + 5_000 - held == funds.available_before_minor
        assert posted_after + 5_000 - held_after == funds.available_after_minor


async def test_what_is_not_there(one_house: House) -> None:
    """A place where nothing is, or no such place, is refused."""
    for place in (Place(1, 1, datetime.now(UTC)), Place(0, 1, datetime.now(UTC))):
        with pytest.raises(NotRecorded):
            await explain(one_house.books.connection, place)
    for text in ("", "1:2", "1:2:x", "1:2:3:4", f"1:2:{10**30}", f"1:2:{-(10**18)}",
                 f"{2**63}:1:1", f"1:{2**63}:1", f"{-(2**63) - 1}:1:1"):  # fmt: skip
        with pytest.raises(ValueError, match="no place"):
            Place.parse(text)
