"""Lines of files: the last ones, and those that are added, over rotation and truncation."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from switch.operate.tail.lines import LINE_MAX, Lines

#: Bytes that are read at once.
READ_MAX = 256 * 1024
_BLOCK = 64 * 1024


def backwards(file: BinaryIO, end: int) -> Iterator[bytes]:
    """The lines before a position, the last first."""
    rest = b""
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        first, *lines = (file.read(end - start) + rest).split(b"\n")
        yield from filter(None, map(bytes.rstrip, reversed(lines)))
        rest, end = first[:LINE_MAX], start
    if rest.strip():
        yield rest.rstrip()


def whole_until(file: BinaryIO) -> int:
    """The position after the last line end: what follows is a line that is still being written."""
    end = file.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - _BLOCK)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


class Followed:
    """A file that others write to. Where another one takes its name, that one is read on."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` where it cannot be read."""
        self._path = path
        self._lines = Lines()
        self.file: BinaryIO = path.open("rb", buffering=0)

    def more(self) -> list[bytes]:
        """The lines that were added; none where there is nothing new."""
        data = self.file.read(READ_MAX)
        if data:
            return self._lines.feed(data)
        successor = self._successor()
        if successor is not None:
            # What its writer added before it let go comes first.
            lines = self._lines.feed(self.file.read())
            self.file.close()
            self.file = successor
            return [*lines, *self._half()]
        if os.fstat(self.file.fileno()).st_size < self.file.tell():
            self.file.seek(0)
            return self._half()
        return []

    def close(self) -> None:
        """Close it."""
        self.file.close()

    def _successor(self) -> BinaryIO | None:
        """The other file that has its name now; one that is only gone may come again."""
        try:
            if os.path.samestat(self._path.stat(), os.fstat(self.file.fileno())):
                return None
            return self._path.open("rb", buffering=0)
        except OSError:
            return None

    def _half(self) -> list[bytes]:
        """What nobody will write to its end any more."""
        half = self._lines.end()
        return [half] if half else []
