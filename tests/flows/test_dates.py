"""What the calendar and the clock do to messages: DE7 has no year, and clocks are set."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from switch.wire.message import Message
from tests.flows.day import Day
from tests.flows.later import advice, changed, completion, increment, private, repeat, reversal
from tests.flows.support import icc

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PART = private(sequence="0102")
#: What is done to an 0100 of 10.00, at a DE7 of its own, and what stands then.
After = Callable[[Day, Message, str], Awaitable[object]]
AFTERWARDS: dict[str, tuple[After, int, int]] = {
    "reversal": (lambda day, of, at: day.send(reversal(of, _7=at)), 0, 0),
    "partial reversal": (lambda day, of, at: day.send(reversal(of, 300, _7=at)), 0, 300),
    "completion": (lambda day, of, at: day.send(completion(of, 700, _7=at)), -700, 0),
    "part": (lambda day, of, at: day.send(completion(of, 700, _7=at, _48=PART)), -700, 300),
    "advice": (lambda day, of, at: day.send(advice(of, 800, _7=at)), 0, 800),
    "declined advice": (lambda day, of, at: day.send(advice(of, None, "05", _7=at)), 0, 0),
    "increment": (lambda day, of, at: day.send(increment(of, 500, _7=at)), 0, 1_500),
    "repeat": (lambda day, of, _: day.send(repeat(of)), 0, 1_000),
    "expiry": (lambda day, _of, _at: day.expire(), 0, 0),
}
afterwards = pytest.mark.parametrize("after", AFTERWARDS)


async def stands(day: Day, asked: Message, after: str, at: str = "1123120005") -> None:
    """Do it, and see that this stands then."""
    do, posted, held = AFTERWARDS[after]
    await do(day, asked, at)
    assert (posted, held) == await day.money()


# ---- DE7 and STAN -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("1231235959", "0101000005"),
        ("0228235959", "0301000005"),
        ("0229120000", "0229120005"),
        ("0131235959", "0201000005"),
        ("1122120000", "1123120000"),
    ],
    ids=["New Year", "end of February", "leap day", "end of a month", "yesterday"],
)
@pytest.mark.parametrize("after", ["reversal", "completion", "advice", "repeat"])
async def test_over_midnight(day: Day, first: str, then: str, after: str) -> None:
    """What a later message says of an earlier DE7 is about that one, whatever the date is."""
    asked = await day.approved(1_000, _7=first)
    await stands(day, asked, after, then)


async def test_sent_yesterday(day: Day) -> None:
    """Limits go by the day on which we received a message, not by its DE7."""
    await day.house.books.limit(day.account_id, amount_minor=1_000)
    assert ["00", "61"] == await day.codes(
        day.asks(1_000, _7="0101000000"), day.asks(1, _7="0702120000")
    )


async def test_stan_wraps(day: Day) -> None:
    """After 999999 comes 000001, and each is found by its own."""
    last = await day.approved(1_000, _11="999999")
    first = await day.approved(2_000, _11="000001")
    assert (0, 3_000) == await day.money()
    await day.send(reversal(last))
    assert (0, 2_000) == await day.money()
    await day.send(reversal(first))
    assert (0, 0) == await day.money()


async def test_stan_wraps_within_the_second(day: Day) -> None:
    """The same STAN twice in the second of DE7, with an RRN of its own: two messages."""
    first = await day.approved(1_000, _11="000001")
    second = await day.approved(2_000, _11="000001")
    assert (0, 3_000) == await day.money()
    await day.send(reversal(second))
    assert (0, 1_000) == await day.money()
    assert ["00", "05"] == await day.codes(repeat(first), repeat(second))


async def test_stan_and_rrn_again_tomorrow(day: Day) -> None:
    """The same STAN and RRN a day later are another message: DE7 tells them apart."""
    first = await day.approved(1_000, _7="1122120000")
    await day.passes(days=1)
    second = changed(first, _7="1123120000", _4="000000002000", _55=icc(60_000))
    assert ["00"] == await day.codes(second)
    assert (0, 3_000) == await day.money()
    await day.send(reversal(first))
    assert (0, 2_000) == await day.money()
    await day.send(completion(second, 2_000))
    assert (-2_000, 0) == await day.money()


async def test_advice_of_the_newest(day: Day) -> None:
    """Where two purchases have one RRN an advice is about the newer."""
    first = await day.approved(1_000, _7="1122120000")
    await day.passes(days=1)
    second = changed(first, _7="1123120000", _4="000000002000")
    await day.send(second)
    await day.send(advice(second, response="05"))
    assert (0, 1_000) == await day.money()


# ---- a year later -------------------------------------------------------------------------------


async def test_a_year_later(day: Day) -> None:
    """The same STAN and DE7 with an RRN of its own is a new message, and DE90 names the newer."""
    last_year = await day.approved(1_000, _7="1123120000", _11="000007")
    await day.passes(days=365)
    this_year = await day.approved(2_000, _7="1123120000", _11="000007")
    assert (0, 3_000) == await day.money()
    await day.send(reversal(this_year))
    assert (0, 1_000) == await day.money()
    assert ["00", "05"] == await day.codes(repeat(last_year), repeat(this_year))


@pytest.mark.parametrize(("minor", "code"), [(1_000, "00"), (2_000, "94")])
async def test_a_year_later_with_all_the_same(day: Day, minor: int, code: str) -> None:
    """With the RRN of last year too it is a repeat, as long as keys are kept."""
    asked = await day.approved(1_000)
    await day.passes(days=365)
    again = changed(asked, _4=f"{minor:012d}")
    assert code == (await day.send(again)).code
    assert (0, 1_000) == await day.money()


async def test_a_year_later_when_keys_are_purged(day: Day) -> None:
    """When keys are purged it is a message like any other."""
    asked = await day.approved(1_000)
    await day.expire()
    await day.passes(days=365)
    await day.keys_are_purged()
    assert ["00"] == await day.codes(changed(asked, _55=icc(60_000)))  # ATCs are kept
    assert (0, 1_000) == await day.money()
    await day.send(reversal(asked))
    assert (0, 0) == await day.money()


async def test_reversal_a_year_later(day: Day) -> None:
    """DE90 that names a DE7 of last year finds it as long as keys are kept."""
    asked = await day.approved(1_000, mti="0200")
    await day.passes(days=365)
    assert "reversed" == (await day.send(reversal(asked))).effect
    assert (0, 0) == await day.money()


async def test_reversal_when_keys_are_purged(day: Day) -> None:
    """When keys are purged the original is unknown: the reversal is remembered."""
    asked = await day.approved(1_000, mti="0200")
    await day.passes(days=365)
    await day.keys_are_purged()
    told = await day.send(reversal(asked))
    assert ("00", "remembered") == (told.code, told.effect)
    assert (-1_000, 0) == await day.money()


# ---- last month's partition ---------------------------------------------------------------------


@afterwards
@pytest.mark.parametrize("days", [1, 32])
async def test_received_earlier(day: Day, days: int, after: str) -> None:
    """What was received yesterday or last month is found, whichever partition it is in."""
    asked = await day.approved(1_000)
    await day.passes(days=days)
    await stands(day, asked, after)


@pytest.mark.parametrize("days", [1, 32])
async def test_posted_earlier(day: Day, days: int) -> None:
    """So is what was posted, with its completion and their reversals."""
    asked = await day.approved(1_000, mti="0200")
    held = await day.approved(500)
    sent = completion(held, 400)
    await day.send(sent)
    await day.passes(days=days)
    posted = []
    for message in (
        completion(asked, 1_300), reversal(asked, 300), reversal(asked), reversal(sent),
    ):  # fmt: skip
        await day.send(message)
        posted.append((await day.money()).posted)
    assert [-1_700, -700, -400, 0] == posted


@pytest.mark.parametrize("first", ["advice", "completion", "reversal"])
async def test_came_first_last_month(day: Day, first: str) -> None:
    """What came before its original is remembered over the end of a month."""
    asked = day.asks(1_000)
    message, code, money = {
        "advice": (advice(asked), "00", (0, 1_000)),
        "completion": (completion(asked, 700), "00", (-700, 0)),
        "reversal": (reversal(asked), "05", (0, 0)),
    }[first]
    await day.send(message)
    await day.passes(days=32)
    assert [code] == await day.codes(asked)
    assert money == await day.money()


async def test_unwound_last_month(day: Day) -> None:
    """What was asked at the end of last month can be unwound in this one."""
    told = await day.send(day.asks(1_000))
    await day.passes(days=32)
    assert "unwound" == await day.unwind(told)
    assert (0, 0) == await day.money()


# ---- the clock is set ---------------------------------------------------------------------------


@afterwards
@pytest.mark.parametrize("hours", [1, -1])
async def test_clock(day: Day, hours: int, after: str) -> None:
    """The database's clock is set an hour forward or back: it goes on as if it were not."""
    asked = await day.approved(1_000)
    await day.passes(hours=hours)
    await stands(day, asked, after)


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("what", ["advice", "financial advice"])
async def test_clock_and_unwinding(day: Day, what: str, hours: int) -> None:
    """What an advice has spoken for is not unwound, whatever the clock says came first."""
    asked = day.asks(1_000, mti="0200" if what == "financial advice" else "0100")
    told = await day.send(asked)
    await day.passes(hours=hours)
    await day.send(completion(asked, 1_000) if asked.mti == "0200" else advice(asked, 1_000))
    assert "advised" == await day.unwind(told)
    money = await day.money()
    assert 1_000 == money.held - money.posted


@pytest.mark.parametrize("hours", [1, -1])
async def test_clock_and_purchase(day: Day, hours: int) -> None:
    """A purchase goes through the clock's setting whole: increment, parts, reversal of one."""
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    await day.send(more)
    await day.passes(hours=hours)
    await day.send(completion(asked, 700, _48=private(sequence="0102")))
    assert (-700, 800) == await day.money()
    await day.passes(hours=hours)
    sent = completion(asked, 600)
    await day.send(sent)
    assert (-1_300, 0) == await day.money()
    await day.passes(hours=-hours)
    await day.send(reversal(sent))
    assert (-700, 0) == await day.money()
