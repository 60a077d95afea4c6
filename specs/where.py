"""In which line of a dialect's file the thing stands that a refusal speaks of."""

from __future__ import annotations

import re
from pathlib import Path

_TOML_LINE = re.compile(r"\(at line ([0-9]+), column [0-9]+\)")
_FIELD = re.compile(r"\bDE ([0-9]+)\b")
#: "classes.0100.echoed: …", "version: …": the path to a key.
_KEY = re.compile(r"(?:^|: )([a-z0-9_]+(?:\.[A-Za-z0-9_]+)*)(?::| [0-9]+:)")


def line_of(path: Path, refusal: str) -> int | None:
    """The line, from 1, that a `SpecError` of this file is about; none where it is about no line.

    It is found again by what the refusal names: TOML's own line, a key, a field's row.
    """
    reason = refusal.removeprefix(f"{path}: ")
    if (toml := _TOML_LINE.search(reason)) is not None:
        return int(toml[1])
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    key, field = _KEY.search(reason), _FIELD.search(reason)
    if key is not None and key[1] != "fields":
        return _line_of_key(lines, key[1].split("."))
    return None if field is None else _last(_rows_of_fields(lines), rf"\s*\[\s*{field[1]}\s*,")


def _rows_of_fields(lines: list[str]) -> list[str]:
    """The file up to the end of `fields`: other tables have rows of numbers too."""
    start = next((n for n, line in enumerate(lines) if re.match(r"\s*fields\s*=", line)), 0)
    ends = (n for n, line in enumerate(lines) if n > start and re.match(r"\s*\]", line))
    return lines[: next(ends, len(lines))]


def _line_of_key(lines: list[str], path: list[str]) -> int | None:
    """The deepest of the keys that stands in the file, within the table before it."""
    start, found = 0, None
    for depth in range(len(path), 1, -1):  # "[subfields.48]": a table by its whole path
        if (found := _last(lines, rf"\s*\[{re.escape('.'.join(path[:depth]))}\]")) is not None:
            start, path = found, path[depth:]
            break
    for name in path:
        for number, line in enumerate(lines[start:], start + 1):
            if re.match(
                rf'\s*(\[{re.escape(name)}\]|"?{re.escape(name)}"?\s*=|\[\s*"?{re.escape(name)}"?\s*,)',
                line,
            ):
                start = found = number
                break
        else:
            return found
    return found


def _last(lines: list[str], pattern: str) -> int | None:
    """Of a row that stands twice, the second is the one too many."""
    numbers = [number for number, line in enumerate(lines, 1) if re.match(pattern, line)]
    return numbers[-1] if numbers else None
