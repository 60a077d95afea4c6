"""One connection that comes back by itself, and leaves none behind."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from switch.ledger.clock import DatabaseClock
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown
from switch.ledger.lane import PostgresLane
from switch.ledger.primary import Primary
from tests.ledger.disk import until
from tests.ledger.support import Connection

_OURS = "pg_stat_activity WHERE application_name = 'switch' AND datname = current_database()"
MINE = f"SELECT count(*) FROM {_OURS}"
CUT = f"SELECT pg_terminate_backend(pid) FROM {_OURS}"

Calls = Sequence[tuple[int, str]]


async def run(connection: Connection, calls: Calls) -> list[Any]:
    """A call is a statement; its answer is its value."""
    return [await connection.fetchval(statement) for _, statement in calls]


def lane_on(url: str, work: Any, events: list[str]) -> PostgresLane[str, Any]:
    return PostgresLane(
        Primary(url),
        work,
        clock=DatabaseClock(),
        connect_timeout=5.0,
        on_event=lambda event, **_: events.append(event),
    )


async def connections(url: str, fewest: int | None = None) -> int:
    """How many connections lanes have here; wait a second for no more than so many."""
    connection = await asyncpg.connect(url)
    try:
        for _ in range(100):
            count: int = await connection.fetchval(MINE)
            if fewest is None or count <= fewest:
                break
            await asyncio.sleep(0.01)
        return count
    finally:
        await connection.close()


async def cut_all(url: str) -> None:
    """Let the server end every lane's connection."""
    connection = await asyncpg.connect(url)
    await connection.execute(CUT)
    await connection.close()


async def test_comes_back(database: str) -> None:
    """A connection that was cut is told of, made again, and told of again."""
    events: list[str] = []
    lane = lane_on(database, run, events)
    await lane.open()
    with pytest.raises(OutcomeUnknown):
        await lane.make([(0, "SELECT pg_terminate_backend(pg_backend_pid())")])
    assert not lane.is_ready
    with pytest.raises(LedgerUnavailable):
        await lane.make([(0, "SELECT 1")])
    await until(lambda: lane.is_ready)
    assert ["database_down", "database_up"] == events
    assert [1] == await lane.make([(0, "SELECT 1")])
    assert 1 == await connections(database, fewest=1)
    await lane.close()
    assert 0 == await connections(database, fewest=0)


async def test_refused(database: str) -> None:
    """What the database refuses is named by its kind and nothing of it, and the lane stays."""
    lane = lane_on(database, run, [])
    await lane.open()
    with pytest.raises(CallRefused, match=r"^DivisionByZeroError 22012$"):
        await lane.make([(0, "SELECT 1 / 0 AS secret")])
    assert lane.is_ready
    await lane.close()


async def test_nothing_left_by_a_failed_attempt(database: str) -> None:
    """An attempt that fails after it connected closes what it had, each time."""
    attempts = 0

    async def fails_at_first(connection: Connection, calls: Calls) -> list[Any]:
        nonlocal attempts
        attempts += 1
        if 1 < attempts < 5:
            await connection.execute("SELECT 1 / 0")
        return await run(connection, calls)

    lane = lane_on(database, fails_at_first, [])
    await lane.open()
    await cut_all(database)
    await until(lambda: not lane.is_ready)
    await until(lambda: lane.is_ready)
    assert 5 == attempts
    assert 1 == await connections(database, fewest=1)
    await lane.close()


async def test_nothing_left_by_a_stop(database: str) -> None:
    """A lane that is closed while it connects leaves no connection behind."""
    entered = asyncio.Event()

    async def hangs_the_second_time(connection: Connection, calls: Calls) -> list[Any]:
        if entered.is_set():
            await asyncio.sleep(60)
        entered.set()
        return await run(connection, calls)

    lane = lane_on(database, hangs_the_second_time, [])
    await lane.open()
    await cut_all(database)
    await until(lambda: not lane.is_ready)
    while 0 == await connections(database):  # noqa: ASYNC110 - until it is back at it
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    await lane.close()
    assert 0 == await connections(database, fewest=0)
