"""What a reversal is about, and what it leaves where that has not come yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.flows.day import Day
from tests.flows.later import advice, later, original, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

NO_ORIGINAL = "0" * 42
#: What a reversal tells of its original.
CLUES: Mapping[str, Any] = {
    "DE90": lambda asked: {},
    "DE90, any acquirer": lambda asked: {"_90": original(asked, acquirer="0")},
    "DE90 of a repeat": lambda asked: {"_90": original(asked, mti=f"{asked.mti[:3]}1")},
    "its own parts": lambda asked: {"_90": NO_ORIGINAL, "_11": asked.fields[11]},
    "its own parts, no RRN": lambda asked: {
        "_90": NO_ORIGINAL, "_11": asked.fields[11], "_37": "0" * 12,
    },
    "RRN, terminal and amount": lambda asked: {"_90": NO_ORIGINAL},
}  # fmt: skip
clues = pytest.mark.parametrize("clue", CLUES)


# ---- what it is about -------------------------------------------------------------------------


@clues
@pytest.mark.parametrize("mti", ["0400", "0420"])
async def test_of_a_hold(day: Day, mti: str, clue: str) -> None:
    """A reversal releases the hold; a repeat of the 0100 is declined then."""
    asked = await day.approved(1_000)
    told = await day.send(reversal(asked, mti=mti, **CLUES[clue](asked)))
    assert ("00", "reversed") == (told.code, told.effect)
    assert (0, 0) == await day.money()
    assert ["reversed"] == await day.holds()
    assert ["05"] == await day.codes(repeat(asked))
    assert (0, 0) == await day.money()


@clues
async def test_of_a_posting(day: Day, clue: str) -> None:
    """A reversal posts back what its 0200 posted."""
    asked = await day.approved(1_000, mti="0200")
    assert "reversed" == (await day.send(reversal(asked, **CLUES[clue](asked)))).effect
    assert (0, 0) == await day.money()


@pytest.mark.parametrize(
    "named",
    [
        lambda asked: original(asked, acquirer="476174"),
        lambda asked: original(asked, mti="0200"),
        lambda asked: original(asked)[:4] + "000000" + original(asked)[10:],
        lambda asked: original(asked)[:10] + "1123120001" + original(asked)[20:],
    ],
    ids=["acquirer", "class", "STAN", "DE7"],
)
async def test_of_another(day: Day, named: Any) -> None:
    """A DE90 that is wrong in one part is another message; but what a reversal says counts."""
    asked = await day.approved(1_000)
    elsewhere = reversal(asked, _90=named(asked), _41="TERM0002")
    assert "remembered" == (await day.send(elsewhere)).effect
    assert (0, 1_000) == await day.money()
    assert "reversed" == (await day.send(reversal(asked, _90=named(asked)))).effect
    assert (0, 0) == await day.money()


@pytest.mark.parametrize("institution", ["0", "476173", "00476173", "0000476173"])
async def test_institutions(day: Day, institution: str) -> None:
    """Zeros are any institution, and leading zeros mean nothing."""
    asked = await day.approved(1_000)
    await day.send(reversal(asked, _90=original(asked, acquirer=institution)))
    assert (0, 0) == await day.money()


async def test_institution_with_leading_zeros(day: Day) -> None:
    """An acquirer that is sent with leading zeros is the same in DE90."""
    asked = await day.approved(1_000, _32="00476173")
    await day.send(reversal(asked, _90=original(asked, acquirer="476173")))
    assert (0, 0) == await day.money()


@pytest.mark.parametrize("other", [{"_41": "TERM0002"}, {"_4": "000000000999"}, {"_32": "476174"}])
async def test_rrn_alone(day: Day, other: dict[str, Any]) -> None:
    """Without DE90 an RRN goes by with its terminal, amount and acquirer."""
    asked = await day.approved(1_000)
    await day.send(reversal(asked, _90=NO_ORIGINAL, **other))
    assert (0, 1_000) == await day.money()


async def test_of_another_card(day: Day) -> None:
    """DE90 is always of the same card, also of one account."""
    asked = await day.approved(1_000)
    assert "remembered" == (
        await day.send(reversal(asked, _2=await day.second_card()))
    ).effect  # fmt: skip
    assert (0, 1_000) == await day.money()


# ---- before its original ------------------------------------------------------------------------


@pytest.mark.parametrize("mti", ["0100", "0200"])
@pytest.mark.parametrize("clue", [name for name in CLUES if not name.startswith("RRN")])
async def test_first(day: Day, mti: str, clue: str) -> None:
    """A request after its own reversal is declined 05, its repeats too, and moves nothing."""
    asked = day.asks(1_000, mti=mti)
    told = await day.send(reversal(asked, **CLUES[clue](asked)))
    assert ("00", "remembered") == (told.code, told.effect)
    assert ["05", "05"] == await day.codes(asked, repeat(asked))
    assert (0, 0) == await day.money()
    assert "reversed_before_original" == (await day.row(asked))["reason"]


@pytest.mark.parametrize("mti", ["0120", "0220"])
async def test_advice_first(day: Day, mti: str) -> None:
    """An advice or completion after its own reversal is answered 00 and moves nothing."""
    sent = later(mti, day.asks(1_000), _39="00")
    await day.send(reversal(sent))
    told = await day.send(sent)
    assert ("00", "reversed_before_original") == (told.code, told.effect)
    assert (0, 0) == await day.money()
    assert (await day.send(repeat(sent))).is_repeat


async def test_twice_first(day: Day) -> None:
    """Two reversals before their original are two messages, and the mark stays."""
    asked = day.asks(1_000)
    assert ["00", "00", "05"] == await day.codes(reversal(asked), reversal(asked), asked)


async def test_first_of_another_acquirer(day: Day) -> None:
    """What names another acquirer than the late original's is not about it."""
    asked = day.asks(1_000)
    await day.send(reversal(asked, _90=original(asked, acquirer="476174")))
    assert ["00"] == await day.codes(asked)
    assert (0, 1_000) == await day.money()


async def test_partial_first(day: Day) -> None:
    """A reversal that leaves something, of what has not come yet, is a mark as any other."""
    asked = day.asks(1_000)
    await day.send(reversal(asked, 300))
    assert ["05"] == await day.codes(asked)


async def test_first_and_then_an_advice(day: Day) -> None:
    """The mark of a reversal stays whatever else comes: 0420, 0120, 0100."""
    asked = day.asks(1_000)
    sent = advice(asked, _11=asked.fields[11])
    assert ["00", "00", "05"] == await day.codes(reversal(asked), sent, asked)
    assert (0, 0) == await day.money()


async def test_first_of_another_class(day: Day) -> None:
    """A reversal that names an 0100 says nothing of an 0200 with the same STAN."""
    asked = day.asks(1_000, mti="0200")
    await day.send(reversal(asked, _90=original(asked, mti="0100")))
    assert ["00"] == await day.codes(asked)


async def test_first_without_original_is_of_any_class(day: Day) -> None:
    """Without DE90 it may have been any class: an 0200 after it is declined."""
    asked = day.asks(1_000, mti="0200")
    await day.send(reversal(asked, _90=NO_ORIGINAL, _11=asked.fields[11]))
    assert ["05"] == await day.codes(asked)


async def test_first_uses_no_limits(day: Day) -> None:
    """What was reversed before it came uses no limits."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = day.asks(1_000)
    await day.codes(reversal(asked), asked)
    assert [] == await day.usage()
