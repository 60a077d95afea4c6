"""Counts of values by size, as cheap as a search in a short list."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Tally:
    """How many values did not exceed each of some bounds, and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        """`bounds` rise; what exceeds the last one is counted after it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)  #: each above the bound before, up to its own
        self.sum: float = 0

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value
