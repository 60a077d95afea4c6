"""
The time that one message has.

There are two limits. A decision must be made by the first, `decide_by`: what is
not decided then is not begun, and 91 is the answer. Between it and the second,
`answer_by`, there is room for the commit, the encoding and the write; whatever
is not written by then is not written at all, since a late answer is worse than
none (the sender has gone on, and reverses or stands in).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a message came, and by when it must be decided and answered.

    Seconds of `time.monotonic`. The event loop's own clock counts the same
    seconds (uvloop's in whole milliseconds, read once a turn), so that both
    limits can be given to `asyncio.timeout_at`.
    """

    received_at: float
    decide_by: float
    answer_by: float

    @classmethod
    def start(cls, received_at: float, within_ms: int, margin_ms: int) -> Self:
        """The limits of a message whose last byte came at `received_at`.

        It is to be answered within `within_ms` milliseconds, of which the last
        `margin_ms` are kept back from the decision.
        """
        answer_by = received_at + within_ms / 1000
        return cls(received_at, answer_by - margin_ms / 1000, answer_by)

    @classmethod
    def patient(cls, received_at: float, seconds: float) -> Self:
        """The limits of what already happened: it is answered however late.

        What cannot be booked within some seconds is not answered: its sender repeats it.
        """
        return cls(received_at, received_at + seconds, math.inf)

    def left(self, now: float) -> float:
        """Seconds until the answer must be written; negative when that is over."""
        return self.answer_by - now

    def answered_late(self, now: float) -> bool:
        """True from `answer_by` on: nothing may be written for this message."""
        return now >= self.answer_by
