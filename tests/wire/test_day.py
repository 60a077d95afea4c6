"""A message is of the day that its DE7 says, which a repeat shares."""

from __future__ import annotations

from datetime import date

import pytest

from switch.wire.day import sent_on


@pytest.mark.parametrize(
    ("stamp", "today", "day"),
    [
        ("0420235959", date(2025, 4, 20), date(2025, 4, 20)),
        ("0420235959", date(2025, 4, 21), date(2025, 4, 20)),  # its repeat, after midnight
        ("1231235959", date(2026, 1, 1), date(2025, 12, 31)),
        ("0101000000", date(2025, 12, 31), date(2026, 1, 1)),
        ("0229120000", date(2024, 3, 1), date(2024, 2, 29)),
        ("0000000000", date(2025, 4, 20), date(2025, 4, 20)),
        ("", date(2025, 4, 20), date(2025, 4, 20)),
        ("x", date(2025, 4, 20), date(2025, 4, 20)),
    ],
)
def test_sent_on(stamp: str, today: date, day: date) -> None:
    """Of the years that DE7 does not say, the one that brings it nearest; else today."""
    assert day == sent_on({7: stamp}, today)
