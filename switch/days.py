"""Which day it is, in a time zone: worked out once a day, for every message asks."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta, tzinfo

#: Of each time zone: from when, until when, in seconds since 1970, it is which day.
_days: dict[tzinfo, tuple[float, float, date]] = {}


def today(zone: tzinfo = UTC) -> date:
    """The calendar day in a time zone."""
    now = time.time()
    since, until, day = _days.get(zone, _NEVER)
    if not since <= now < until:  # also where the clock was set back
        day = datetime.fromtimestamp(now, zone).date()
        since, until = (_midnight(one, zone) for one in (day, day + timedelta(days=1)))
        _days[zone] = since, until, day
    return day


def _midnight(day: date, zone: tzinfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


_NEVER = (0.0, 0.0, date.min)
