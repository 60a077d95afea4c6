"""The journal of approvals to take back: what is noted is there after a kill and a full disk."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from switch.ledger import unwind
from switch.ledger.unwind import Journal, JournalError, Pending
from tests.ledger.disk import ONE, THREE, TWO, Disk, cut, size


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "deep" / "unwind.journal"


async def test_noted_and_done(path: Path) -> None:
    """What was noted is pending until it is done; then the file is empty."""
    journal = Journal(path)
    await journal.note(ONE)
    await journal.note(TWO)
    assert [ONE, TWO] == list(journal.pending)
    assert journal.holds(1, ONE.message_key)
    assert not journal.holds(2, ONE.message_key)
    journal.done(ONE)
    assert [TWO] == list(journal.pending)
    journal.done(TWO)
    assert [] == list(journal.pending)
    assert 0 == size(path)
    journal.close()


async def test_reopened(path: Path) -> None:
    """What an earlier process left is pending, oldest first, without what it had done."""
    journal = Journal(path)
    for entry in (ONE, TWO, THREE):
        await journal.note(entry)
    journal.done(TWO)
    journal.close()
    for _ in range(2):  # also by a process that was killed before it did any of it
        journal = Journal(path)
        assert (ONE, THREE) == journal.pending
        journal.close()


def test_killed(path: Path) -> None:
    """What `note` returned for is there after a kill."""
    program = (
        "import asyncio, os, sys; from pathlib import Path\n"
        "from switch.ledger.unwind import Journal, Pending\n"
        "async def main():\n"
        "    await Journal(Path(sys.argv[1])).note(Pending(1, bytes([1]) * 16, '000001'))\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    killed = subprocess.run([sys.executable, "-c", program, path], check=False)
    assert -signal.SIGKILL == killed.returncode
    journal = Journal(path)
    assert (ONE,) == journal.pending
    journal.close()


@pytest.mark.parametrize("torn", [1, 10, 60])
async def test_torn_line(path: Path, torn: int) -> None:
    """A last line that a killed process wrote in part is ignored, and spoils no later one."""
    journal = Journal(path)
    await journal.note(ONE)
    await journal.note(TWO)
    journal.close()
    cut(path, torn)
    journal = Journal(path)
    pending = (ONE, TWO) if torn == 1 else (ONE,)  # the first byte is the line's end
    assert pending == journal.pending
    await journal.note(THREE)
    journal.close()
    journal = Journal(path)
    assert (*pending, THREE) == journal.pending
    journal.close()


async def test_kept_while_opened(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies, or finds the disk full, while it opens the journal loses nothing."""
    journal = Journal(path)
    await journal.note(ONE)
    journal.close()
    with monkeypatch.context() as full:
        full.setattr(unwind, "os", Disk(0))
        with suppress(JournalError):
            Journal(path).close()
    journal = Journal(path)
    assert (ONE,) == journal.pending
    journal.close()


def test_one_process(path: Path) -> None:
    """Two switches cannot share a journal: the second refuses, and says why."""
    journal = Journal(path)
    with pytest.raises(JournalError, match="in use by another switch"):
        Journal(path)
    journal.close()
    Journal(path).close()


def test_cannot_be_opened(quick_path: Path) -> None:
    """A journal that cannot be made refuses with its path and the reason."""
    (quick_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"file/journal: "):
        Journal(quick_path / "file" / "journal")
    (quick_path / "folder").mkdir()
    with pytest.raises(JournalError, match=r"folder: Is a directory"):
        Journal(quick_path / "folder")


def test_only_for_its_owner(path: Path) -> None:
    """Nobody else reads the journal."""
    Journal(path).close()
    assert 0o600 == path.stat().st_mode & 0o777


async def test_flushed_in_groups(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred notes at once reach the disk in two flushes, and none returns before its own."""
    flushes = 0

    class Counting(Disk):
        def fdatasync(self, file: int) -> None:
            nonlocal flushes
            flushes += 1
            os.fdatasync(file)

    journal = Journal(path)
    monkeypatch.setattr(unwind, "os", Counting(1 << 30))
    entries = [Pending(n, bytes(16), "000000") for n in range(100)]
    await asyncio.gather(*map(journal.note, entries))
    assert 2 >= flushes
    journal.close()
    journal = Journal(path)
    assert tuple(entries) == journal.pending
    journal.close()


@pytest.mark.parametrize("room", [0, 20])
async def test_disk_full(path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """A note that cannot reach the disk raises; those after it do, also past half a line."""
    journal, disk = Journal(path), Disk(room)
    with monkeypatch.context() as full:
        full.setattr(unwind, "os", disk)
        with pytest.raises(JournalError, match="No space left"):
            await journal.note(ONE)
        disk.room = 1 << 20
        await journal.note(TWO)
    journal.close()
    journal = Journal(path)
    assert [TWO] == list(journal.pending)
    journal.close()


def test_no_secrets() -> None:
    """What the journal holds names an account and a message, and no card."""
    assert {"account_id", "message_key", "authorization_code"} == set(Pending.__slots__)
