"""0120 of a purchase that we have decided ourselves: it is held once."""

from __future__ import annotations

from typing import Any

import pytest

from switch.wire.message import Message
from tests.flows.day import Day
from tests.flows.later import (
    ADVICE_CLUES,
    SCHEME_ID,
    advice,
    changed,
    completion,
    private,
    repeat,
    reversal,
    told_by,
)

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

clues = pytest.mark.parametrize("clue", ADVICE_CLUES)


async def ours(day: Day, **how: Any) -> Message:
    """An 0100 of 10.00 that we approved, with a scheme id."""
    return await day.approved(1_000, _48=SCHEME_ID, **how)


@clues
@pytest.mark.parametrize("minor", [800, 200_000])
async def test_replaces_our_hold(day: Day, clue: str, minor: int) -> None:
    """The advice's amount is held instead of ours: one purchase, one hold."""
    asked = await ours(day)
    assert "held" == (await day.send(told_by(clue, asked, minor))).effect
    assert (0, minor) == await day.money()
    assert ["open"] == await day.holds()


@clues
async def test_declined_releases_our_hold(day: Day, clue: str) -> None:
    """A purchase that was declined elsewhere holds nothing; a repeat of ours answers as it did."""
    asked = await ours(day)
    assert "released" == (await day.send(told_by(clue, asked, response="05"))).effect
    assert (0, 0) == await day.money()
    assert ["00"] == await day.codes(repeat(asked))
    assert (0, 0) == await day.money()


@clues
async def test_overrules_our_decline(day: Day, clue: str) -> None:
    """What we declined and another approved is held; our repeat still declines."""
    asked = day.asks(100_001, _48=SCHEME_ID)
    assert ["51"] == await day.codes(asked)
    sent = told_by(clue, asked)
    assert "held" == (await day.send(sent)).effect
    assert (0, 100_001) == await day.money()
    assert "insufficient_funds" == (await day.row(sent))["would_have_declined"]
    assert ["51"] == await day.codes(repeat(asked))


async def test_both_declined(day: Day) -> None:
    """A decline of ours that was declined elsewhere holds nothing."""
    asked = day.asks(100_001)
    await day.send(asked)
    assert "recorded" == (await day.send(advice(asked, response="05"))).effect
    assert (0, 0) == await day.money()


async def test_several(day: Day) -> None:
    """The last word counts: 8.00, then declined, then 9.00."""
    asked = await ours(day)
    held = []
    for sent in (advice(asked, 800), advice(asked, response="05"), advice(asked, 900)):
        await day.send(sent)
        held.append((await day.money()).held)
    assert [800, 0, 900] == held
    assert ["open"] == await day.holds()


@pytest.mark.parametrize(
    "other",
    [
        {"_37": "999999999999"},
        {"_32": "476174"},
        {"_37": "0" * 12},
        {"_37": "999999999999", "_48": private(scheme_id="TX0000000000002")},
    ],
    ids=["RRN", "acquirer", "no RRN", "scheme id"],
)
async def test_of_another_purchase(day: Day, other: dict[str, str]) -> None:
    """With nothing in common it is a purchase of its own, with a hold of its own."""
    asked = await ours(day)
    await day.send(advice(asked, 800, **other))
    assert (0, 1_800) == await day.money()


async def test_zeros_are_no_rrn(day: Day) -> None:
    """Two purchases without RRN are not one for that."""
    asked = await day.approved(1_000, _37="0" * 12)
    await day.send(advice(asked, 800))
    assert (0, 1_800) == await day.money()


async def test_of_another_card(day: Day) -> None:
    """The same RRN on another card is another purchase."""
    asked = await ours(day)
    other = await Day.begin(day.house)
    await other.send(advice(asked, 800, _2=other.pan))
    assert ((0, 1_000), (0, 800)) == (await day.money(), await other.money())


@clues
async def test_second_card(day: Day, clue: str) -> None:
    """What is asked of one card is not found by a message about another of its account."""
    asked = await ours(day)
    pan = await day.second_card()
    await day.send(changed(told_by(clue, asked, 100), _2=pan))
    assert (0, 1_100) == await day.money()


async def test_use(day: Day) -> None:
    """A purchase of ours that is replaced by less uses less of its limits; by more the same."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await ours(day)
    used = []
    for minor in (1_500, 800, 900):
        await day.send(advice(asked, minor))
        used += await day.usage()
    assert [(1_000, 1), (800, 1), (800, 1)] == used
    await day.send(advice(asked, response="05"))
    assert [(0, 0)] == await day.usage()


async def test_after_unwinding(day: Day) -> None:
    """Our answer was late and the stand-in approved: the purchase is held once."""
    asked = day.asks()
    await day.unwind(await day.send(asked))
    assert (0, 0) == await day.money()
    assert "held" == (await day.send(advice(asked, 1_000))).effect
    assert (0, 1_000) == await day.money()
    assert ["open"] == await day.holds()
    assert ["05"] == await day.codes(repeat(asked))


async def test_declined_after_unwinding(day: Day) -> None:
    """Our answer was late and the stand-in declined: nothing is held."""
    asked = day.asks()
    await day.unwind(await day.send(asked))
    await day.send(advice(asked, response="91"))
    assert (0, 0) == await day.money()


@pytest.mark.parametrize(("response", "held"), [("00", 800), ("05", 0)])
async def test_unwinding_after_it(day: Day, response: str, held: int) -> None:
    """The advice spoke for the purchase: an unwinding that comes later leaves it as it is."""
    asked = day.asks()
    told = await day.send(asked)
    await day.send(advice(asked, 800, response))
    assert "advised" == await day.unwind(told)
    assert (0, held) == await day.money()
    assert ["05"] == await day.codes(repeat(asked))


async def test_after_expiry(day: Day) -> None:
    """A hold that had expired is open again, and is the only one."""
    asked = await ours(day)
    await day.expire()
    assert "held" == (await day.send(advice(asked, 800))).effect
    assert (0, 800) == await day.money()
    assert ["open"] == await day.holds()


@pytest.mark.parametrize("response", ["00", "05"])
async def test_after_completion(day: Day, response: str) -> None:
    """A purchase that was completed is over: an advice about it is recorded, nothing moves."""
    asked = await ours(day)
    await day.send(completion(asked, 900))
    assert "recorded" == (await day.send(advice(asked, 1_000, response))).effect
    assert (-900, 0) == await day.money()


async def test_after_reversal(day: Day) -> None:
    """A purchase that was reversed holds nothing any more, whatever an advice says."""
    asked = await ours(day)
    await day.send(reversal(asked))
    assert "reversed_before_original" == (await day.send(advice(asked, 1_000))).effect
    assert (0, 0) == await day.money()


async def test_after_partial_reversal(day: Day) -> None:
    """The advice's amount counts, not what a reversal left."""
    asked = await ours(day)
    await day.send(reversal(asked, 400))
    await day.send(advice(asked, 900))
    assert (0, 900) == await day.money()
