"""
How a refused setting is told: one line with its source, its key and the reason.

The words are ours. What pydantic says is not passed on, for it repeats values,
and a value can be a password.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Iterable, Mapping

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

PREFIX = "SWITCH_"
DELIMITER = "__"

#: Where an entry of a list stands.
_LAST_INDEX = re.compile(r"\[[0-9]+\]$")

#: Keys that people will look for, and why this version refuses them.
NOT_SUPPORTED = {
    ("vault", "token_key"): "is a list now: token_keys",
    ("vault", "data_key"): "is a list now: data_keys",
}

#: What pydantic finds, in our words.
REASONS = {
    "missing": "is required",
    "too_short": "must name one at least",
    "too_long": "names too many",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be text",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
}


class SettingsError(ValueError):
    """A setting that cannot be served, in one line: where it stands, its key, the reason."""

    def __init__(self, source: str, key: str, reason: str) -> None:
        line = ": ".join(part for part in (source, key, reason) if part)
        super().__init__("".join(sign if sign.isprintable() else "?" for sign in line))
        self.source = source  #: the file, or the environment variable
        self.key = key  #: dotted: links[0].answer_within_ms; empty where it is the whole file
        self.reason = reason


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """The reason for a key or a section that is not known, with the nearest one that is."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"unknown {kind}, did you mean {near[0]}?" if near else f"unknown {kind}"


def refusal_of(
    error: ValidationError, source: str, sections: Mapping[str, type[BaseModel]]
) -> SettingsError:
    """One error for all that pydantic found: the most telling one."""
    details = error.errors(include_url=False, include_input=False)
    # A misspelt key is also a missing one; the spelling is what helps.
    first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])[1:]
    return SettingsError(origin(key, source), key, _reason(first, sections))


def origin(key: str, source: str) -> str:
    """The variable that set a key, else the file."""
    key = _LAST_INDEX.sub("", key)  # a variable has the whole list
    name = PREFIX + key.replace("[", DELIMITER).replace("].", DELIMITER).replace(".", DELIMITER)
    return next((variable for variable in os.environ if variable.upper() == name.upper()), source)


def _reason(detail: ErrorDetails, sections: Mapping[str, type[BaseModel]]) -> str:
    kind, place = detail["type"], detail["loc"]
    section, name = str(place[0]), str(place[-1])
    if kind == "extra_forbidden":
        reason = unknown("key", name, _fields(sections[section], place[1:-1]))
        return NOT_SUPPORTED.get((section, name), reason)
    if kind == "value_error":
        return str(detail["ctx"]["error"])
    if kind == "literal_error":
        return f"must be {detail['ctx']['expected']}"
    if place == ("links",) and kind in ("missing", "too_short"):
        return "at least one [[links]] is needed"
    if place == ("links",) and kind == "tuple_type":
        return "must be [[links]]"
    return REASONS.get(kind, "is not valid")


def _fields(section: type[BaseModel], path: Iterable[int | str]) -> Collection[str]:
    """What a section, or a table within it, knows."""
    for part in path:
        field = section.model_fields.get(str(part))
        inner = field.annotation if field else None
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            section = inner
    return section.model_fields
