"""A decision is explained as it was answered: by the question that refused, and its figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest

from keys.hsm import Verdict
from switch.ledger.history import Place
from switch.ledger.operators import Actor, CardPlace, Controls, Operators
from switch.operate.why import Explanation, NotRecorded, explain
from switch.operate.why.checks import NOT_ASKED, NOT_RECORDED, PASSED, REFUSED
from switch.operate.why.page import page
from switch.operate.why.questions import QUESTIONS
from switch.wire.message import Message
from tests.flows.day import CASH, FUNDING, INQUIRY, REFUND, Day, balances
from tests.flows.later import advice, changed, completion, increment, repeat, reversal
from tests.flows.support import PIN_BLOCK, House, as_the_demo, icc, open_house
from tests.ledger.support import PROGRAM

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = Verdict.MISMATCH
ALICE = Actor("alice", "asked by the holder")
OTHER_EXPIRY = {"_14": "2001"}
ECOMMERCE: Mapping[str, Any] = {"_22": "812", "_55": None, "_48": "9203123"}


@dataclass
class Case:
    """A card, what happens to it before, and the message that is refused."""

    reason: str
    check: str
    inputs: str  #: what the refusing question looked at, as a pattern
    card: Mapping[str, Any] = field(default_factory=dict)
    limit: Mapping[str, Any] | None = None
    before: Sequence[Mapping[str, Any]] = ()  #: messages of 10.00 that are approved first
    message: Mapping[str, str | None] = field(default_factory=dict)
    hsm: Mapping[str, Sequence[Any]] = field(default_factory=dict)


CASES = (
    Case("not_supported", "supported", "processing code 990000", message={"_3": "990000"}),
    Case("currency_not_supported", "supported", "currency 001, which ISO 4217 has not",
         message={"_49": "001"}),
    *(
        Case(status, "status", f"card {status}, account open", card={"card_status": status})
        for status in ("lost", "stolen", "blocked", "inactive", "closed")
    ),
    Case("account_closed", "status", "card active, account closed", card={"status": "closed"}),
    Case("card_expired", "expiry", "no plastic of the card has the expiry", message=OTHER_EXPIRY),
    Case("cryptogram_mismatch", "cryptogram", "cryptogram wrong", hsm={"arqc": [WRONG]}),
    Case("cryptogram_mismatch", "cryptogram", "cryptogram required, and did not come",
         message={"_55": None}),
    Case("card_code_mismatch", "card_codes", "CVV2 wrong", message=ECOMMERCE,
         hsm={"code": [WRONG]}),
    Case("card_code_mismatch", "card_codes", "CVV2 required, and did not come",
         message={**ECOMMERCE, "_48": None}),
    Case("cryptogram_replayed", "counter", "ATC 77, the highest before was 77",
         before=[{"_55": icc(77)}], message={"_55": icc(77)}),
    Case("atc_out_of_window", "counter", "ATC 12, the highest before was 77",
         before=[{"_55": icc(77)}], message={"_55": icc(12)}),
    Case("pin_mismatch", "pin", "PIN wrong, 1 of 3 tries used before", card={"pin_tries": 1},
         message={"_52": PIN_BLOCK}, hsm={"pin": [WRONG]}),
    Case("pin_mismatch", "pin", "PIN unreadable, 0 of 3", message={"_52": PIN_BLOCK},
         hsm={"pin": [Verdict.UNREADABLE]}),
    Case("pin_mismatch", "pin", "PIN required, and did not come", message={"_3": CASH}),
    Case("pin_mismatch", "pin", "PIN came, and may not", message={**ECOMMERCE, "_52": PIN_BLOCK}),
    Case("pin_tries_exceeded", "pin", "PIN wrong, 2 of 3", card={"pin_tries": 2},
         message={"_52": PIN_BLOCK}, hsm={"pin": [WRONG]}),
    Case("pin_tries_exceeded", "pin", "PIN right, 3 of 3", card={"pin_tries": 3},
         message={"_52": PIN_BLOCK}),
    Case("currency_not_supported", "currency", "none of its amounts .* account's currency 978",
         message={"_49": "840"}),
    Case("not_permitted", "controls", "channel chip is blocked",
         card={"channels_blocked": ["chip"]}),
    Case("not_permitted", "controls", "MCC 7995 is blocked", card={"mcc_blocked": ["7995"]},
         message={"_18": "7995"}),
    Case("not_permitted", "controls", "country 276 is not allowed",
         card={"countries_allowed": ["250"]}),
    Case("limit_amount", "limits",
         "all a day: used 10.00 EUR, with this 10.00 EUR: 20.00 EUR of 15.00 EUR",
         limit={"amount_minor": 1_500}, before=[{}]),
    Case("limit_amount", "limits", "all a transaction: .*: 10.00 EUR of 9.99 EUR",
         limit={"amount_minor": 999, "period": "transaction"}),
    Case("limit_count", "limits", "all a day: used 2 times of 2", limit={"count": 2},
         before=[{}, {}]),
    Case("insufficient_funds", "funds", "10.00 EUR of 9.99 EUR available",
         card={"posted_minor": 1_999}, before=[{}]),
)  # fmt: skip


async def why(day: Day, message: Message) -> Explanation:
    """The explanation of a message about a card."""
    return await explain(day.house.books.connection, place_of(await day.row(message)))


def place_of(row: asyncpg.Record) -> Place:
    """Where a row is, as it comes out of an address."""
    place = Place(row["account_id"], row["authorization_id"], row["received_at"])
    assert place == Place.parse(str(place))
    return place


def verdict(told: Explanation, name: str) -> tuple[str, str]:
    """The verdict of a question, and what it looked at."""
    (check,) = (check for check in told.checks if check.name == name)
    return check.verdict, check.inputs


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}: {case.inputs[:40]}")
async def test_the_refusing_question_is_named(one_house: House, case: Case) -> None:
    """A decline is explained by the question of its reason and its figures; what comes after it in
    the policy was not asked, and nothing that is known contradicts it.
    """
    day = await Day.begin(one_house, **case.card)
    if case.limit is not None:
        await one_house.books.limit(day.account_id, **case.limit)
    for changes in case.before:
        await day.approved(**changes)
    for script, deeds in case.hsm.items():
        getattr(one_house.hsm, script)[:] = deeds
    message = changed(day.asks(), **case.message)
    await day.send(message)

    told = await why(day, message)
    assert ("declined", case.reason, ()) == (told.verdict, told.reason, told.notes)
    assert told.refusing is not None
    assert (case.check, case.reason) == (told.refusing.name, told.refusing.reason)
    assert re.search(case.inputs, told.refusing.inputs), told.refusing.inputs
    place = [check.name for check in told.checks].index(case.check)
    assert {check.verdict for check in told.checks[:place]} <= {PASSED, NOT_ASKED}
    assert {check.verdict for check in told.checks[place + 1 :]} <= {NOT_ASKED}
    assert next(page(told)).startswith(f"declined   {case.reason}")


async def test_every_reason_has_a_case() -> None:
    """No question of the policy is without a decline that shows it, here or below."""
    below = {"reversed_before_original", "declined_elsewhere", "strong_authentication_required"}
    asked: set[str] = set().union(*(question.reasons for question in QUESTIONS))
    assert asked - {"no_card_record"} == {case.reason for case in CASES} | below


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
    for text in ("", "1:2", "1:2:x", f"1:2:{10**30}", "1:2:3:4"):
        with pytest.raises(ValueError, match="no place"):
            Place.parse(text)
