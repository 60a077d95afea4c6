"""Events as lines of a file, which is set aside when it is large: the embedded default."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path

from switch.events.event import Event
from switch.events.sink import SinkUnavailable

#: The file that is written; those set aside are events.jsonl.1, the youngest, and so on.
NAME = "events.jsonl"
_MODE = 0o600


class FileSink:
    """A JSON object a line. What `publish` returned from is on the disk."""

    name = "file"

    def __init__(self, folder: Path, *, bytes_max: int, kept: int) -> None:
        """A file of `bytes_max` or more is set aside, `kept` of those stay. Touches nothing yet."""
        self._path = folder / NAME
        self._bytes_max = bytes_max
        self._kept = kept
        self._file: FileIO | None = None

    def publish(self, events: Sequence[Event]) -> None:
        """Append them. See `Sink.publish`: where it fails, a part of them may be there."""
        try:
            file = self._file or self._open()
            if file.tell() >= self._bytes_max:
                file = self._next()
            data = memoryview(b"".join(event.body + b"\n" for event in events))
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError as error:
            self.close()
            raise SinkUnavailable(f"{self._path.name}: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> FileIO:
        """The file, at its end; half a line, of a process that was killed, is cut off."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = FileIO(os.open(self._path, flags, _MODE), "r+")
        try:
            # Who published before may not know yet that it does no more.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
        file.truncate(_end_of_lines(file))
        file.seek(0, os.SEEK_END)
        _fsync_folder(self._path.parent)
        self._file = file
        return file

    def _next(self) -> FileIO:
        self.close()
        aside = [self._path.with_name(f"{NAME}.{number}") for number in range(1, self._kept + 1)]
        for younger, older in reversed(list(zip([self._path, *aside], aside, strict=False))):
            if younger.exists():
                younger.replace(older)
        return self._open()


def _end_of_lines(file: FileIO) -> int:
    """Where the last whole line ends."""
    end = file.seek(0, os.SEEK_END)
    while end:
        begin = max(0, end - 65_536)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
