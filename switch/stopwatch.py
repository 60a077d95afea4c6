"""Where the microseconds of one message go."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """Laps of one message. Counting one costs a quarter of a microsecond; adding them up waits."""

    __slots__ = ("_marks", "_started")

    def __init__(self) -> None:
        self._started = perf_counter()
        self._marks: list[tuple[str, float]] = []

    def lap(self, name: str) -> None:
        """The time since the last lap goes under this name."""
        self._marks.append((name, perf_counter()))

    @property
    def laps(self) -> dict[str, int]:
        """Whole microseconds by name; those of one name are added up."""
        laps: dict[str, int] = {}
        last = self._started
        for name, at in self._marks:
            laps[name] = laps.get(name, 0) + int((at - last) * 1_000_000)
            last = at
        return laps
