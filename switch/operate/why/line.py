"""What the log has of a message, by the one line that it wrote: where its time went, and where
nothing was recorded, that it was here at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

#: The steps of a message's line in their order, and what each is called (docs/operating.md).
STEPS = {
    "parse_us": "read",
    "mac_us": "authenticate",
    "find_us": "find the card",
    "hsm_us": "ask the HSM",
    "ledger_us": "decide in the ledger",
    "reply_us": "make the answer",
    "total_us": "in all",
}
_NUMBERS = ("rrn", "stan", "authorization_code")
_LOGGED = (
    "time", "link", "mti", "stan", "rrn", "pan", "reason", "response_code", "outcome", "problem",
)  # fmt: skip
_SAME = ("link", "mti", "stan", "rrn")


class Step(NamedTuple):
    """One step of a message."""

    name: str  #: of the log's field
    label: str
    microseconds: int


def steps_in(
    lines: Iterable[bytes], message: Mapping[str, Any], received_at: datetime
) -> list[Step]:
    """The steps of the first line about a message that is no repeat's; none where there is no line.

    Of several with the same numbers it is the one nearest in time.
    """
    best: tuple[float, Mapping[str, Any]] | None = None
    rrn = message["rrn"].encode()
    for text in lines:
        if rrn not in text:
            continue
        line = _line(text)
        if line is None or any(line.get(name) != message[name] for name in _SAME):
            continue
        distance = _distance(line, received_at)
        if not line.get("repeat") and (best is None or distance < best[0]):
            best = distance, line
    if best is None:
        return []
    return [
        Step(name, label, best[1][name])
        for name, label in STEPS.items()
        if isinstance(best[1].get(name), int)
    ]


def logged(lines: Iterable[bytes], texts: Sequence[str]) -> list[Mapping[str, Any]]:
    """What the log tells of messages with one of these as RRN, STAN or authorization code, as far
    as a list shows it: by the names of the log's fields, in the order of the log.
    """
    wanted = [text.encode() for text in texts]
    found: list[Mapping[str, Any]] = []
    for text in lines:
        line = _line(text) if any(one in text for one in wanted) else None
        if line is not None and any(line.get(name) in texts for name in _NUMBERS):
            found.append({name: line.get(name) for name in _LOGGED})
    return found


def _line(text: bytes) -> Mapping[str, Any] | None:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return line if isinstance(line, dict) and line.get("event") == "message" else None


def _distance(line: Mapping[str, Any], received_at: datetime) -> float:
    try:
        return abs((datetime.fromisoformat(str(line.get("time"))) - received_at).total_seconds())
    except (TypeError, ValueError):
        return float("inf")
