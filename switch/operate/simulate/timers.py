"""What is to be done later, in the order of its time."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

#: Something to do, which is told when it was due.
Do = Callable[[float], None]


class Timers:
    """A heap of times."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._waiting: list[tuple[float, int, Do]] = []

    def at(self, moment: float, do: Do) -> None:
        """Do something at that time."""
        heapq.heappush(self._waiting, (moment, next(self._numbers), do))

    @property
    def next(self) -> float:
        """When something is due; infinity: never."""
        return self._waiting[0][0] if self._waiting else float("inf")

    def do_due(self, now: float, most: int) -> None:
        """Do so much at most of what is due."""
        for _ in range(most):
            if self.next > now:
                break
            moment, _, do = heapq.heappop(self._waiting)
            do(moment)
