"""0400, 0420: what was held or posted is given back, once, and never more than stands."""

from __future__ import annotations

import pytest

from tests.flows.day import CASH, INQUIRY, REFUND, Day
from tests.flows.later import completion, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


# ---- of what stands ---------------------------------------------------------------------------


async def test_answer(day: Day) -> None:
    """The answer gives back what the reversal said of its original."""
    asked = await day.approved(1_000)
    sent = reversal(asked, 300)
    told = await day.send(sent)
    assert {n: sent.fields[n] for n in (3, 4, 7, 11, 32, 37, 41, 49, 90, 95)} == {
        n: value for n, value in told.fields.items() if n != 39
    }


@pytest.mark.parametrize(
    ("keeps", "held", "code"),
    [
        ([None],            0, "05"),
        ([0],               0, "05"),
        ([1],               1, "00"),
        ([300],           300, "00"),
        ([1_000],       1_000, "00"),
        ([1_001],       1_000, "00"),  # more than remains: nothing to give back
        ([300, 100],      100, "00"),
        ([300, 300],      300, "00"),
        ([300, 500],      300, "00"),  # what was given back is not taken again
        ([300, None],       0, "05"),
        ([None, 300],       0, "05"),
        ([None, None],      0, "05"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_parts(day: Day, mti: str, keeps: list[int | None], held: int, code: str) -> None:
    """DE95 says what is to remain. A repeat is declined when nothing remains, and not before."""
    asked = await day.approved(1_000, mti=mti)
    for keep in keeps:
        await day.send(reversal(asked, keep))
    money = await day.money()
    assert held == money.held - money.posted
    assert [code] == await day.codes(repeat(asked))


@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_use(day: Day, mti: str) -> None:
    """As much use of a limit is given back."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000, mti=mti)
    used = []
    for keep in (300, 300, None, None):
        await day.send(reversal(asked, keep))
        used += await day.usage()
    assert [(300, 1), (300, 1), (0, 0), (0, 0)] == used


@pytest.mark.parametrize(("keep", "cash"), [(500, (300, 1)), (200, (200, 1)), (None, (0, 0))])
async def test_use_of_cash(day: Day, keep: int | None, cash: tuple[int, int]) -> None:
    """Of a cashback the cash that is used is at most what stands."""
    await day.house.books.limit(day.account_id, "cash", amount_minor=9_999)
    asked = await day.approved(1_000, _3="090000", _54="0040978D000000000300")
    assert [(300, 1)] == await day.usage("cash")
    await day.send(reversal(asked, keep))
    assert [cash] == await day.usage("cash")


async def test_repeat(day: Day) -> None:
    """A repeat is answered 00 and gives nothing back again."""
    asked = await day.approved(1_000, mti="0200")
    sent = reversal(asked, 300)
    await day.send(sent)
    for copy in (sent, repeat(sent), repeat(sent, _95=None)):
        told = await day.send(copy)
        assert ("00", True) == (told.code, told.is_repeat)
    assert (-300, 0) == await day.money()


# ---- of what no longer stands -------------------------------------------------------------------


@pytest.mark.parametrize("keep", [None, 300])
async def test_of_an_expired_hold(day: Day, keep: int | None) -> None:
    """An expired hold has nothing to give back; wholly reversed it is over all the same."""
    asked = await day.approved(1_000)
    await day.expire()
    assert ("00", "nothing") == ((told := await day.send(reversal(asked, keep))).code, told.effect)
    assert (0, 0) == await day.money()
    assert ["00" if keep else "05"] == await day.codes(repeat(asked))


@pytest.mark.parametrize("keep", [None, 300])
async def test_of_a_completed_hold(day: Day, keep: int | None) -> None:
    """What was completed does not move by a reversal of its 0100."""
    asked = await day.approved(1_000)
    await day.send(completion(asked, 700))
    assert "nothing" == (await day.send(reversal(asked, keep))).effect
    assert (-700, 0) == await day.money()


async def test_of_an_unwound_hold(day: Day) -> None:
    """What was unwound is not given back a second time."""
    asked = day.asks(1_000)
    await day.unwind(await day.send(asked))
    await day.send(reversal(asked))
    assert (0, 0) == await day.money()


@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_of_a_decline(day: Day, mti: str) -> None:
    """A decline has nothing to give back, and its repeat is still that decline."""
    asked = day.asks(100_001, mti=mti)
    assert ["51", "00", "51"] == await day.codes(asked, reversal(asked), repeat(asked))
    assert (0, 0) == await day.money()


@pytest.mark.parametrize("processing_code", [INQUIRY, REFUND])
async def test_of_what_books_nothing(day: Day, processing_code: str) -> None:
    """What neither held nor posted has nothing to give back."""
    asked = await day.approved(1_000, _3=processing_code)
    assert "nothing" == (await day.send(reversal(asked))).effect
    assert (0, 0) == await day.money()


async def test_of_a_reversal(day: Day) -> None:
    """A reversal is not reversed."""
    asked = await day.approved(1_000, mti="0200")
    sent = reversal(asked, 300)
    await day.send(sent)
    assert "nothing" == (await day.send(reversal(sent))).effect
    assert (-300, 0) == await day.money()


# ---- in another currency ------------------------------------------------------------------------


@pytest.mark.parametrize("mti", ["0100", "0200"])
@pytest.mark.parametrize(
    ("billed", "keep", "stands"),
    [(920, None, 0), (920, 500, 460), (925, 500, 463), (925, 499, 462), (925, 1_000, 925)],
)
async def test_by_the_rate_of_the_original(
    day: Day, mti: str, billed: int, keep: int | None, stands: int
) -> None:
    """What is to remain is billed at the original's rate, half up."""
    asked = await day.approved(1_000, mti=mti, _49="840", _6=f"{billed:012d}", _51="978")
    await day.send(reversal(asked, keep, _6=None, _51=None))
    money = await day.money()
    assert stands == money.held - money.posted


@pytest.mark.parametrize("amounts", ["A" * 42, "00000000030C" + "0" * 30, " " * 42])
async def test_unreadable_amounts(day: Day, amounts: str) -> None:
    """What is to remain must be an amount: else it is a format error, and nothing moves."""
    asked = await day.approved(1_000)
    assert ["30"] == await day.codes(reversal(asked, _95=amounts))
    assert (0, 1_000) == await day.money()


async def test_twice_by_the_rate(day: Day) -> None:
    """Two partial reversals come to the same as the last one alone."""
    asked = await day.approved(999, mti="0200", _49="840", _6="000000000925", _51="978")
    for keep in (777, 333):
        await day.send(reversal(asked, keep, _6=None, _51=None))
    assert (-308, 0) == await day.money()  # 308.33…


async def test_cash(day: Day) -> None:
    """A withdrawal of which the machine paid out less: the rest is posted back."""
    asked = await day.approved(10_000, mti="0200", _3=CASH)
    await day.send(reversal(asked, 4_000))
    assert (-4_000, 0) == await day.money()
