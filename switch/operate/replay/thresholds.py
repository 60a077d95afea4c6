"""What a load must show, as it is typed: `p99<20ms`, `unanswered=0`, `approved>=95%`."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from switch.operate.replay.error import ReplayError

#: Figures that are times; any other percentile may be asked for as well: p97.5.
TIMES = ("mean", "max")
#: Figures that are counts, or a count a second.
COUNTS = (
    "sent", "answered", "approvals", "unanswered", "late", "wrong", "duplicates", "unasked",
    "unreadable", "lost", "rate", "missing", "broken",
)  # fmt: skip
#: Figures that are shares of what was answered.
SHARES = ("approved",)

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
_UNITS: Mapping[str, Mapping[str, float]] = {
    "time": _SECONDS,
    "count": {"": 1.0},
    "share": {"%": 0.01, "": 1.0},
}
_FORM = re.compile(
    r"\s*(?P<figure>[a-z_]+[0-9.]*)\s*(?P<sign><=|>=|<|>|=)\s*(?P<value>\d+(?:\.\d+)?)\s*"
    r"(?P<unit>us|µs|ms|s|%|/s|)\s*"
)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True, slots=True)
class Threshold:
    """One figure and what it is held to, in seconds where it is a time."""

    text: str
    figure: str
    sign: str
    value: float

    def is_met(self, figure: float) -> bool:
        """Whether a figure is as it must be: one that is none (no answers) meets nothing."""
        return _COMPARISONS[self.sign](figure, self.value)


class Figures(Protocol):
    """Whatever was measured."""

    def figure(self, name: str) -> float:
        """A figure by its name; not a number where there is none."""
        ...


def parse(text: str, counts: Sequence[str] = COUNTS) -> Threshold:
    """A threshold as it is typed. Raises `ReplayError` that says what could stand there."""
    parts = _FORM.fullmatch(text)
    kind = _kind(parts["figure"], counts) if parts else None
    if parts is None or kind is None:
        figures = ", ".join(("p99", *TIMES, *counts, *SHARES))
        raise ReplayError(f"{text!r}: give a figure, < <= > >= or =, a value; figures: {figures}")
    unit = parts["unit"].removeprefix("/s") if parts["figure"] == "rate" else parts["unit"]
    if unit not in _UNITS[kind]:
        units = " or ".join(each or "none" for each in _UNITS[kind])
        raise ReplayError(f"{text!r}: the unit of {parts['figure']} is {units}")
    value = float(parts["value"]) * _UNITS[kind][unit]
    return Threshold(text.strip(), parts["figure"], parts["sign"], value)


def percentile(figure: str) -> float | None:
    """The share that a percentile's name says: p99.9 → 0.999; none for another figure."""
    found = _PERCENTILE.fullmatch(figure)
    return float(found[1]) / 100 if found else None


def missed(given: Sequence[Threshold], none_of: Sequence[str], figures: Figures) -> list[Threshold]:
    """What does not hold: of what was given, and of the figures that must be 0 where nothing else
    was said of them. One of those that nobody measured misses nothing.
    """
    said = {each.figure for each in given}
    unsaid = [Threshold(f"{name}=0", name, "=", 0.0) for name in none_of if name not in said]
    values = [(each, figures.figure(each.figure)) for each in (*unsaid, *given)]
    return [
        each
        for each, value in values
        if not (each.is_met(value) or (each.figure in none_of and math.isnan(value)))
    ]


def _kind(figure: str, counts: Sequence[str]) -> str | None:
    if figure in TIMES or percentile(figure) is not None:
        return "time"
    return "count" if figure in counts else "share" if figure in SHARES else None
