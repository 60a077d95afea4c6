"""Those who only look can change nothing, and no question of theirs takes long."""

from __future__ import annotations

import asyncpg
import pytest

from switch.ledger import reading
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.primary import Primary
from switch.ledger.reading import Reading, TooLong


async def test_nothing_can_be_written(database: str) -> None:
    """Not even by a statement that forgets to say so."""
    looking = Reading(Primary(database), connect_timeout=5.0)
    await looking.open()
    try:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with looking.connection() as connection:
                await connection.execute("UPDATE accounts SET posted_minor = 0")
    finally:
        await looking.close()


async def test_a_question_that_takes_too_long(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends by itself, and the connection is as good as before."""
    session = reading._SESSION | {"statement_timeout": "100ms"}
    monkeypatch.setattr(reading, "_SESSION", session)
    looking = Reading(Primary(database), connect_timeout=5.0)
    await looking.open()
    try:
        with pytest.raises(TooLong):
            async with looking.connection() as connection:
                await connection.execute("SELECT pg_sleep(60)")
        async with looking.connection() as connection:
            assert 1 == await connection.fetchval("SELECT 1")
    finally:
        await looking.close()


async def test_more_than_there_are_connections(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever finds all of them asking is refused after a while."""
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.05)
    looking = Reading(Primary(database), connect_timeout=5.0)
    await looking.open()
    try:
        async with looking.connection(), looking.connection():
            with pytest.raises(LedgerUnavailable):
                async with looking.connection():
                    pass
    finally:
        await looking.close()
