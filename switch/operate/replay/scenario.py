"""Scenarios: what to send and what its answers should be, a message a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from specs.spec import Spec
from switch.operate.replay.error import ReplayError
from switch.wire.conversation import Event, Format, Malformed
from switch.wire.frame import Framing
from switch.wire.header import HeaderError, Opened, header_of

_BINARY = "0x"


@dataclass(frozen=True, slots=True)
class Step:
    """One message to send, and what its answer should be."""

    number: int
    note: str
    mti: str
    fields: dict[int, str] = field(repr=False)  #: a value may be "from N": of that answer
    payload: bytes | None = field(repr=False)  #: as recorded; none where it must be encoded
    expect: dict[str, str] | None  #: none: nothing to compare with
    at: float | None = None  #: seconds, by the recording's clock; none: it has no times
    connection: int = 0  #: of a capture, in the order of their beginnings
    code_from: int | None = None  #: the message whose answer brought this one's DE38


def read_scenario(path: Path, spec: Spec) -> list[Step]:
    """Read a scenario: one JSON object a line, with fields, expectations and bytes."""
    return [_step(number, row, path) for number, row in _rows(path)]


def form_of(framing: str, header: str = "none", header_hex: str = "") -> Format:
    """A link's framing and header, as its settings name them; raises `ReplayError`."""
    try:
        ours = bytes.fromhex(header_hex)
    except ValueError:
        raise ReplayError("the header must be hex") from None
    if header == "fixed" and not ours:
        raise ReplayError("a fixed header needs its bytes")
    try:
        return Format(Framing.parse(framing), header_of(header, ours))
    except ValueError as error:
        raise ReplayError(str(error)) from None


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = orjson.loads(line)
            yield number, {"fields": {}, "mti": "", **row}
        except (ValueError, TypeError):
            raise ReplayError(f"{path}: line {number}: not a JSON object") from None


def _step(number: int, row: dict[str, Any], path: Path) -> Step:
    try:
        return Step(
            number=row.get("id", number),
            note=row.get("note", ""),
            mti=row["mti"],
            fields={int(de): _plain(value) for de, value in row["fields"].items()},
            payload=bytes.fromhex(row["hex"]) if row.get("hex") else None,
            expect=row.get("expect"),
            at=None if row.get("at") is None else float(row["at"]),
        )
    except (ValueError, TypeError, AttributeError):
        raise ReplayError(f"{path}: line {number}: fields or hex are not a message's") from None


def _plain(value: str) -> str:
    """Binary is marked `0x` in a scenario and stands as hex in a message."""
    return value.removeprefix(_BINARY)


def messages_of(events: Iterable[Event]) -> Iterator[bytes]:
    """What is a message among the events of a link; raises `HeaderError`."""
    for event in events:
        if isinstance(event, Malformed):
            raise HeaderError(event.problem, event.offset)
        if isinstance(event, Opened):
            yield event.message
