"""A disk that can be full, and what the tests of the journal note on it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from switch.ledger.unwind import Pending

ONE, TWO, THREE = (Pending(n, bytes([n]) * 16, f"{n:06d}") for n in (1, 2, 3))


class Disk:
    """The `os` of the journal, with a disk that can be full."""

    def __init__(self, room: int) -> None:
        self.room = room  #: bytes that still fit

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, file: int, data: bytes) -> int:
        """Write what fits; refuse when nothing does."""
        if self.room <= 0:
            raise OSError(28, "No space left on device")
        written = os.write(file, data[: self.room])
        self.room -= written
        return written


def size(path: Path) -> int:
    """The size of a file, in bytes."""
    return path.stat().st_size


def cut(path: Path, count: int) -> None:
    """Take the last bytes of a file away, as a kill in the middle of a write leaves it."""
    path.write_bytes(path.read_bytes()[:-count])


async def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for it."""
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.005)
