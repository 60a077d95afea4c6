"""Many time limits on one timer of the event loop: most are over before they are reached."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from typing import Generic, TypeVar

Thing = TypeVar("Thing")

#: Limits that are kept at least before those of things that are done with are looked for.
_SWEEP_FROM = 1_000


class TimeLimits(Generic[Thing]):
    """Things that are each to be done by a moment of the loop's clock."""

    def __init__(
        self, is_done: Callable[[Thing], bool], on_reached: Callable[[Thing], None]
    ) -> None:
        """`on_reached` is given what is not done by its moment."""
        self._is_done = is_done
        self._on_reached = on_reached
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count()
        self._limits: list[tuple[float, int, Thing]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._first = math.inf  # when the timer is set to; the handle of uvloop may not tell
        self._sweep_at = _SWEEP_FROM

    def __len__(self) -> int:
        """How many are watched, or not yet let go."""
        return len(self._limits)

    def add(self, thing: Thing, moment: float) -> None:
        """Begin to watch a thing."""
        heapq.heappush(self._limits, (moment, next(self._numbers), thing))
        if moment < self._first:
            self._wait_for_first()
        if len(self._limits) > self._sweep_at:
            self._sweep()

    def _wait_for_first(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        limits = self._limits
        while limits and self._is_done(limits[0][2]):
            heapq.heappop(limits)
        self._timer, self._first = None, math.inf
        if limits:
            self._first = limits[0][0]
            self._timer = self._loop.call_at(self._first, self._reached)

    def _reached(self) -> None:
        self._timer, self._first, limits = None, math.inf, self._limits
        now = self._loop.time()
        while limits and (limits[0][0] <= now or self._is_done(limits[0][2])):
            _, _, thing = heapq.heappop(limits)
            if not self._is_done(thing):
                self._on_reached(thing)
        if self._timer is None:  # nothing was added meanwhile
            self._wait_for_first()

    def _sweep(self) -> None:
        """Let go of what is done with: a limit may be half a minute away."""
        self._limits = [limit for limit in self._limits if not self._is_done(limit[2])]
        heapq.heapify(self._limits)
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self._limits))
