"""How many frames the connections of one link take in one turn of the loop, all together.

Taken without a bound, a storm of echoes on many connections would make everybody else late. With
it, a message on another link waits for so many frames at most whenever it waits for the loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

#: Frames of one link in one turn: some milliseconds, where all are echoes, or refused for overload.
FRAMES_A_TURN = 16


class Turns:
    """Shares turns out among those who have frames, first come, first served."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.room = FRAMES_A_TURN  #: frames that may still be taken in this turn
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_next_due = False

    def took(self, count: int) -> None:
        """So many were taken."""
        self.room -= count
        self._next_soon()

    def wait(self, go_on: Callable[[], None]) -> None:
        """Be called once there is room, in a later turn."""
        self._waiting.append(go_on)
        self._next_soon()

    def _next_soon(self) -> None:
        if not self._is_next_due:
            self._is_next_due = True
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        self._is_next_due = False
        self.room = FRAMES_A_TURN
        # Who is not done stands at the end again, and has its next turn later.
        for _ in range(len(self._waiting)):
            if self.room <= 0:
                break
            self._waiting.popleft()()
        if self._waiting:
            self._next_soon()
