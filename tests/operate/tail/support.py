"""Lines of a log as tests want them."""

from __future__ import annotations

from typing import Any

import orjson

from switch.operate.tail.lines import Entry, parse

MESSAGE: dict[str, Any] = {
    "time": "2026-11-22T08:00:21.004512Z", "level": "info", "event": "message",
    "logger": "switch", "link": "demo", "mti": "0100", "stan": "000003", "rrn": "632608000003",
    "pan": "47617390****0119", "amount_minor": 2500, "currency": "978", "mcc": "5411",
    "merchant": "GROCER BERLIN DE", "terminal": "TERM0001", "entry_mode": "051", "tvr": None,
    "cvr": None, "reason": "approved", "response_code": "00", "authorization_code": "330620",
    "effect": None, "repeat": False, "outcome": "sent", "batch": 1, "problem": None,
    "parse_us": 61, "find_us": 214, "hsm_us": 96, "ledger_us": 1380, "reply_us": 47,
    "total_us": 1912, "left_ms": 248.1,
}  # fmt: skip
EVENT: dict[str, Any] = {
    "time": "2026-11-22T08:00:22.000001Z", "level": "warning", "event": "link_state",
    "logger": "switch", "link": "demo", "state": "down", "count": 0,
}  # fmt: skip


def raw(line: dict[str, Any], **changed: Any) -> bytes:
    """A line as it stands in a file."""
    return orjson.dumps(line | changed)


def message(**changed: Any) -> Entry:
    """A message's line."""
    return parse(raw(MESSAGE, **changed))


def event(**changed: Any) -> Entry:
    """An event's line."""
    return parse(raw(EVENT, **changed))
