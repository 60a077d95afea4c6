"""The day of a message: what two copies of it share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import lru_cache

_TRANSMISSION_DATETIME = 7


def sent_on(fields: Mapping[int, str], today: date) -> date:
    """The day of DE7 (MMDDhhmmss, UTC) in the year that brings it nearest to `today`.

    `today` where DE7 is absent or no date. A repeat has the DE7 of its original, so that
    both are of one day, whenever they come.
    """
    return _nearest(fields.get(_TRANSMISSION_DATETIME, "")[:4], today)


@lru_cache(512)
def _nearest(stamp: str, today: date) -> date:
    """That day of any year (MMDD) which is nearest: the same for all messages of a day."""
    days = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            days.append(date(year, int(stamp[:2]), int(stamp[2:])))
        except ValueError:
            continue
    return min(days, key=lambda day: abs(day - today), default=today)
