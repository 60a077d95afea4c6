"""The months of journal and postings: made ahead, and set apart when they are old."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger import maintain as maintaining
from switch.ledger.maintain import maintain
from switch.operate.audit import audit
from tests.ledger import by_hand
from tests.ledger.maintaining import KEEP, assert_right, maintained, tables, with_history
from tests.ledger.support import Books, ask


@pytest_asyncio.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for months are everybody's."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


# The months ahead.


async def test_months_are_made_ahead(books: Books, database: str) -> None:
    """A run sees that this month and the next three have their partitions, and says so once."""
    said: list[str] = []
    await maintain(database, KEEP, said.append)
    assert 6 == len(said)
    assert all(line.startswith(("made authorizations_", "made postings_")) for line in said)
    assert [True] * 8 == list((await tables(books)).values())
    assert [] == await maintained(database)


async def test_making_months_waits_for_nobody(books: Books, database: str) -> None:
    """Partitions are made beside a decision that has not committed, and one may go on meanwhile."""
    account = await books.account()
    other = await asyncpg.connect(database)
    try:
        async with other.transaction(), books.connection.transaction():
            await books.decide(ask(account))
            made = await other.fetch("SELECT make_partitions_v1(5)")
            assert 10 == len(made)
            await books.decide(ask(account))  # neither has committed
    finally:
        await other.close()


# Old months.


async def test_old_months_are_set_apart(books: Books, database: str) -> None:
    """What ends before the months that stay is detached and renamed, rows and all; once."""
    account = await with_history(books, 4)
    await with_history(books, 3)
    before = await tables(books)
    old_journal = min(before)
    old_postings = min(name for name in before if name.startswith("postings_"))
    rows = await books.connection.fetchval(f"SELECT count(*) FROM {old_journal}")
    assert [
        "purged 8 of message_keys",
        f"carried {old_postings} forward for 1 accounts",
        f"detached {old_postings} as {old_postings}_detached",
        f"detached {old_journal} as {old_journal}_detached",
        "purged 2 of holds",
    ] == await maintained(database)
    after = await tables(books)
    assert {f"{old_postings}_detached": False, f"{old_journal}_detached": False} == {
        name: is_attached for name, is_attached in after.items() if not is_attached
    }
    assert rows == await books.connection.fetchval(f"SELECT count(*) FROM {old_journal}_detached")
    assert [] == await maintained(database)
    await assert_right(database)
    assert await books.connection.fetchval(
        "SELECT posted_minor = (SELECT sum(amount_minor) FROM postings WHERE account_id = $1)"
        " FROM accounts WHERE account_id = $1",
        account,
    )


async def test_a_month_is_closed_before_it_goes(books: Books, database: str) -> None:
    """Its last entry takes what it came to out of it; the present month's brings that in."""
    account = await with_history(books, 4)
    await maintained(database)
    detached = next(name for name in await tables(books, "postings%_detached"))
    assert 0 == await books.connection.fetchval(
        f"SELECT sum(amount_minor) FROM {detached} WHERE account_id = $1", account
    )
    (closing,) = await books.connection.fetch(
        f"SELECT * FROM {detached} WHERE account_id = $1 ORDER BY posted_at DESC LIMIT 1", account
    )
    (opening,) = await books.connection.fetch(
        "SELECT * FROM postings WHERE account_id = $1 AND note = 'brought forward'", account
    )
    came_to = 100_000 - 620 + 90
    assert ("carried forward", -came_to) == (closing["note"], closing["amount_minor"])
    assert ("opening", came_to, "978") == (
        opening["contra"], opening["amount_minor"], opening["currency"],
    )  # fmt: skip


async def test_carrying_moves_no_sum(books: Books, database: str) -> None:
    """A month that is carried forward for some accounts only leaves all of them right."""
    accounts = [await with_history(books, 4) for _ in range(3)]
    due, *_ = await books.connection.fetch(
        "SELECT * FROM old_partitions_v1(now() - interval '90 days')"
    )
    for account in (*accounts, *accounts):  # the second time there is nothing left to carry
        await books.connection.execute(
            "SELECT carry_postings_v1($1, $2, $3, 1)", due["starts"], due["ends"], account - 1
        )
        await assert_right(database)
    assert 3 * 2 == await books.connection.fetchval(
        "SELECT count(*) FROM postings WHERE note LIKE 'carried%' OR note LIKE 'brought%'"
    )


async def test_whatever_step_is_the_last(
    books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is stopped before or after any step leaves right books; the next goes on."""
    for months_ago in (5, 4):
        await with_history(books, months_ago)
    step = maintaining._patiently

    class Stopped(Exception):
        pass

    async def stopped_before(*_: Any) -> None:
        raise Stopped

    async def stopped_after(*of: Any) -> None:
        await step(*of)
        raise Stopped

    runs = 0
    for stopping in itertools.cycle((stopped_before, stopped_after)):
        monkeypatch.setattr(maintaining, "_patiently", stopping)
        runs += 1
        try:
            await maintained(database)
        except Stopped:
            await assert_right(database)
        else:
            break
    assert 2 * 2 * 2 * 2 + 1 == runs  # two months of two tables, detached and renamed
    assert 4 == len(await tables(books, "%_detached"))


async def test_a_later_reversal_of_what_is_gone(books: Books, database: str) -> None:
    """A posting of today, booked by a message whose month is gone, is no finding."""
    account = await books.account()
    then = await by_hand.month(books, 4)
    one = await by_hand.posted(books, account, 90, received_at=then)
    await by_hand.posting(books, account, one, 90)
    await books.connection.execute(
        "UPDATE authorizations SET posted_minor = 0, standing_minor = 0, using_minor = 0"
        " WHERE authorization_id = $1",
        one,
    )
    await assert_right(database)
    await maintained(database)
    await assert_right(database)
    await books.connection.execute("UPDATE taken_away SET last_id = 0")
    assert ["entries"] == [finding.rule for finding in await audit(database) if finding.wrong]


async def test_a_month_with_an_open_hold_stays(books: Books, database: str) -> None:
    """The journal keeps a month as long as something is held for a purchase of it."""
    account = await books.account()
    then = await by_hand.month(books, 5)
    one = await by_hand.authorized(books, account, 10, received_at=then)
    await by_hand.month(books, 4)
    said = await maintained(database)
    assert 2 == sum(line.endswith(" stays: 1 of its holds are open") for line in said)
    assert 2 == sum(line.startswith("detached postings_") for line in said)
    await assert_right(database)
    await books.connection.execute(
        "UPDATE authorizations SET standing_minor = 0, using_minor = 0 WHERE authorization_id = $1",
        one,
    )
    await books.connection.execute("UPDATE holds SET state = 'expired'")
    await books.connection.execute("UPDATE accounts SET held_minor = 0")
    said = await maintained(database)
    assert 2 == sum(line.startswith("detached authorizations_") for line in said)
    await assert_right(database)
