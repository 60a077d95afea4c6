"""Many time limits on one timer of the event loop: most are over before they are reached."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Thing = TypeVar("Thing")

#: Limits that are kept at least before those of things that are done with are looked for.
_SWEEP_FROM = 1_000


@dataclass(slots=True)
class Limit(Generic[Thing]):
    """By when a thing is to be done; none any more where it is known to be."""

    moment: float
    number: int  #: of those of one moment the first goes first
    thing: Thing | None

    def __lt__(self, other: Limit[Thing]) -> bool:
        return (self.moment, self.number) < (other.moment, other.number)


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
        # Nearly all come in the order of their moments, and need none to be made for them.
        self._in_order: deque[Limit[Thing]] = deque()
        self._others: list[Limit[Thing]] = []  # a heap
        self._timer: asyncio.TimerHandle | None = None
        self._first = math.inf  # when the timer is set to; the handle of uvloop may not tell
        self._sweep_at = _SWEEP_FROM

    def __len__(self) -> int:
        """How many are watched, or not yet let go."""
        return len(self._in_order) + len(self._others)

    def add(self, thing: Thing, moment: float) -> Limit[Thing]:
        """Begin to watch a thing; give what `forget` takes once it is done."""
        limit = Limit(moment, next(self._numbers), thing)
        in_order = self._in_order
        if not in_order or moment >= in_order[-1].moment:
            in_order.append(limit)
        else:
            heapq.heappush(self._others, limit)
        if moment < self._first:
            self._wait_for_first()
        if len(in_order) + len(self._others) > self._sweep_at:
            self._sweep()
        return limit

    @staticmethod
    def forget(limit: Limit[Thing]) -> None:
        """Let go of a thing that is done, long before its moment: kept until then, all that hangs
        on it would be cold when its memory is used again.
        """
        limit.thing = None

    def _is_over(self, limit: Limit[Thing]) -> bool:
        return limit.thing is None or self._is_done(limit.thing)

    def _wait_for_first(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        while (first := self._earliest()) is not None and self._is_over(first):
            self._take(first)
        self._timer, self._first = None, math.inf
        if first is not None:
            self._first = first.moment
            self._timer = self._loop.call_at(self._first, self._reached)

    def _reached(self) -> None:
        self._timer, self._first = None, math.inf
        now = self._loop.time()
        while (first := self._earliest()) is not None:
            thing = None if self._is_over(first) else first.thing
            if thing is not None and first.moment > now:
                break
            self._take(first)
            if thing is not None:
                self._on_reached(thing)
        if self._timer is None:  # nothing was added meanwhile
            self._wait_for_first()

    def _earliest(self) -> Limit[Thing] | None:
        in_order, others = self._in_order, self._others
        if not others:
            return in_order[0] if in_order else None
        return min(in_order[0], others[0]) if in_order else others[0]

    def _take(self, first: Limit[Thing]) -> None:
        """Let go of the earliest."""
        if self._in_order and self._in_order[0] is first:
            self._in_order.popleft()
        else:
            heapq.heappop(self._others)

    def _sweep(self) -> None:
        """Let go of what is done with: a limit may be half a minute away."""
        self._in_order = deque(one for one in self._in_order if not self._is_over(one))
        self._others = [one for one in self._others if not self._is_over(one)]
        heapq.heapify(self._others)
        self._sweep_at = max(_SWEEP_FROM, 2 * len(self))
