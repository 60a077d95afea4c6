"""A burst of requests that are refused for overload: told when it begins and when it is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

#: A burst is over once nothing was refused for so long, in seconds.
QUIET_SECONDS = 1.0


class Shedding:
    """Bursts of one link, one after another. Only a request that is refused costs anything."""

    def __init__(self, on_event: Callable[..., None]) -> None:
        """`on_event` is told `shedding` with the first refusal's problem, then `shedding_ended`."""
        self._on_event = on_event
        self._count = 0
        self._began_at = self._last_at = 0.0
        self._look: asyncio.TimerHandle | None = None

    def refused(self, problem: str) -> None:
        """One more request was refused."""
        self._count += 1
        self._last_at = time.monotonic()
        if self._look is None:
            self._began_at = self._last_at
            self._on_event("shedding", problem=problem)
            self._look_after(QUIET_SECONDS)

    def end(self) -> None:
        """Tell that it is over, where there is a burst."""
        if self._look is None:
            return
        self._look.cancel()
        self._look = None
        count, self._count = self._count, 0
        seconds = round(self._last_at - self._began_at, 3)
        self._on_event("shedding_ended", count=count, seconds=seconds)

    def _look_after(self, seconds: float) -> None:
        self._look = asyncio.get_running_loop().call_later(seconds, self._end_or_wait)

    def _end_or_wait(self) -> None:
        left = self._last_at + QUIET_SECONDS - time.monotonic()
        if left > 0:
            self._look_after(left)
        else:
            self.end()
