"""An event loop whose clock jumps: waiting costs nothing, and every run is the same."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar
from unittest.mock import patch

from switch.ledger import batch

T = TypeVar("T")


class Stranded(Exception):
    """Something waits, and nothing will ever happen."""


class _Selector(selectors.SelectSelector):
    """Instead of waiting, moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Stranded
            self.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that begins at zero."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds since the loop was made."""
        return self._clock.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a clock of its own, which the batcher reads too."""
    loop = VirtualLoop()
    try:
        with patch.object(batch, "time", SimpleNamespace(monotonic=loop.time)):
            return loop.run_until_complete(work)
    finally:
        loop.close()
