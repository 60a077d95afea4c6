"""One authorization from its bytes to its answer, with an HSM that fails, sleeps and refuses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from keys.hsm import HsmRejected, HsmUnavailable, Verdict
from switch.flows import authentication, authorization
from switch.ledger.unwind import Journal, JournalError
from switch.wire import message
from switch.wire.message import MessageError
from tests.flows.support import ARPC, CSU_APPROVED, CSU_DECLINED, PIN_BLOCK, House, purchase
from tests.ledger.disk import until

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MATCH, MISMATCH, UNREADABLE = Verdict.MATCH, Verdict.MISMATCH, Verdict.UNREADABLE
STRIPE = {"_22": "901", "_55": None}
NET = {"_22": "812", "_55": None, "_48": "9203413"}


def tag_91(value: str) -> str:
    """DE55 of an answer: issuer authentication data."""
    return f"91{len(value) // 2:02X}{value}"


def track(pan: str) -> str:
    return f"{pan}=991220110385625"


# ---- the answer -------------------------------------------------------------------------------


async def test_approved(house: House) -> None:
    """An approval has a code, the approving response cryptogram, and what its request told."""
    account_id, pan = await house.card()
    request = purchase(pan)
    answer = await house.answer(request)
    assert "00" == answer.pop(39)
    assert answer.pop(38).isdigit()
    assert tag_91(ARPC.hex().upper() + CSU_APPROVED) == answer.pop(55)
    assert {n: request[n] for n in (3, 4, 7, 11, 32, 37, 41, 49)} == answer
    assert 1_000 == await house.books.held(account_id)


async def test_repeat(house: House) -> None:
    """A repeat gets the answer its original got, to the last field, and moves no money."""
    account_id, pan = await house.card()
    request = purchase(pan)
    original = await house.answer(request)
    house.hsm.is_down()
    assert original == await house.answer(request)
    assert 1_000 == await house.books.held(account_id)


async def test_declined(house: House) -> None:
    """A decline for money has no code, and the response cryptogram over its own status update."""
    account_id, pan = await house.card(posted_minor=0)
    answer = await house.answer(purchase(pan))
    assert ("51", None) == (answer[39], answer.get(38))
    assert tag_91(ARPC.hex().upper() + CSU_DECLINED) == answer[55]
    assert [bytes.fromhex(CSU_APPROVED), bytes.fromhex(CSU_DECLINED)] == house.hsm.arpc_data
    assert 0 == await house.books.held(account_id)


async def test_wrong_cryptogram(house: House) -> None:
    """A card whose cryptogram is wrong is not answered in its own language."""
    _, pan = await house.card()
    house.hsm.arqc = [MISMATCH]
    answer = await house.answer(purchase(pan))
    assert ("82", None) == (answer[39], answer.get(55))
    assert 1 == len(house.hsm.arpc_data)


async def test_balance_inquiry(house: House) -> None:
    """An inquiry is answered with what is available, also when that is less than nothing."""
    for posted, told in ((12_345, "C000000012345"), (-700, "D000000000700")):
        _, pan = await house.card(posted_minor=posted)
        answer = await house.answer(purchase(pan, _3="310000", _4="0" * 12))
        assert ("00", f"0002978{told}") == (answer[39], answer[54])
        assert 38 not in answer


async def test_unknown_card(house: House) -> None:
    """A card that is not ours is refused after what we do not support, and recorded each time."""
    pan = "4999999999999999"
    assert "14" == (await house.answer(purchase(pan)))[39]
    assert "12" == (await house.answer(purchase(pan, _3="300000")))[39]
    refused = purchase(pan)
    assert [(await house.answer(refused))[39] for _ in range(2)] == ["14", "14"]
    count = await house.books.connection.fetchval(
        "SELECT count(*) FROM refused WHERE pan_token = $1", house.vault.pan_token(pan)
    )
    assert 3 == count


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"_3": "300000"}, "12"),
        ({"_49": "999"}, "12"),
        ({"_49": "840"}, "12"),
        ({"_14": "2911"}, "54"),
        ({"_14": "2913"}, "30"),
        ({"_35": "4761739000000012=991220110385625"}, "30"),
        ({"_4": None}, "30"),
        ({"_55": "9F26"}, "30"),
    ],
    ids=str,
)
async def test_refused(house: House, fields: Mapping[str, str | None], code: str) -> None:
    """What speaks against a message is told by the code of the dialect."""
    account_id, pan = await house.card()
    assert code == (await house.answer(purchase(pan, **fields)))[39]
    assert 0 == await house.books.held(account_id)


# ---- an outage is never a mismatch ------------------------------------------------------------

DOWN = HsmUnavailable()
SLOW = 5.0


@pytest.mark.parametrize("fault", [DOWN, SLOW], ids=["down", "slow"])
@pytest.mark.parametrize(
    ("what", "fields"),
    [
        ("arqc", {}),
        ("code", STRIPE),
        ("code", NET),
        ("pin", {"_52": PIN_BLOCK}),
        ("pin", {"_52": PIN_BLOCK, "_3": "010000"}),
    ],
    ids=["cryptogram", "CVV", "CVV2", "PIN", "PIN for cash"],
)
async def test_outage(
    house: House, what: str, fields: Mapping[str, str | None], fault: Exception | float
) -> None:
    """Without a verdict the answer is 91 in time: no decline, no try, nothing on record."""
    account_id, pan = await house.card(pin_tries=1)
    stripe = {"_35": track(pan)} if fields is STRIPE else {}
    request = purchase(pan, **fields, **stripe)
    setattr(house.hsm, what, [fault])
    began = time.monotonic()
    answer = await house.answer(request, answer_ms=250)
    assert time.monotonic() - began < 0.25
    assert "91" == answer[39]
    assert (0, 1) == (await house.books.held(account_id), await house.books.pin_tries(account_id))
    assert 0 == await house.books.recorded(account_id)
    assert "00" == (await house.answer(request))[39]  # decided afresh when it comes again


async def test_outage_of_one(house: House) -> None:
    """A mismatch that was told stands, whatever else the HSM could not tell."""
    account_id, pan = await house.card()
    house.hsm.pin, house.hsm.arqc = [DOWN], [MISMATCH]
    assert "82" == (await house.answer(purchase(pan, _52=PIN_BLOCK)))[39]
    assert 1 == await house.books.recorded(account_id)


async def test_outage_and_a_stolen_card(house: House) -> None:
    """A card that is refused by what it is needs no HSM for that, and asks for no PIN."""
    account_id, pan = await house.card(card_status="stolen")
    house.hsm.is_down()
    assert "43" == (await house.answer(purchase(pan, _52=PIN_BLOCK)))[39]
    assert 0 == await house.books.pin_tries(account_id)
    assert 99 == len(house.hsm.pin)


@pytest.mark.parametrize(
    ("verdict", "code", "tries"),
    [(MATCH, "00", 0), (MISMATCH, "55", 2), (UNREADABLE, "55", 1)],
)
async def test_pin(house: House, verdict: Verdict, code: str, tries: int) -> None:
    """A wrong PIN counts a try; a block that is no PIN block costs none, and is an alarm."""
    account_id, pan = await house.card(pin_tries=1)
    house.hsm.pin = [verdict]
    exchange = await house.send(purchase(pan, _52=PIN_BLOCK))
    assert exchange.reply is not None
    assert (code, tries) == (exchange.reply.response_code, await house.books.pin_tries(account_id))
    alarm = "pin_block_unreadable" if verdict is UNREADABLE else None
    assert alarm == exchange.reply.alarm


async def test_wrong_configuration(house: House) -> None:
    """An HSM that refuses the question is our bug, not the cardholder's: 96, nothing on record."""
    account_id, pan = await house.card()
    house.hsm.code = [HsmRejected()]
    assert "96" == (await house.answer(purchase(pan, **STRIPE, _35=track(pan))))[39]
    assert 0 == await house.books.recorded(account_id)


# ---- the second call --------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [DOWN, SLOW], ids=["down", "slow"])
async def test_without_a_declining_cryptogram(house: House, fault: Exception | float) -> None:
    """Where the second call fails the decline goes out in time, without tag 91."""
    _, pan = await house.card(posted_minor=0)
    house.hsm.arqc = [MATCH, fault]
    began = time.monotonic()
    answer = await house.answer(purchase(pan), answer_ms=250)
    assert time.monotonic() - began < 0.25
    assert ("51", None) == (answer[39], answer.get(55))


async def test_rejected_second_call(house: House) -> None:
    """A decline whose second call is configured wrong still holds nothing, and is not approved."""
    account_id, pan = await house.card(posted_minor=0)
    house.hsm.arqc = [MATCH, HsmRejected()]
    assert "00" != (await house.answer(purchase(pan)))[39]
    assert 0 == await house.books.held(account_id)


# ---- what is given is verified ----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["021", "901", "911", "051", "071", "801", "012", "999"])
async def test_given_track_code(house: House, mode: str) -> None:
    """A card code in a track is verified, however the card is said to have been read."""
    _, pan = await house.card()
    house.hsm.code = [MISMATCH]
    answer = await house.answer(purchase(pan, _22=mode, _35=track(pan)))
    assert "82" == answer[39]


# ---- a fault after an approval ----------------------------------------------------------------


async def taken_back(house: House, account_id: int) -> None:
    """Wait until nothing of an account is held, and see that it once was."""
    await until(lambda: any(event == "late_approval_unwound" for event, _ in house.told))
    assert ["unwound"] == await house.books.holds(account_id)
    assert 0 == await house.books.held(account_id)


async def test_bug_in_the_reply(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval that cannot be told is taken back: 96, and nothing stays held."""

    async def bug(*_: Any) -> dict[int, str]:
        raise RuntimeError("a bug")

    account_id, pan = await house.card()
    request = purchase(pan)
    with monkeypatch.context() as broken:
        broken.setattr(authorization, "additions", bug)
        assert "96" == (await house.answer(request))[39]
    await taken_back(house, account_id)
    assert "05" == (await house.answer(request))[39]


async def test_answer_that_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval whose answer the dialect cannot carry is taken back."""
    account_id, pan = await house.card()
    failures = iter([MessageError("length", "icc_data")])

    def fails_once(*what: Any) -> bytes:
        if (failure := next(failures, None)) is not None:
            raise failure
        return message.encode(*what)

    monkeypatch.setattr(authentication, "encode", fails_once)
    assert "96" == (await house.answer(purchase(pan)))[39]
    await taken_back(house, account_id)


async def test_journal_fails_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not even the taking back can be promised, nothing is answered."""

    async def full(*_: Any) -> None:
        raise JournalError("unwind journal: No space left on device")

    def fails(*_: Any) -> bytes:
        raise MessageError("length", "icc_data")

    account_id, pan = await house.card()
    monkeypatch.setattr(Journal, "note", full)
    monkeypatch.setattr(authentication, "encode", fails)
    exchange = await house.send(purchase(pan))
    assert (None, "JournalError") == (exchange.answer, exchange.fault)
    await taken_back(house, account_id)


async def test_database_too_slow(house: House) -> None:
    """A decision that is not back in time is answered 91 in time, and taken back when it comes."""
    account_id, pan = await house.card()
    connection = house.books.connection
    await connection.execute(
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.4); RETURN NEW; END'"
    )
    await connection.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON authorizations FOR EACH ROW"
        " WHEN (NEW.terminal = 'SLOW0001') EXECUTE FUNCTION slow()"
    )
    request = purchase(pan, _41="SLOW0001")
    began = time.monotonic()
    answer = await house.answer(request, answer_ms=200)
    assert time.monotonic() - began < 0.2
    assert "91" == answer[39]
    await taken_back(house, account_id)
    assert "05" == (await house.answer(request))[39]
