"""
Latencies by their size, to three significant digits (the way of HdrHistogram).

Below 2,048 µs each microsecond is counted by itself; above, each doubling is cut in 1,024
steps, so that a figure is never off by more than a thousandth of itself. Counts of two
histograms add up, whatever they were made of.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from itertools import accumulate

_EXACT_BITS = 11
_STEP_BITS = _EXACT_BITS - 1
_STEPS = 1 << _STEP_BITS
#: Beyond this nothing is told apart: an hour, in microseconds.
_MOST_US = 3_600_000_000


class Histogram:
    """Counts of latencies in seconds."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()
        self._total_us = 0
        self.count = 0
        self.max = 0.0  #: seconds, exactly

    def add(self, seconds: float, count: int = 1) -> None:
        """Take in one latency, or as many as say the same."""
        self._add_us(int(seconds * 1_000_000), count)
        if seconds > self.max:
            self.max = seconds

    def add_all_us(self, latencies: Iterable[int]) -> None:
        """Take in many, in whole microseconds."""
        counts = Counter(latencies)
        for us, count in counts.items():
            self._add_us(us, count)
        self.max = max(self.max, max(counts, default=0) / 1_000_000)

    def _add_us(self, us: int, count: int) -> None:
        us = min(max(0, us), _MOST_US)
        shift = us.bit_length() - _EXACT_BITS
        self._counts[us if shift <= 0 else (shift << _STEP_BITS) + (us >> shift)] += count
        self._total_us += us * count
        self.count += count

    def merge(self, other: Histogram) -> None:
        """Take in all that another one counted."""
        self._counts.update(other._counts)
        self._total_us += other._total_us
        self.count += other.count
        self.max = max(self.max, other.max)

    def remove(self, other: Histogram) -> None:
        """Take out what was merged in before. The longest stays: who slides a window sets it."""
        for slot, count in other._counts.items():
            self._counts[slot] -= count
            if not self._counts[slot]:
                del self._counts[slot]
        self._total_us -= other._total_us
        self.count -= other.count

    @property
    def mean(self) -> float:
        """In seconds; not a number where nothing was counted."""
        return self._total_us / 1_000_000 / self.count if self.count else float("nan")

    def quantile(self, share: float) -> float:
        """The least latency, in seconds, that this share of all does not exceed."""
        return self.quantiles((share,))[0]

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """The same of several shares, in one pass."""
        if not self.count:
            return [float("nan") for _ in shares]
        slots = sorted(self._counts)
        up_to = list(accumulate(map(self._counts.__getitem__, slots)))
        wanted = (min(max(1, _ceil(share * self.count)), self.count) for share in shares)
        return [self._seconds(slots[bisect_left(up_to, count)]) for count in wanted]

    def shares(self) -> list[tuple[float, float]]:
        """Every latency that was counted, in seconds and rising, with the share up to it."""
        points, seen = [], 0
        for slot, count in sorted(self._counts.items()):
            seen += count
            points.append((self._seconds(slot), seen / self.count))
        return points

    def _seconds(self, slot: int) -> float:
        """The highest latency of a slot, and never more than there was."""
        shift = max(0, (slot >> _STEP_BITS) - 1)
        us = ((slot - (shift << _STEP_BITS) + 1) << shift) - 1
        return min(us / 1_000_000, self.max)


def _ceil(number: float) -> int:
    # A share of a count is a hair above a whole number as often as not: 0.07 × 100.
    return -int(-(number - 1e-9) // 1)
