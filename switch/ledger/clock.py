"""The database's clock, told by ours: a moment to decide by travels as an absolute time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import asyncpg

#: Readings of which the quickest is believed: the shorter the trip, the surer the reading.
_READINGS = 5


class DatabaseClock:
    """Translates moments of the event loop's clock to the database's.

    An absolute time, and not the milliseconds left, for those would start anew in a
    backend that was stopped and went on.
    """

    def __init__(self) -> None:
        self._offset: float | None = None

    async def measure(self, connection: asyncpg.Connection) -> None:
        """Read the database's clock; trust the reading with the shortest round trip."""
        best = float("inf")
        for _ in range(_READINGS):
            before = time.monotonic()
            there: datetime = await connection.fetchval("SELECT clock_timestamp()")
            after = time.monotonic()
            if after - before < best:
                best = after - before
                # Read as late as it can have been, so that nothing is decided after its time.
                self._offset = there.timestamp() - after
        assert self._offset is not None  # noqa: S101 - there is at least one reading

    def there(self, moment: float) -> float:
        """The database's time at a moment of the loop's clock, in seconds since 1970."""
        if self._offset is None:
            raise RuntimeError("the database's clock was never read")
        return moment + self._offset
