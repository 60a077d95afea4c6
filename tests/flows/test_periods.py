"""How long: use of limits in its period, and holds by merchant category."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from switch.ledger.queries import QUERIES
from switch.wire.message import Message
from tests.flows.day import Day
from tests.flows.later import advice, completion, increment, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


# ---- use of limits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "days"), [("day", 1), ("day", 32), ("week", 7), ("month", 32)]
)  # fmt: skip
@pytest.mark.parametrize(
    ("message", "given_back"),
    [
        (reversal,                               (0, 0)),
        (lambda asked: reversal(asked, 300),     (300, 1)),
        (lambda asked: completion(asked, 700),   (700, 1)),
        (lambda asked: advice(asked, 800),       (800, 1)),
        (lambda asked: advice(asked, None, "05"), (0, 0)),
    ],
    ids=["reversal", "partial reversal", "completion", "advice", "declined advice"],
)  # fmt: skip
async def test_use_of_an_earlier_period(
    day: Day,
    period: str,
    days: int,
    message: Callable[[Message], Message],
    given_back: tuple[int, int],
) -> None:
    """Use is given back in the period of the original; today's stays."""
    await day.house.books.limit(day.account_id, "all", period, amount_minor=9_999)
    asked = await day.approved(1_000)
    await day.passes(days=days)
    await day.approved(500)
    assert [(1_000, 1), (500, 1)] == await day.usage(period=period)
    await day.send(message(asked))
    assert [given_back, (500, 1)] == await day.usage(period=period)


async def test_use_of_an_increment(day: Day) -> None:
    """An increment of today gives its own use back today, and the rest in the first's period."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000)
    await day.passes(days=1)
    await day.send(increment(asked, 500))
    await day.send(completion(asked, 800))
    assert [(800, 1), (0, 0)] == await day.usage()


async def test_use_of_an_expired_hold(day: Day) -> None:
    """A hold that expires gives its use back in the period of its authorization."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    await day.approved(1_000)
    await day.passes(days=1)
    await day.approved(500)
    await day.house.books.connection.execute(
        "UPDATE holds SET expires_at = now() WHERE account_id = $1 AND amount_minor = 1000",
        day.account_id,
    )
    while await day.holds() != ["expired", "open"]:
        await day.house.books.connection.execute(QUERIES["expire_holds"], 500)
    assert [(0, 0), (500, 1)] == await day.usage()
    assert (0, 500) == await day.money()


# ---- how long a hold stands ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mcc", "hours"),
    [
        ("5411", 168),
        (None,   168),
        ("5541",   2),
        ("5542",   2),
        ("7011", 720),
        ("3501", 720),
        ("3999", 720),
        ("3500", 168),
        ("4000", 168),
    ],
)  # fmt: skip
async def test_expiry(day: Day, mcc: str | None, hours: int) -> None:
    """A hold stands as long as its merchant category's rule says."""
    await day.approved(1_000, _18=mcc)
    assert timedelta(hours=hours) == await standing(day)


async def standing(day: Day) -> timedelta:
    """How long the one hold stands from its authorization on, to the minute."""
    (hold,) = await day.hold_rows()
    seconds = (hold["expires_at"] - hold["received_at"]).total_seconds()
    return timedelta(minutes=round(seconds / 60))


async def test_expiry_of_an_advice(day: Day) -> None:
    """What a stand-in approved stands by the same rule."""
    await day.send(advice(day.asks(1_000, _18="7011")))
    assert timedelta(hours=720) == await standing(day)


async def test_expiry_of_an_advised_hold(day: Day) -> None:
    """An advice gives the hold a new end, by its own merchant category."""
    asked = await day.approved(1_000, _18="5541")
    await day.passes(hours=1)
    await day.send(advice(asked, 900, _18="7011"))
    assert timedelta(hours=721) == await standing(day)


async def test_sweep(day: Day) -> None:
    """What is over is released once; what is not stays."""
    await day.approved(1_000)
    await day.expire()
    await day.approved(500)
    await day.house.books.connection.execute(QUERIES["expire_holds"], 500)
    assert (0, 500) == await day.money()
    assert ["expired", "open"] == await day.holds()
