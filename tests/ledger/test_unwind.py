"""The loop that takes back: at once, again where it failed, and what an earlier process left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from switch.ledger import unwind
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown
from switch.ledger.unwind import Journal, JournalError, Pending, Unwinder
from tests.ledger.disk import ONE, THREE, TWO, Disk, size, until


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "deep" / "unwind.journal"


class Database:
    """Takes back what it is given, or does what stands in its script first."""

    def __init__(self, *script: Exception | str) -> None:
        self.script = list(script)
        self.asked: list[Pending] = []

    async def unwind(self, entry: Pending) -> str:
        self.asked.append(entry)
        await asyncio.sleep(0)
        if not self.script:
            return "unwound"
        next_one = self.script.pop(0)
        if isinstance(next_one, Exception):
            raise next_one
        return next_one


Events = list[tuple[str, Any]]


@asynccontextmanager
async def unwinder_on(
    path: Path, work: Callable[[Pending], Awaitable[str]]
) -> AsyncIterator[tuple[Unwinder, Journal, Events]]:
    """A running loop, closed at the end, with what it told."""
    events: Events = []
    journal = Journal(path)
    unwinder = Unwinder(
        journal, work, on_event=lambda event, **about: events.append((event, about.get("state")))
    )
    unwinder.start()
    try:
        yield unwinder, journal, events
    finally:
        await unwinder.close(within=2.0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for the next attempt."""
    monkeypatch.setattr(unwind, "RETRY_SECONDS", 0.01)


@pytest.mark.parametrize(
    ("outcome", "event"),
    [
        ("unwound", "late_approval_unwound"),
        ("marked", "late_request_settled"),
        ("nothing", "late_request_settled"),
    ],
)
async def test_taken_back(path: Path, outcome: str, event: str) -> None:
    """What is noted is taken back at once, told, and leaves the file."""
    database = Database(outcome)
    async with unwinder_on(path, database.unwind) as (unwinder, journal, events):
        await unwinder.note(ONE)
        await until(lambda: not journal.pending)
        assert [(event, outcome)] == events
    assert [ONE] == database.asked
    assert 0 == size(path)


async def test_left_by_another(path: Path) -> None:
    """What an earlier process left is taken back at start."""
    journal = Journal(path)
    await journal.note(ONE)
    await journal.note(TWO)
    journal.close()
    database = Database()
    async with unwinder_on(path, database.unwind):
        pass
    assert [ONE, TWO] == database.asked
    assert 0 == size(path)


@pytest.mark.parametrize(
    "fault",
    [LedgerUnavailable(), OutcomeUnknown(), CallRefused(), RuntimeError("a bug")],
    ids=lambda fault: type(fault).__name__,
)
async def test_tried_again(path: Path, fault: Exception) -> None:
    """A taking back that fails is tried again until it is done, and holds no other up."""
    database = Database(*[fault] * 3)
    async with unwinder_on(path, database.unwind) as (unwinder, journal, events):
        await unwinder.note(ONE)
        await unwinder.note(TWO)
        await until(lambda: not journal.pending)
    assert ["unwound"] * 2 == [state for _, state in events if state]
    told = not isinstance(fault, LedgerUnavailable)  # of that, the connection tells
    assert 3 * told == sum(event == "unwind_failed" for event, _ in events)
    assert 5 == len(database.asked)


async def test_stopped_before_it_could(path: Path) -> None:
    """What could not be taken back before the end is there for the next process."""

    async def never(_: Pending) -> str:
        raise LedgerUnavailable

    journal = Journal(path)
    unwinder = Unwinder(journal, never, on_event=lambda *_, **__: None)
    unwinder.start()
    await unwinder.note(ONE)
    await unwinder.close(within=0.05)
    database = Database()
    async with unwinder_on(path, database.unwind):
        pass
    assert [ONE] == database.asked


async def test_taken_back_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk keeps the answer back, not the taking back, and the loop goes on after it."""
    database = Database()
    async with unwinder_on(path, database.unwind) as (unwinder, journal, _):
        disk = Disk(0)
        monkeypatch.setattr(unwind, "os", disk)
        with pytest.raises(JournalError):
            await unwinder.note(ONE)
        with pytest.raises(JournalError):
            await unwinder.note(TWO)
        await until(lambda: not journal.pending)
        disk.room = 1 << 20
        await unwinder.note(THREE)
        await until(lambda: not journal.pending)
    assert [ONE, TWO, THREE] == database.asked
