"""
An append-only file of lines that reach the disk in groups.

Whoever adds a line waits for it alone; lines that come while one flush runs share the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path

from switch.ledger.unwind import JournalError


class NotWritten(Exception):
    """A line could not be written, and it is sure that nothing of it is in the file."""


class Line:
    """One line on its way to the disk."""

    __slots__ = ("saved", "text")

    def __init__(self, text: bytes) -> None:
        self.text = text
        #: Done when the line is on disk. Fails with `NotWritten` where nothing of it is there, and
        #: with `JournalError` where that is not sure.
        self.saved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.saved.add_done_callback(asyncio.Future.exception)  # nobody need wait for it

    @property
    def is_saved(self) -> bool:
        """Whether it is on disk."""
        return self.saved.done() and self.saved.exception() is None

    @property
    def is_refused(self) -> bool:
        """Whether it is sure that nothing of it is in the file."""
        return self.saved.done() and isinstance(self.saved.exception(), NotWritten)


class JournalFile:
    """The file, for this process alone."""

    def __init__(self, path: Path, name: str) -> None:
        """Open or make it; `name` is what errors call it. Raises `JournalError`."""
        self._path, self._name = path, name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as error:
            raise self._error(error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise JournalError(
                f"{name} {path} is in use by another switch: give each its own"
            ) from None
        try:
            _save_name(path)
            self._length = os.fstat(self._file).st_size  # of what is whole and on disk
        except OSError as error:
            self.close()
            raise self._error(error) from None
        self._is_torn = False  # something stands behind that length
        self._waiting: list[Line] = []
        self._saver: asyncio.Task[None] | None = None
        self._is_done_with = False  # once what is on its way has come

    def lines(self) -> list[bytes]:
        """What stands there, the oldest first; some may be empty or torn. Raises `JournalError`."""
        try:
            return self._path.read_bytes().split(b"\n")
        except OSError as error:
            raise self._error(error) from None

    def add(self, text: bytes) -> Line:
        """Send a line on its way; it has no line feed of its own."""
        line = Line(text)
        self._is_done_with = False
        self._waiting.append(line)
        if self._saver is None:
            self._saver = asyncio.create_task(self._save())
        return line

    def withdraw(self, line: Line) -> bool:
        """Take a line back that the disk has not been given yet; false where it has."""
        if line not in self._waiting:
            return False
        self._waiting.remove(line)
        line.saved.set_exception(NotWritten("it came too late"))
        return True

    def empty(self) -> None:
        """Forget all lines, once those on their way have come, unless another is added meanwhile.

        It need not reach the disk, nor be possible: whoever asks can bear to read them again.
        """
        self._is_done_with = True
        if self._saver is None:
            self._forget()

    def _forget(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            self._length = 0

    async def settled(self) -> None:
        """Return when no line is on its way."""
        if self._saver is not None:
            await asyncio.shield(self._saver)

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    async def _save(self) -> None:
        while self._waiting:
            lines, self._waiting = self._waiting, []
            problem: Exception | None = None
            try:
                await asyncio.to_thread(self._flush, b"".join(b"\n" + line.text for line in lines))
            except (NotWritten, JournalError) as error:
                problem = error
            except Exception as error:  # noqa: BLE001 - no thread to be had, and whoever waits must know
                problem = JournalError(f"{self._name} {self._path}: {type(error).__name__}")
            for line in lines:
                if problem is None:
                    line.saved.set_result(None)
                else:
                    line.saved.set_exception(type(problem)(*problem.args))
        self._saver = None
        if self._is_done_with:
            self._forget()

    def _flush(self, text: bytes) -> None:
        """Write and sync. A line feed goes first: a kill may have left half a line before it."""
        rest = text + b"\n"
        try:
            self._cut()  # what an earlier failure left
        except OSError as error:
            raise NotWritten(str(self._error(error))) from None
        self._is_torn = True
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fdatasync(self._file)
        except OSError as error:
            reason = str(self._error(error))
            try:
                self._cut()
            except OSError:
                raise JournalError(reason) from None
            raise NotWritten(reason) from None
        self._length += len(text) + 1
        self._is_torn = False

    def _cut(self) -> None:
        """See that nothing of what failed is in the file, on disk too: a failed sync may have
        written all of it, and what was refused must not be read again.
        """
        if self._is_torn:
            os.ftruncate(self._file, self._length)
            os.fsync(self._file)
            self._is_torn = False

    def _error(self, error: OSError) -> JournalError:
        return JournalError(f"{self._name} {self._path}: {error.strerror}")


def _save_name(path: Path) -> None:
    """A new file's name must be on disk too, or a power cut takes the file with all its lines."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
