"""
What is played: stories by weight, what goes wrong by share, times in seconds of the story.

A mix is a TOML file with three tables. What it does not say is as here; a story that it does not
name, where it names any, is not told.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import inf
from pathlib import Path
from typing import Any

from switch.operate.replay.error import ReplayError

#: Every story, and how often it is told where no mix says otherwise.
WEIGHTS: Mapping[str, float] = {
    "chip_pin": 26, "contactless": 30, "ecommerce": 14, "stripe": 4, "atm_cash": 8,
    "preauthorization": 5, "refund": 2, "inquiry": 2, "verification": 2, "wrong_pin": 2,
    "unknown_card": 1, "stopped_card": 1, "insufficient_funds": 3,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shares:
    """How often something happens, of 1."""

    repeat: float = 0.01  #: an answered request comes again (0101): its answer went astray
    twin: float = 0.005  #: a request comes over two links at once
    give_up: float = 0.02  #: the terminal takes back what was approved (0400)
    give_back: float = 0.01  #: an approval is taken back in part (0420 with DE95)
    ask_again: float = 0.3  #: of requests without an answer: one more try (0101)
    watch: float = 0.2  #: of those still without one: a late approval is waited for, and reversed
    stand_in: float = 0.6  #: of the others, and of 91: the scheme decides itself (0120, 0220)
    refuse: float = 0.3  #: of those: it declines


@dataclass(frozen=True, slots=True)
class Times:
    """In seconds of the story; none of the troubles happens where its time is 0."""

    time_out: float = 10.0  #: until a request counts as not answered
    watch: float = 30.0  #: how long a late answer is waited for after that
    repeat_after: float = 20.0  #: until an advice or a reversal is sent again
    think: float = 10.0  #: between the steps of one story, on average
    echo_every: float = 60.0
    cut_every: float = 600.0  #: on average, over all links
    cut_for: float = 5.0
    deaf_every: float = 900.0  #: on average: a link that reads nothing
    deaf_for: float = 5.0


@dataclass(frozen=True, slots=True)
class Mix:
    """All of it."""

    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    shares: Shares = field(default_factory=Shares)
    times: Times = field(default_factory=Times)


def read_mix(path: Path) -> Mix:
    """Read a mix. Raises `ReplayError` naming the file, the table and the key."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ReplayError(f"{path}: not TOML: {error}") from None
    for table in document.keys() - {"stories", "shares", "times"}:
        raise ReplayError(f"{path}: unknown table {table!r}: there are stories, shares and times")
    weights = _numbers(document, "stories", path, WEIGHTS)
    if weights and not any(weights.values()):
        raise ReplayError(f"{path}: stories: one must have a weight")
    shares = _numbers(document, "shares", path, [each.name for each in fields(Shares)], most=1.0)
    times = _numbers(document, "times", path, [each.name for each in fields(Times)])
    return Mix(weights or WEIGHTS, replace(Shares(), **shares), replace(Times(), **times))


def _numbers(
    document: Mapping[str, Any], table: str, path: Path, known: Any, most: float = inf
) -> dict[str, float]:
    """A table of numbers that are not below zero, by names that are known."""
    given = document.get(table, {})
    if not isinstance(given, dict):
        raise ReplayError(f"{path}: {table}: must be a table")
    for name, value in given.items():
        if name not in known:
            raise ReplayError(f"{path}: {table}.{name}: unknown; known are {', '.join(known)}")
        if type(value) not in (int, float) or not 0 <= value <= most or value == inf:
            upto = "a number from 0" if most > 1 else "a share from 0 to 1"
            raise ReplayError(f"{path}: {table}.{name}: must be {upto}")
    return {name: float(value) for name, value in given.items()}
