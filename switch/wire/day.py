"""The day of a message: what two copies of it share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

_TRANSMISSION_DATETIME = 7


def sent_on(fields: Mapping[int, str], today: date) -> date:
    """The day of DE7 (MMDDhhmmss, UTC) in the year that brings it nearest to `today`.

    `today` where DE7 is absent or no date. A repeat has the DE7 of its original, so that
    both are of one day, whenever they come.
    """
    stamp = fields.get(_TRANSMISSION_DATETIME, "")
    days = []
    for year in (today.year - 1, today.year, today.year + 1):
        try:
            days.append(date(year, int(stamp[:2]), int(stamp[2:4])))
        except ValueError:
            continue
    return min(days, key=lambda day: abs(day - today), default=today)
