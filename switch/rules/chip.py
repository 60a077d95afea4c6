"""What a program says of its chips: the window of their counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: As far back as counters are remembered (chip_counters.seen has 64 bits, the highest is one).
BEHIND_MOST = 63
AHEAD_MOST = 65_535


@dataclass(frozen=True, slots=True)
class AtcWindow:
    """Where the counter of a right cryptogram may stand to the highest that was seen.

    Messages overtake each other, so a little behind is good, each counter once; a card
    counts offline too, so that any step ahead is good where none is set.
    """

    behind: int = 16
    ahead: int | None = None

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> AtcWindow:
        """Read `atc` of a program's settings; raise `ValueError` naming what is wrong."""
        if not isinstance(given, Mapping) or not given.keys() <= {"behind", "ahead"}:
            raise ValueError("atc")
        window = cls(**given)
        if not _is_within(window.behind, 0, BEHIND_MOST):
            raise ValueError("atc.behind")
        if window.ahead is not None and not _is_within(window.ahead, 1, AHEAD_MOST):
            raise ValueError("atc.ahead")
        return window


def _is_within(value: Any, least: int, most: int) -> bool:
    return type(value) is int and least <= value <= most
