"""What every part of a dialect's file is held to: one clear line where it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from specs.field import Field

#: The third bitmap's last field: for those dialects that have it.
DE_MAX = 192


class SpecError(ValueError):
    """A dialect that does not make sense: the file, the place, the reason."""


def require_distinct(values: list[Any], where: str) -> None:
    """No value twice."""
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise SpecError(f"{where} {value} stands twice")
        seen.add(value)


def require_table(value: Any, where: str) -> None:
    """A TOML table, and nothing else."""
    if not isinstance(value, dict):
        raise SpecError(f"{where}: must be a table")


def require_only(table: Any, where: str, keys: frozenset[str] | set[str]) -> None:
    """Exactly these keys."""
    require_table(table, where)
    for key in sorted(keys - table.keys()):
        raise SpecError(f"{where}: {key} is missing")
    for key in sorted(table.keys() - keys):
        raise SpecError(f"{where}: {key} is unknown")


def one_of(value: Any, where: str, allowed: Any) -> str:
    """One of a few words."""
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise SpecError(f"{where}: {value!r} is not one of {choices}")
    return value


def text_of(value: Any, where: str, pattern: str) -> str:
    """A text of this form."""
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise SpecError(f"{where}: {value!r} is not of the form {pattern}")
    return value


def is_de(value: Any) -> TypeGuard[int]:
    """The number of a data element."""
    return type(value) is int and 1 <= value <= DE_MAX


def de_numbers(value: Any, where: str, fields: Mapping[int, Field]) -> tuple[int, ...]:
    """A list of data elements that the dialect has, each once."""
    if not isinstance(value, list) or not all(is_de(number) for number in value):
        raise SpecError(f"{where}: must be a list of DE numbers")
    require_distinct(value, f"{where}: DE")
    for number in value:
        if number not in fields:
            raise SpecError(f"{where}: DE {number} is no field of the dialect")
    return tuple(value)
