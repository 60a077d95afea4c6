"""0120 before the 0100 of its purchase: that answers as the advice did, and is not held."""

from __future__ import annotations

import pytest

from keys.hsm import Verdict
from tests.flows.day import Day
from tests.flows.later import (
    ADVICE_CLUES,
    SCHEME_ID,
    advice,
    changed,
    repeat,
    told_by,
)
from tests.flows.support import PIN_BLOCK

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

clues = pytest.mark.parametrize("clue", ADVICE_CLUES)


@clues
async def test_late_request(day: Day, clue: str) -> None:
    """The late 0100 answers as the advice did, with its code, and is not held a second time."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    minor = 1_000 if clue == "RRN" else 800
    await day.send(told_by(clue, asked, minor))
    told = await day.send(asked)
    assert ("00", "STIP01") == (told.code, told.authorization_code)
    assert (0, minor) == await day.money()
    again = await day.send(repeat(asked))
    assert (told.fields, True) == (again.fields, again.is_repeat)


@clues
@pytest.mark.parametrize("response", ["05", "N7"])
async def test_late_request_of_a_decline(day: Day, clue: str, response: str) -> None:
    """The late 0100 is declined with the code that the advice brought."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    await day.send(told_by(clue, asked, response=response))
    told = await day.send(asked)
    assert (response, None) == (told.code, told.fields.get(38))
    assert (0, 0) == await day.money()
    assert [response] == await day.codes(repeat(asked))


@pytest.mark.parametrize("response", ["08", "10", "11", "85"])
async def test_late_request_of_another_approval(day: Day, response: str) -> None:
    """The late 0100 is approved with the code that the advice brought."""
    asked = day.asks(1_000)
    await day.send(advice(asked, response=response))
    assert [response, response] == await day.codes(asked, repeat(asked))


@pytest.mark.parametrize("response", ["00", "05"])
async def test_late_request_counts_no_try(day: Day, response: str) -> None:
    """What was decided elsewhere is not decided again: a wrong PIN costs nothing."""
    asked = day.asks(1_000, _52=PIN_BLOCK)
    await day.send(advice(asked, response=response))
    day.house.hsm.pin = [Verdict.MISMATCH]
    assert [response] == await day.codes(asked)
    assert 0 == await day.house.books.pin_tries(day.account_id)


async def test_another_under_the_key_of_a_late_request(day: Day) -> None:
    """The same key with another amount is no repeat, whatever the advice said: 94."""
    asked = day.asks(1_000)
    await day.send(advice(asked))
    assert ["00", "94"] == await day.codes(asked, repeat(asked, _4="000000001001"))


async def test_late_request_uses_no_limits(day: Day) -> None:
    """It would pass its limits, and is approved all the same, and uses nothing."""
    await day.house.books.limit(day.account_id, amount_minor=999)
    asked = day.asks(1_000)
    await day.send(advice(asked))
    assert ["00"] == await day.codes(asked)
    assert [] == await day.usage()


@pytest.mark.parametrize("minor", [800, 1_000, 1_200])
async def test_advice_after_the_late_request(day: Day, minor: int) -> None:
    """A second advice finds the purchase of the first: one hold."""
    asked = day.asks(1_000)
    await day.send(advice(asked))
    await day.send(asked)
    await day.send(advice(asked, minor))
    assert (0, minor) == await day.money()
    assert ["open"] == await day.holds()


@pytest.mark.parametrize("clue", ["RRN", "scheme id"])
async def test_two_advices(day: Day, clue: str) -> None:
    """Two advices of one purchase are one hold, of the second's amount."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    await day.send(told_by(clue, asked, 800))
    await day.send(told_by(clue, asked, 900))
    assert (0, 900) == await day.money()


async def test_unwinding_the_late_request(day: Day) -> None:
    """The late 0100 held nothing, so its unwinding releases nothing."""
    asked = day.asks(1_000)
    await day.send(advice(asked))
    await day.unwind(await day.send(asked))
    assert (0, 1_000) == await day.money()


@pytest.mark.parametrize(("minor", "currency"), [(999, "978"), (1_000, "840")])
async def test_an_rrn_that_is_used_again(day: Day, minor: int, currency: str) -> None:
    """An RRN alone, with another amount or currency, is another purchase: it is decided."""
    sent = advice(day.asks(1_000))
    billed = {"_49": currency, "_6": f"{minor:012d}", "_51": "978"}
    asked = changed(day.asks(minor), _37=sent.fields[37], **billed)
    assert ["00", "00"] == await day.codes(sent, asked)
    assert (0, 1_000 + minor) == await day.money()


async def test_serves_one_request(day: Day) -> None:
    """When the late 0100 has come, the next with its RRN and amount is another purchase."""
    asked = day.asks(1_000)
    await day.send(advice(asked))
    another = day.asks(1_000, _37=asked.fields[37])
    assert ["00", "00"] == await day.codes(asked, another)
    assert (0, 2_000) == await day.money()


async def test_serves_no_financial_request(day: Day) -> None:
    """A stand-in advice speaks of an 0100: an 0200 with its RRN is decided, and posted."""
    asked = day.asks(1_000, mti="0200")
    await day.send(advice(asked))
    await day.send(asked)
    assert (-1_000, 1_000) == await day.money()
