"""The publisher: every event once or again, none skipped, and one process at a time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from switch.events import publisher as publishing
from switch.events.event import Event
from switch.events.publisher import OnEvent, Publisher
from switch.events.sink import SinkUnavailable
from switch.ledger.outbox import Outbox
from tests.events.rebuilding import check, kept, rebuilt
from tests.ledger.support import Books, ask
from tests.process import COMMAND, as_setting, environment, eventually

Told = list[tuple[str, dict[str, Any]]]


def noting(told: Told) -> OnEvent:
    """Note what operators are told."""

    def note(name: str, /, **fields: Any) -> None:
        told.append((name, fields))

    return note


class Shelf:
    """A sink that keeps what it is given; where it is shut it keeps a part and says no."""

    name = "shelf"

    def __init__(self) -> None:
        self.stretches: list[Sequence[Event]] = []
        self.is_shut = False
        self.is_closed = False

    def publish(self, events: Sequence[Event]) -> None:
        """Keep them."""
        self.stretches.append(events[: len(events) // 2] if self.is_shut else events)
        if self.is_shut:
            raise SinkUnavailable("it is shut")

    def close(self) -> None:
        """Note it."""
        self.is_closed = True

    @property
    def ids(self) -> list[str]:
        """Of all that is there, in order."""
        return [event.event_id for events in self.stretches for event in events]


@pytest.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for one publishes them all."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


@pytest.fixture
def told() -> Told:
    """What the publisher told."""
    return []


@contextlib.asynccontextmanager
async def at_work(publisher: Publisher) -> AsyncIterator[None]:
    """Publish meanwhile."""
    task = asyncio.create_task(publisher.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def are_out(books: Books) -> bool:
    """Whether all events are published."""
    outbox = Outbox(books.connection)
    return await outbox.published() == await outbox.last()


async def bought(books: Books, times: int) -> list[str]:
    """So many purchases; the ids of all events."""
    account = await books.account()
    for _ in range(times):
        await books.decide(ask(account, 10))
    rows = await books.connection.fetch("SELECT event_id FROM events ORDER BY event_id")
    return [f"{row[0]:019}" for row in rows]


async def test_it_goes_on_where_it_stopped(books: Books, database: str) -> None:
    """Two publishers, one after the other, publish each event once and in order."""
    shelf = Shelf()
    for times in (5, 4):
        publisher = Publisher(database, shelf, batch_max=2, on_event=lambda *_, **__: None)
        ids = await bought(books, times)
        async with at_work(publisher):
            await eventually(lambda: are_out(books))
            assert publisher.is_leader
        assert shelf.is_closed
        assert not publisher.is_leader
        assert publisher.published == times
    assert ids == shelf.ids
    assert max(len(stretch) for stretch in shelf.stretches) == 2


async def test_a_sink_that_is_down_is_waited_for(
    books: Books, database: str, told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Decisions go on, the same stretch is tried again, and what waits is seen."""
    monkeypatch.setattr(publishing, "PAUSE_FIRST", 0.01)
    shelf = Shelf()
    shelf.is_shut = True
    publisher = Publisher(database, shelf, batch_max=3, on_event=noting(told))
    ids = await bought(books, 7)
    async with at_work(publisher):
        await eventually(lambda: _true(publisher.failures > 2))
        assert ["decided"] == [
            one.outcome for one in await books.decide(ask(await books.account()))
        ]
        assert publisher.lag >= 7
        assert publisher.lag_seconds > 0
        assert ids[:1] * len(shelf.stretches) == shelf.ids
        shelf.stretches.clear()
        shelf.is_shut = False
        await eventually(lambda: are_out(books))
        await eventually(lambda: _true(publisher.lag_seconds == 0))
        assert publisher.lag == 0
    assert ids == shelf.ids[: len(ids)]
    assert ["events_stopped", "events_going"] == [name for name, _ in told]
    assert {"name": "shelf", "problem": "it is shut"} == told[0][1]


async def test_a_database_that_goes_is_come_back_to(
    books: Books, database: str, told: Told,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Its connection is cut; it takes another one, and its turn."""
    monkeypatch.setattr(publishing, "PAUSE_FIRST", 0.01)
    shelf = Shelf()
    publisher = Publisher(database, shelf, batch_max=3, on_event=noting(told))
    async with at_work(publisher):
        await eventually(lambda: _true(publisher.is_leader))
        await books.connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'switch events'"
        )
        ids = await bought(books, 3)
        await eventually(lambda: are_out(books))
        await eventually(lambda: _true(len(told) == 2))
    assert ids == shelf.ids
    assert told[0][1]["problem"].startswith("database: ")


async def _true(value: bool) -> bool:
    return value


@contextlib.contextmanager
def publishers(folder: Path, url: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two `switch events publish` on one database, to files in one folder."""
    settings = {
        "database__url": as_setting(url), "events__sink": "file", "events__batch_max": "7",
        "events__publisher": "apart", "events__folder": str(folder / "events"),
    }  # fmt: skip
    processes = []
    try:
        for _ in range(2):
            with (folder / "publish.log").open("ab") as log:
                processes.append(subprocess.Popen(
                    [COMMAND, "events", "publish"], cwd=folder, env=environment(settings),
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                ))  # fmt: skip
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


async def test_one_of_two_is_killed(books: Books, database: str, tmp_path: Path) -> None:
    """Two processes, the one that publishes killed in the middle: the other one goes on from there.

    Only the stretch that was under way may be there twice; none is missing or out of place.
    """
    account = await books.account()

    async def leader() -> int:
        pid = await books.connection.fetchval(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND (classid, objid) = (8583, 9)"
            " AND granted AND database = (SELECT oid FROM pg_database"
            " WHERE datname = current_database())"
        )
        return int(pid or 0)

    lines = tmp_path / "events" / "events.jsonl"
    with publishers(tmp_path, database) as processes:
        await eventually(leader, "a leader")
        first = await leader()
        buying = asyncio.create_task(_apart(database, account))
        await eventually(lambda: _true(lines.exists() and len(_read(lines)) > 40), "events")
        holder = next(p for p in processes if _has_open(p.pid, lines))
        holder.send_signal(signal.SIGKILL)
        await buying
        await eventually(lambda: are_out(books), "the rest")
        assert first != await leader()
        (other,) = [p for p in processes if p is not holder]
        other.terminate()
        assert other.wait(10) == 0
    events = _read(lines)
    for event in events:
        check(event)
    ids = [event["event_id"] for event in events]
    once = list(dict.fromkeys(ids))
    rows = await books.connection.fetch("SELECT event_id FROM events ORDER BY event_id")
    assert [f"{row[0]:019}" for row in rows] == once
    assert len(ids) - len(once) <= 7
    now = await kept(books.connection)
    seen: dict[str, Any] = {event["event_id"]: event for event in events}
    opening = now[str(account)]._replace(held=0)
    assert now[str(account)] == rebuilt(seen.values(), {str(account): opening})[str(account)]


async def _apart(url: str, account: int) -> None:
    connection = await asyncpg.connect(url)
    try:
        for _ in range(300):
            await Books(connection).decide(ask(account, 1))
    finally:
        await connection.close()


def _read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().rpartition(b"\n")[0].splitlines()]


def _has_open(pid: int, path: Path) -> bool:
    with contextlib.suppress(OSError):
        return any(one.resolve() == path.resolve() for one in Path(f"/proc/{pid}/fd").iterdir())
    return False
