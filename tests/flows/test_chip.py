"""Chips in the flows: a cryptogram is good once, and scripts go to chips that were right."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio

from keys.hsm import HsmUnavailable, Verdict
from specs.tlv import decode_ber
from tests.flows.later import private
from tests.flows.support import PIN_BLOCK, House, as_the_demo, icc, open_house, purchase
from tests.ledger.support import PROGRAM, Books, ledger_on

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

APPROVED, DECLINED = "710F9F1804000000018606841E000000FF", "72038601" + "84"
SCRIPTS = {"approved": APPROVED, "declined": DECLINED}
TAG_91 = "9108A1A2A3A4"


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared_database: str, books: Books, tmp_path: Path) -> AsyncIterator[House]:
    """An issuer of the demo's program."""
    await as_the_demo(books)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        yield await open_house(ledger, books, [])


async def configured(house: House, **settings: Any) -> House:
    """The same house whose program has these settings beside the demo's."""
    await house.books.connection.execute(
        "UPDATE programs SET settings = settings || $1::jsonb WHERE program_id = $2",
        orjson.dumps(settings).decode(),
        PROGRAM,
    )
    return await open_house(house.ledger, house.books, [])


async def test_replayed(house: House) -> None:
    """A cryptogram that was seen is refused under another STAN, and is not answered by an ARPC."""
    account_id, pan = await house.card()
    first, again = purchase(pan), purchase(pan)
    again[55] = first[55]
    assert "00" == (await house.answer(first))[39]
    exchange = await house.send(again)
    assert exchange.reply is not None
    assert ("cryptogram_replayed", "82") == (
        exchange.reply.reason, exchange.reply.response_code,
    )  # fmt: skip
    assert 55 not in exchange.reply.message.fields
    assert 1_000 == await house.books.held(account_id)
    # The repeat of the first is answered as the first, tag 91 and all.
    repeat = await house.answer(first, mti="0101")
    assert ("00", True) == (repeat[39], repeat[55].startswith("91"))


async def test_a_part_again(house: House) -> None:
    """A repeat of a partial approval has no tag 91 where none can be made over its DE39: the one
    that was recorded is over 00.
    """
    account_id, pan = await house.card(posted_minor=600)
    asked = purchase(pan, _48=private(partial="1"))
    assert "10" == (await house.answer(asked))[39]
    for outage in (HsmUnavailable(), Verdict.MISMATCH):
        house.hsm.arqc.append(outage)
        repeat = await house.answer(asked, mti="0101")
        assert ("10", None) == (repeat[39], repeat.get(55))
    assert 600 == await house.books.held(account_id)


async def test_too_far(house: House) -> None:
    """The program's window says how far a counter may be from the highest."""
    house = await configured(house, atc={"behind": 2, "ahead": 10})
    _, pan = await house.card()
    told = [
        (await house.send(purchase(pan, _55=icc(atc)))).reply for atc in (20, 18, 17, 31, 30, 41)
    ]
    refused = "atc_out_of_window"
    assert [None, None, refused, refused, None, refused] == [one and one.reason for one in told]


async def test_another_expiry(house: House) -> None:
    """A replay that claims another plastic of the card is a replay: no chip signs its expiry."""
    account_id, pan = await house.card()
    await house.books.plastic(account_id, account_id, "9911")
    first = purchase(pan, _14="9912")
    assert "00" == (await house.answer(first))[39]
    again = purchase(pan, _14="9911", _55=first[55])
    assert "82" == (await house.answer(again))[39]
    # One that claims another PAN sequence number has another key, so that the HSM says no.
    house.hsm.arqc.append(Verdict.MISMATCH)
    assert "82" == (await house.answer(purchase(pan, _23="002", _55=first[55])))[39]


async def test_wrong_pin_and_again(house: House) -> None:
    """A right cryptogram is used up by a wrong PIN: a second try needs a new one."""
    account_id, pan = await house.card()
    house.hsm.pin.append(Verdict.MISMATCH)
    first = purchase(pan, _52=PIN_BLOCK)
    assert "55" == (await house.answer(first))[39]
    house.hsm.pin.append(Verdict.MISMATCH)
    assert "82" == (await house.answer(purchase(pan, _52=PIN_BLOCK, _55=first[55])))[39]
    assert 1 == await house.books.pin_tries(account_id)
    house.hsm.pin.clear()
    assert "00" == (await house.answer(purchase(pan, _52=PIN_BLOCK)))[39]


async def test_outage_and_again(house: House) -> None:
    """A right cryptogram is not used up by an outage: the same may come again."""
    _, pan = await house.card()
    house.hsm.pin.append(HsmUnavailable())
    first = purchase(pan, _52=PIN_BLOCK)
    assert "91" == (await house.answer(first))[39]
    assert "00" == (await house.answer(purchase(pan, _52=PIN_BLOCK, _55=first[55])))[39]


async def test_wrong_cryptogram(house: House) -> None:
    """A cryptogram that is wrong moves no counter, whatever its ATC."""
    _, pan = await house.card()
    house.hsm.arqc.append(Verdict.MISMATCH)
    codes = [(await house.answer(purchase(pan, _55=icc(atc))))[39] for atc in (65_535, 7)]
    assert ["82", "00"] == codes


async def test_scripts(house: House) -> None:
    """An approval and a decline bring the program's scripts after tag 91; a repeat too."""
    house = await configured(house, issuer_scripts=SCRIPTS)
    _, pan = await house.card()
    good = purchase(pan)
    told = (await house.answer(good))[55]
    assert told.startswith(TAG_91)
    assert told.endswith(APPROVED)
    assert ["91", "71"] == list(decode_ber(told))
    assert told == (await house.answer(good, mti="0101"))[55]
    assert (await house.answer(purchase(pan, _4="000099999999")))[55].endswith(DECLINED)


async def test_no_scripts(house: House) -> None:
    """A wrong cryptogram, a replay and a message without one get no script."""
    house = await configured(house, issuer_scripts=SCRIPTS)
    _, pan = await house.card()
    good = purchase(pan)
    await house.answer(good)
    assert 55 not in await house.answer(purchase(pan, _55=good[55]))
    assert 55 not in await house.answer(purchase(pan, _55=None, _22="011"))
    house.hsm.arqc.append(Verdict.MISMATCH)
    assert 55 not in await house.answer(purchase(pan))


async def test_scripts_without_arpc(house: House) -> None:
    """Where the second ARPC is not made in time the scripts go without tag 91."""
    house = await configured(house, issuer_scripts=SCRIPTS)
    _, pan = await house.card()
    house.hsm.arqc += [Verdict.MATCH, HsmUnavailable()]
    assert DECLINED == (await house.answer(purchase(pan, _4="000099999999")))[55]
