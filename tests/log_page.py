"""What docs/logs.md says of fields, events and recipes, for tests to hold lines and code to it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from switch.log_events import EVENTS
from tests.traffic import ROOT

PAGE = (ROOT / "docs" / "logs.md").read_text()

#: Kinds of value, as the page calls them.
KINDS: dict[str, tuple[type, ...]] = {
    "text": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
}  # fmt: skip
LEVELS = ("info", "warning", "error")

_FIELD = re.compile(
    r"^\| `(\w+)` \| (text|integer|number|boolean) \|[^|]*\| [^|]+ \| `(.+)` \|$", re.M
)
_EVENT = re.compile(
    r"^\| ((?:`\w+`(?:, )?)+) \| ((?:info|warning|error|, | or )+) \| ((?:`\w+` ?)*|any )\|"
    r" \S[^|]* \| (?:[^|]* )?\|$",
    re.M,
)
RECIPE = re.compile(r"^```sh\n(jq .*?)^```\n\n```\n(.*?)^```$", re.M | re.S)


class EventRow(NamedTuple):
    """A row of the page's tables of events, which may be about several."""

    names: list[str]
    levels: list[str]
    fields: set[str]


@cache
def kinds() -> Mapping[str, tuple[type, ...]]:
    """Every field with what its values may be, null apart."""
    return {name: KINDS[kind] for name, kind, _ in _FIELD.findall(PAGE)}


def examples() -> dict[str, Any]:
    """Every field's example."""
    return {name: json.loads(example) for name, _, example in _FIELD.findall(PAGE)}


def event_rows() -> list[EventRow]:
    """The rows about events."""
    return [
        EventRow(re.findall(r"\w+", names), re.findall(r"\w{4,}", levels),
                 set(re.findall(r"`(\w+)`", fields)))
        for names, levels, fields in _EVENT.findall(PAGE)
    ]  # fmt: skip


def recipes() -> list[tuple[str, str]]:
    """Commands over `switch.log`, and what they print over the recorded one."""
    return RECIPE.findall(PAGE)


def tails() -> list[tuple[str, str]]:
    """Options of `switch tail`, and what it shows of the recorded log."""
    return re.findall(
        r"^    switch tail switch\.log (-[^\n]*)\n\n```\n(.*?)^```$", PAGE, re.M | re.S
    )


def table_of(heading: str) -> set[str]:
    """The names in the first column of the table with that heading."""
    _, rest = re.split(rf"^\| {re.escape(heading)} \|.*\n\|---", PAGE, maxsplit=1, flags=re.M)
    firsts = re.findall(r"^\| (`[^|]*)\|", rest.partition("\n\n")[0], re.M)
    return {name for first in firsts for name in re.findall(r"`(\w+)`", first)}


def problems(line: Mapping[str, Any]) -> list[str]:
    """What of a line is not as the page says; nothing, mostly."""
    said = []
    event = line["event"]
    if event not in EVENTS or event == "unnamed":
        return [f"no event {event}"]
    if line["level"] not in LEVELS:
        said.append(f"{event}: no level {line['level']}")
    allowed = {"time", "level", "event", "logger", *EVENTS[event].fields.split()}
    for name, value in line.items():
        if name not in allowed:
            said.append(f"{event} has no {name}")
        elif value is not None and type(value) not in kinds()[name]:
            said.append(f"{event}: {name} is {type(value).__name__}")
    return said
