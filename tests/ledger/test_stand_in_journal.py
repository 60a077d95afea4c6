"""The journal of approvals of our own: what was told is there, whatever is killed when."""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.ledger import journal_file
from switch.ledger.journal_file import NotWritten
from switch.ledger.stand_in_journal import StandIn, StandInJournal
from switch.ledger.unwind import JournalError
from tests.ledger.disk import Disk
from tests.ledger.standing import content, left_in, stand_in, written
from tests.process import PATIENCE_SECONDS
from tests.traffic import ROOT

ONE, TWO, THREE = stand_in(1), stand_in(2, 250, atc=None, sequence_number=None), stand_in(3)


@pytest.fixture
def path(quick_path: Path) -> Path:
    return quick_path / "stand_ins.journal"


def test_what_is_noted_comes_back_whole(path: Path) -> None:
    """An approval is read as it was noted, in order; one that was struck is not."""
    whole = written(path, notes=[ONE, TWO, THREE], strikes=[2])
    assert ([ONE, THREE], 0) == left_in(path, whole)


def test_the_file_ends_with_the_last(path: Path) -> None:
    """A file of which all is struck is emptied by the next who opens it."""
    written(path, notes=[ONE], strikes=[1])
    written(path, notes=[])
    assert b"" == path.read_bytes()


async def test_the_last_of_several_that_are_on_their_way(path: Path) -> None:
    """The file ends with the last also where the strikes before it are not on disk yet; what is
    noted meanwhile stays.
    """
    journal = StandInJournal(path)
    numbers = [journal.note(what)[0] for what in (ONE, TWO)]
    journal.strike(numbers[0])
    journal.strike_last(numbers[1])
    await journal._file.settled()
    assert b"" == content(path)
    number, _ = journal.note(ONE)
    journal.strike_last(number)
    journal.note(THREE)
    await journal.close()
    assert ([THREE], 0) == left_in(path)


async def test_a_machine_without_threads(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a line is told that it may or may not be there, and the next is written."""
    journal = StandInJournal(path)
    with monkeypatch.context() as patch:
        patch.setattr(asyncio, "to_thread", refusing)
        with pytest.raises(JournalError, match="RuntimeError"):
            await journal.note(ONE)[1].saved
    await journal.note(TWO)[1].saved
    await journal.close()
    assert ([TWO], 0) == left_in(path)


async def refusing(*_: Any) -> None:
    """What a machine does that starts no thread."""
    raise RuntimeError("can't start new thread")


def test_a_kill_at_any_byte(path: Path) -> None:
    """Of a file cut anywhere the whole lines count: at most the last approval is lost, which
    nobody was told of, or a strike, and to post again changes nothing.
    """
    whole = written(path, notes=[ONE, TWO], strikes=[1])
    first, second, struck = (line.end() for line in re.finditer(rb"\n[^\n]+", whole))
    for length in range(len(whole)):
        kept = [what for end, what in ((first, ONE), (second, TWO)) if length >= end]
        left, unreadable = left_in(path, whole[:length])
        assert left == (kept[1:] if length >= struck else kept)
        assert unreadable <= 1


def test_a_torn_line_spoils_no_later_one(path: Path) -> None:
    """Whoever goes on after a kill writes lines of his own."""
    whole = written(path, notes=[ONE, TWO])
    path.write_bytes(whole[:-100])
    written(path, notes=[THREE])
    assert ([ONE, THREE], 1) == left_in(path)


@pytest.fixture(scope="module")
def two(quick_root: Path) -> bytes:
    """A file with two approvals."""
    return written(quick_root / "two.journal", notes=[ONE, TWO])


@given(at=st.integers(0, 1 << 16), becomes=st.integers(1, 255))
@settings(max_examples=300, deadline=None)
def test_no_byte_makes_another_approval(
    at: int, becomes: int, two: bytes, quick_root: Path
) -> None:
    """Where a byte changes on the disk nothing is read that was not noted, and the loss is seen."""
    changed = bytearray(two)
    changed[at % len(two)] ^= becomes
    left, unreadable = left_in(quick_root / "changed.journal", bytes(changed))
    assert all(what in (ONE, TWO) for what in left)
    assert len(left) == 2 or unreadable


def test_killed_in_the_middle(path: Path) -> None:
    """kill -9 again and again: whatever was on disk by its own word is there."""
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from switch.ledger.stand_in_journal import StandInJournal\n"
        "from tests.ledger.standing import stand_in\n"
        "async def main():\n"
        "    journal = StandInJournal(Path(sys.argv[1]))\n"
        "    print('opened', flush=True)\n"
        "    async def one(number):\n"
        "        await journal.note(stand_in(number))[1].saved\n"
        "        print(number, flush=True)\n"
        "    number = int(sys.argv[2])\n"
        "    while True:\n"
        "        number += 5\n"
        "        await asyncio.gather(*(one(number + each) for each in range(5)))\n"
        "asyncio.run(main())"
    )
    told: set[int] = set()
    for turn in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", program, path, str(turn * 1_000_000)],
            stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout is not None
        assert "opened\n" == process.stdout.readline()
        told.add(int(process.stdout.readline()))
        time.sleep(random.uniform(0, 0.03))
        process.kill()
        told |= {int(line) for line in process.stdout.read().split()}
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()
    found, unreadable = left_in(path)
    assert told <= {what.booking.account_id for what in found}
    assert unreadable <= 4


async def test_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is refused, and nothing of it is in the file; what comes later is kept."""
    journal = StandInJournal(path)
    await journal.note(ONE)[1].saved
    before = content(path)
    with monkeypatch.context() as full:
        full.setattr(journal_file, "os", Disk(700))
        _, line = journal.note(TWO)
        with pytest.raises(NotWritten, match="No space left on device"):
            await line.saved
        assert line.is_refused
        assert before == content(path)
    await journal.note(THREE)[1].saved
    await journal.close()
    assert ([ONE, THREE], 0) == left_in(path)


class Broken(Disk):
    """A disk that takes what is written, fails to sync, and will not take it back either."""

    def fdatasync(self, _: int) -> None:
        raise OSError(5, "Input/output error")

    def ftruncate(self, _: int, __: int) -> None:
        raise OSError(5, "Input/output error")


async def test_a_broken_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody knows what of it is on disk that is told; once the disk is well it is gone."""
    journal = StandInJournal(path)
    with monkeypatch.context() as broken:
        broken.setattr(journal_file, "os", Broken(10_000))
        _, first = journal.note(ONE)
        with pytest.raises(JournalError, match="Input/output error"):
            await first.saved
        _, second = journal.note(TWO)
        with pytest.raises(NotWritten):  # it was not even tried
            await second.saved
    await journal.note(THREE)[1].saved
    await journal.close()
    assert ([THREE], 0) == left_in(path)


async def test_one_that_waits_is_taken_back(path: Path) -> None:
    """What the disk was not given yet can be withdrawn, and is never written."""
    journal = StandInJournal(path)
    _, first = journal.note(ONE)
    await asyncio.sleep(0)  # the disk has it
    _, second = journal.note(TWO)
    assert (False, True) == (journal.withdraw(first), journal.withdraw(second))
    assert second.is_refused
    await journal.close()
    assert ([ONE], 0) == left_in(path)


def _changed(what: StandIn, **changes: Any) -> bytes:
    """The file of a version whose approvals are other."""
    from switch.ledger import stand_in_journal

    told = stand_in_journal._told(1, what)
    told["booking"] |= changes
    return stand_in_journal._line({"stand_in": told})


@pytest.mark.parametrize("changes", [{"smile": 1}, {"message_key": 5}])
def test_of_another_version(path: Path, changes: dict[str, Any]) -> None:
    """A whole line that cannot be understood refuses the start: it is somebody's money."""
    path.write_bytes(_changed(ONE, **changes) + b"\n")
    with pytest.raises(JournalError, match="is of another version: run that until all is posted"):
        StandInJournal(path)


async def test_one_process(path: Path) -> None:
    """Two switches cannot share a journal: the second refuses, and says why."""
    journal = StandInJournal(path)
    with pytest.raises(JournalError, match=r"stand-in journal .* is in use by another switch"):
        StandInJournal(path)
    await journal.close()


async def test_cannot_be_opened(quick_path: Path) -> None:
    """A journal that cannot be made refuses with its path and the reason."""
    (quick_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"stand-in journal .*file/journal: "):
        StandInJournal(quick_path / "file" / "journal")
