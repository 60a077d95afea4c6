"""While months go, decisions, readers and audits go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger.maintain import MaintainError
from switch.ledger.queries import AUDIT
from switch.operate.audit import audit
from switch.rules.decision import Approved
from tests.ledger.maintaining import assert_right, maintained, tables, with_history
from tests.ledger.support import Books, ask, authorize, ledger_on
from tests.process import eventually


@pytest_asyncio.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for months are everybody's."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is waited for."""
    monkeypatch.setattr("switch.ledger.maintain.LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr("switch.ledger.maintain.PAUSE_MOST", 0.01)


@pytest.mark.usefixtures("hasty")
async def test_a_long_reader(books: Books, database: str) -> None:
    """Who reads for long keeps a month from going, and nobody from deciding."""
    account = await with_history(books, 4)
    reader = await asyncpg.connect(database)
    reading = reader.transaction(isolation="repeatable_read")
    await reading.start()
    total = "SELECT sum(amount_minor) FROM postings"
    seen = await reader.fetchval(total)
    with pytest.raises(MaintainError, match="somebody has been reading it for long"):
        await maintained(database)
    assert "approved" == await books.reason(ask(account))
    assert seen == await reader.fetchval(total)
    assert seen == await books.connection.fetchval(total)
    await assert_right(database)
    await reading.rollback()
    await reader.close()
    await maintained(database)
    assert {} == {name: True for name, is_attached in (await tables(books, "%_detached")).items()
                  if is_attached}  # fmt: skip
    assert 2 == len(await tables(books, "%_detached"))
    await assert_right(database)


async def test_nobody_waits_behind_a_waiting_detachment(books: Books, database: str) -> None:
    """While a month waits for its last reader to go, decisions and readers go on."""
    account = await with_history(books, 4)
    reader = await asyncpg.connect(database)
    reading = reader.transaction()
    await reading.start()
    await reader.fetch("SELECT FROM postings, authorizations LIMIT 1")
    maintained_at_last = asyncio.create_task(maintained(database))
    await eventually(
        lambda: books.connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'switch maintain'"
            " AND wait_event_type = 'Lock' AND datname = current_database()"
        ),
        "a run that waits for the reader",
    )
    await books.connection.execute("SET lock_timeout = '1s'")
    assert "approved" == await books.reason(ask(account))
    assert "approved" == await books.reason(ask(account))
    await assert_right(database)
    await reading.rollback()
    await reader.close()
    assert 2 == sum(line.startswith("detached ") for line in await maintained_at_last)


@pytest.mark.usefixtures("hasty")
async def test_an_audit_keeps_what_it_sees(
    books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month that is to go after an audit's snapshot stays until that has read it."""
    await with_history(books, 4)
    gate = 77
    monkeypatch.setitem(
        AUDIT, "batch", AUDIT["batch"].replace(
            "WHERE", f"WHERE pg_advisory_xact_lock_shared({gate}) IS NOT NULL AND"
        )
    )  # fmt: skip
    await books.connection.execute("SELECT pg_advisory_lock($1)", gate)
    auditing = asyncio.create_task(assert_right(database))
    await eventually(
        lambda: books.connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE objid = $1 AND NOT granted", gate
        ),
        "an audit that has its snapshot and waits",
    )
    with pytest.raises(MaintainError, match="run it again"):
        await maintained(database)
    await books.connection.execute("SELECT pg_advisory_unlock($1)", gate)
    await auditing
    await maintained(database)
    await assert_right(database)


async def test_decisions_and_audits_go_on(books: Books, database: str, tmp_path: Path) -> None:
    """While months are detached every decision is made and every audit is clean."""
    accounts = [await with_history(books, months_ago) for months_ago in (8, 7, 6, 5, 4)]
    done = asyncio.Event()
    async with ledger_on(database, tmp_path / "unwinds") as ledger:

        async def buy(account: int) -> int:
            bought = 0
            while not done.is_set():
                assert isinstance(await authorize(ledger, ask(account, 1)), Approved)
                bought += 1
            return bought

        async def look() -> int:
            looked = 0
            while not done.is_set():
                assert [] == [str(f) for f in await audit(database, batch=1) if f.wrong]
                looked += 1
            return looked

        going = [asyncio.create_task(buy(account)) for account in accounts]
        going += [asyncio.create_task(look()) for _ in range(2)]
        try:
            said = await maintained(database)
        finally:
            done.set()
            counts = await asyncio.gather(*going)
    assert 10 == sum(line.startswith("detached ") for line in said)
    assert min(counts) > 0
    await assert_right(database)
