"""Where the microseconds of one message go."""

from __future__ import annotations

from time import perf_counter


class Stopwatch:
    """Laps of one message, in whole microseconds."""

    __slots__ = ("_last", "laps")

    def __init__(self) -> None:
        self.laps: dict[str, int] = {}
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """Count the time since the last lap under this name, beside what stands there."""
        now = perf_counter()
        self.laps[name] = self.laps.get(name, 0) + int((now - self._last) * 1_000_000)
        self._last = now
