"""
When each message of a load is due, in seconds from its beginning, without a clock.

A schedule ends by itself or goes on for ever; who plays it stops it after so many messages.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

from switch.operate.replay.error import ReplayError

__all__ = ["as_recorded", "constant", "poisson"]


def as_recorded(times: Sequence[float | None], speed: float) -> Iterator[float]:
    """As the recording has it, `speed` times as fast, and again from its beginning after its end.

    Raises `ReplayError` for a recording without times. The last message of a round and the
    first of the next stand as far apart as messages do on average.
    """
    known = [each for each in times if each is not None]
    if len(known) < len(times) or not known:
        raise ReplayError("the recording has no times to keep: give --rate or another pace")
    span = max(known) - known[0]
    span += span / (len(known) - 1) if len(known) > 1 else 1.0
    return (
        (begun + at - known[0]) / speed
        for begun in (span * cycle for cycle in itertools.count())
        for at in known
    )


def constant(per_second: float) -> Iterator[float]:
    """At the same distance all the time."""
    return (number / per_second for number in itertools.count())


def poisson(per_second: float, seed: int) -> Iterator[float]:
    """As independent customers arrive: distances are exponential, that many a second on average."""
    chance = random.Random(seed)  # noqa: S311 - traffic is no secret
    return itertools.accumulate(chance.expovariate(per_second) for _ in itertools.count())
