"""`switch maintain` drops old days of events; where there is a sink, only published ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from switch.ledger.lane import SESSION
from switch.ledger.maintain import MaintainError
from switch.ledger.outbox import Outbox
from tests.ledger.maintaining import KEEP, maintained
from tests.ledger.support import Books, ask

TODAY = datetime.now(UTC).date()
PUBLISHED = replace(KEEP, is_published=True)


@pytest.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for days are everybody's."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


async def told(books: Books, days_ago: int) -> str:
    """Tell of something so many days ago; the name of its day."""
    day = TODAY - timedelta(days=days_ago)
    await books.connection.execute("SELECT make_event_day_v1($1)", day)
    await books.connection.execute(
        "INSERT INTO events (account_id, occurred_at, type)"
        " VALUES (0, $1::date::timestamp AT TIME ZONE 'UTC', 'key.changed')",
        day,
    )
    return f"events_{day:%Y_%m_%d}"


async def days(books: Books) -> set[str]:
    """The days that are there."""
    rows = await books.connection.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^events_[0-9_]+$'"
    )
    return {row[0] for row in rows}


async def test_old_days_are_dropped(books: Books, database: str) -> None:
    """Seven days stay beside today; older ones go, the oldest first."""
    gone, oldest = await told(books, 9), await told(books, 30)
    stays = await told(books, 7)
    assert [f"dropped {oldest}", f"dropped {gone}"] == await maintained(database)
    assert {stays} == await days(books) - _ahead()
    assert [] == await maintained(database)


async def test_what_is_not_published_stays(books: Books, database: str) -> None:
    """With a sink a day goes when its last event is out, and not before."""
    name, other = await told(books, 20), await told(books, 10)
    assert [] == await maintained(database, PUBLISHED)
    outbox = Outbox(books.connection)
    assert await outbox.take_turn()
    last = await outbox.last()
    assert await outbox.move(0, last - 1)
    assert [f"dropped {name}"] == await maintained(database, PUBLISHED)
    assert await outbox.move(last - 1, last)
    assert [f"dropped {other}"] == await maintained(database, PUBLISHED)


async def test_a_day_that_somebody_reads_goes_later(
    books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long reader is not waited for for ever; afterwards what was begun is ended."""
    monkeypatch.setattr("switch.ledger.maintain.LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr("switch.ledger.maintain.ATTEMPTS", 1)
    name = await told(books, 20)
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM events")
        with pytest.raises(MaintainError, match=f"{name} could not be set apart"):
            await maintained(database)
        account = await books.account()
        assert ["decided"] == [one.outcome for one in await books.decide(ask(account))]
    await reader.close()
    assert [f"dropped {name}"] == await maintained(database)


async def test_a_decision_needs_no_owner(books: Books, database: str) -> None:
    """Who serves makes the days ahead by a function that runs as their owner."""
    role = f"serves_{books.connection.get_server_pid()}"
    await books.connection.execute(
        f"CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA public TO {role};"
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}"
    )
    account = await books.account()
    ahead = f"events_{TODAY + timedelta(days=7):%Y_%m_%d}"
    await books.connection.execute(f"DROP TABLE {ahead}")
    other = await asyncpg.connect(database, server_settings=SESSION)
    try:
        await other.execute(f"SET ROLE {role}")
        await other.execute("SELECT make_partitions_v1(0)")
        assert ahead in await days(books)
        assert ["decided"] == [one.outcome for one in await Books(other).decide(ask(account))]
        outbox = Outbox(other)
        assert await outbox.take_turn()
        assert await outbox.settled() == await outbox.last() > 0
        assert 1 == len(await outbox.stretch(0, await outbox.last(), 10))
        assert await outbox.move(0, await outbox.last())
    finally:
        await other.close()
        await books.connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


def _ahead() -> set[str]:
    return {f"events_{TODAY + timedelta(days=n):%Y_%m_%d}" for n in range(8)}
