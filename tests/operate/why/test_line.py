"""Where a message's time went is found in the log by its line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson

from switch.operate.why.line import steps_in

AT = datetime(2026, 11, 28, 8, 0, 0, tzinfo=UTC)
MESSAGE = {"link": "demo", "mti": "0100", "stan": "000003", "rrn": "632608000003"}


def line(**changed: Any) -> bytes:
    """A line of the log."""
    about = {"time": "2026-11-28T08:00:00.120000Z", "level": "info", "event": "message", **MESSAGE,
             "repeat": False, "parse_us": 70, "hsm_us": 200, "ledger_us": 900, "mac_us": None,
             "total_us": 1_200}  # fmt: skip
    return orjson.dumps(about | changed) + b"\n"


def told(*lines: bytes) -> list[tuple[str, int]]:
    """The steps that are found."""
    return [(step.name, step.microseconds) for step in steps_in(lines, MESSAGE, AT)]


OURS = [("parse_us", 70), ("hsm_us", 200), ("ledger_us", 900), ("total_us", 1_200)]


def test_its_own_line() -> None:
    """It is told from other messages, from its repeat, from events and from what is no line."""
    others = [
        line(stan="000004"),
        line(link="other"),
        line(mti="0101", repeat=True),
        line(event="link_up"),
        b"no json 632608000003\n",
        b'"632608000003"\n',
        b"\xff\n",
    ]
    assert OURS == told(*others, line(), line(repeat=True, parse_us=1))
    assert [] == told(*others)


def test_the_nearest_in_time() -> None:
    """Numbers come again: of several lines it is the one nearest to when it was recorded."""
    yesterday = line(time="2026-11-27T08:00:00Z", parse_us=1)
    assert OURS == told(yesterday, line(), line(time=None, parse_us=2))
    assert OURS == told(line(), yesterday)
