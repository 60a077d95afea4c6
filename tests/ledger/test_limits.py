"""Limits: what counts towards which, for how long, and where the edge is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

import pytest

from tests.ledger.support import Books, ask

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PERIODS = ("transaction", "day", "week", "month")
CASHBACK = {"kind": "cashback", "cash_minor": 400}

#: Scope → the debits of 1000 that it takes, by what they use of it.
USES: Mapping[str, tuple[tuple[Mapping[str, Any], int | None], ...]] = {
    "all":         (({}, 1_000), ({"kind": "cash"}, 1_000), (CASHBACK, 1_000)),
    "purchase":    (({}, 1_000), ({"kind": "cash"}, None),  (CASHBACK, 1_000)),
    "cash":        (({}, None),  ({"kind": "cash"}, 1_000), (CASHBACK, 400)),
    "ecommerce":   (({}, None),  ({"channel": "ecommerce"}, 1_000),
                    ({"channel": "ecommerce", **CASHBACK}, 1_000)),
    "contactless": (({}, None),  ({"channel": "contactless"}, 1_000),
                    ({"channel": "ecommerce"}, None)),
}  # fmt: skip
TABLE = [
    pytest.param(scope, period, changes, used, id=f"{scope}-{period}-{index}")
    for scope, rows in USES.items()
    for period in PERIODS
    for index, (changes, used) in enumerate(rows)
]


def debit(account_id: int, changes: Mapping[str, Any]) -> Any:
    return ask(account_id, 1_000, **{"kind": "purchase", **changes})


@pytest.mark.parametrize(("scope", "period", "changes", "used"), TABLE)
async def test_amount(
    books: Books, scope: str, period: str, changes: Mapping[str, Any], used: int | None
) -> None:
    """Exactly the limit is allowed and one minor unit more is not; other scopes are untouched."""
    exact, over = await books.account(), await books.account()
    await books.limit(exact, scope, period, amount_minor=used or 0)
    await books.limit(over, scope, period, amount_minor=(used or 0) - (used is not None))
    assert "approved" == await books.reason(debit(exact, changes))
    assert ("approved" if used is None else "limit_amount") == await books.reason(
        debit(over, changes)
    )
    counted = used is not None and period != "transaction"
    assert ({(scope, period): (used, 1)} if counted else {}) == await books.usage(exact)
    assert {} == await books.usage(over)


@pytest.mark.parametrize(("scope", "period", "changes", "used"), TABLE)
async def test_count(
    books: Books, scope: str, period: str, changes: Mapping[str, Any], used: int | None
) -> None:
    """A count of two allows two debits of its scope; one for a transaction is always the first."""
    account_id = await books.account()
    await books.limit(account_id, scope, period, count=2)
    answers = await books.decide(*(debit(account_id, changes) for _ in range(3)))
    third = None if used is None or period == "transaction" else "limit_count"
    assert [None, None, third] == [answer.reason for answer in answers]


async def test_adds_up(books: Books) -> None:
    """Debits of a period add up, over batches and within one, and declined ones use nothing."""
    account_id = await books.account(posted_minor=1_000_000)
    await books.limit(account_id, amount_minor=2_500, count=9)
    answers = await books.decide(*(ask(account_id, amount) for amount in (1_000, 1_501, 1_500)))
    assert [None, "limit_amount", None] == [answer.reason for answer in answers]
    assert "limit_amount" == await books.reason(ask(account_id, 1))
    assert {("all", "day"): (2_500, 2)} == await books.usage(account_id)


async def test_amount_before_count(books: Books) -> None:
    """Where amount and count are both over, the amount is the answer, over limits of all kinds."""
    account_id = await books.account()
    await books.limit(account_id, "all", "day", count=0)
    await books.limit(account_id, "purchase", "month", amount_minor=0)
    assert "limit_amount" == await books.reason(ask(account_id))


async def test_cards_apart(books: Books) -> None:
    """A limit is a card's own, also where two share an account."""
    account_id = await books.account()
    await books.card(account_id, 3)
    await books.limit(account_id, count=1)
    await books.limit(account_id, count=1, card_id=3)
    answers = await books.decide(
        *(ask(account_id, card_id=card_id) for card_id in (account_id, 3, account_id, 3))
    )
    assert [None, None, "limit_count", "limit_count"] == [answer.reason for answer in answers]


async def test_new_period(books: Books) -> None:
    """What was used the day before counts for the week and the month, and not for the day."""
    account_id = await books.account()
    for period in ("day", "week", "month"):
        await books.limit(account_id, "all", period, amount_minor=1_500)
    await books.decide(ask(account_id))
    await books.connection.execute(
        "UPDATE limit_usage SET period_start = period_start - 1"
        " WHERE account_id = $1 AND period = 'day'",
        account_id,
    )
    await books.connection.execute(
        "DELETE FROM limits WHERE account_id = $1 AND period <> 'day'", account_id
    )
    assert "approved" == await books.reason(ask(account_id))
    await books.limit(account_id, "all", "month", amount_minor=1_500)
    assert "limit_amount" == await books.reason(ask(account_id, 501))


@pytest.mark.parametrize(
    ("moment", "zone", "week_starts", "day", "week", "month"),
    [
        # UTC                  zone                  1 Mon     day           week          month
        ("2026-03-01 00:30:00", "UTC",                 1, "2026-03-01", "2026-02-23", "2026-03-01"),
        ("2026-03-01 00:30:00", "America/New_York",    1, "2026-02-28", "2026-02-23", "2026-02-01"),
        ("2026-02-28 23:30:00", "Europe/Berlin",       1, "2026-03-01", "2026-02-23", "2026-03-01"),
        ("2026-03-01 12:00:00", "UTC",                 7, "2026-03-01", "2026-03-01", "2026-03-01"),
        ("2026-02-28 12:00:00", "UTC",                 7, "2026-02-28", "2026-02-22", "2026-02-01"),
        ("2026-03-02 00:00:00", "UTC",                 1, "2026-03-02", "2026-03-02", "2026-03-01"),
        ("2026-03-01 23:59:59.999999", "UTC",          1, "2026-03-01", "2026-02-23", "2026-03-01"),
        ("2025-12-31 23:30:00", "Asia/Tokyo",          6, "2026-01-01", "2025-12-27", "2026-01-01"),
        ("2026-01-01 00:30:00", "Pacific/Honolulu",    1, "2025-12-31", "2025-12-29", "2025-12-01"),
        # The clocks of Berlin go forward on 2026-03-29: its day ends at 22:00 UTC.
        ("2026-03-28 22:59:59", "Europe/Berlin",       1, "2026-03-28", "2026-03-23", "2026-03-01"),
        ("2026-03-29 21:59:59", "Europe/Berlin",       1, "2026-03-29", "2026-03-23", "2026-03-01"),
        ("2026-03-29 22:00:00", "Europe/Berlin",       1, "2026-03-30", "2026-03-30", "2026-03-01"),
    ],
)  # fmt: skip
async def test_periods(
    books: Books, moment: str, zone: str, week_starts: int, day: str, week: str, month: str
) -> None:
    """Days, weeks and months begin where the program is, on the weekday that it says."""
    at = datetime.fromisoformat(f"{moment}+00:00")
    starts = [
        await books.connection.fetchval(
            "SELECT period_start_v1($1, $2, $3, $4)", period, at, zone, week_starts
        )
        for period in ("day", "week", "month")
    ]
    assert [date.fromisoformat(text) for text in (day, week, month)] == starts


@pytest.mark.parametrize("week_starts", range(1, 8))
async def test_week_starts(books: Books, week_starts: int) -> None:
    """A week begins on its first weekday, at most six days back."""
    rows = await books.connection.fetch(
        "SELECT at::date - period_start_v1('week', at, 'UTC', $1::smallint) AS back,"
        " extract(isodow FROM period_start_v1('week', at, 'UTC', $1::smallint))::int AS weekday"
        " FROM generate_series(timestamptz '2026-01-01Z', '2026-03-31Z', '1 day') AS at",
        week_starts,
    )
    assert {week_starts} == {row["weekday"] for row in rows}
    assert set(range(7)) == {row["back"] for row in rows}


async def test_program_day(books: Books) -> None:
    """Usage stands on the program's own day: two zones 26 hours apart never share one."""
    starts = []
    for program_id, zone in ((101, "Pacific/Kiritimati"), (102, "Etc/GMT+12")):
        await books.program(program_id, time_zone=zone)
        account_id = await books.account(program_id=program_id)
        await books.limit(account_id, amount_minor=5_000)
        await books.decide(ask(account_id))
        starts.append(
            await books.connection.fetchval(
                "SELECT period_start FROM limit_usage WHERE account_id = $1", account_id
            )
        )
    assert starts[0] > starts[1]
