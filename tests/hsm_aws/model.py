"""
A value against a shape of botocore's service model: members, types, lengths, patterns, unions.

The SDK checks hardly any of this and the real service all of it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session


class InvalidShape(Exception):
    """A value has not the shape that the model demands; names the member, not the value."""


@cache
def service(name: str) -> Any:
    """The model of a service, as the installed SDK has it."""
    return botocore.session.get_session().get_service_model(name)


def validate(shape: Any, value: object, path: str = "") -> None:
    """Raise `InvalidShape` unless a value is what a shape says."""
    check = {
        "structure": _structure,
        "string": _string,
        "integer": _integer,
        "boolean": _boolean,
    }[shape.type_name]
    check(shape, value, path or shape.name)


def _structure(shape: Any, value: object, path: str) -> None:
    if not isinstance(value, dict):
        raise InvalidShape(f"{path}: not an object")
    missing = set(shape.required_members) - value.keys()
    unknown = value.keys() - shape.members.keys()
    if missing or unknown:
        raise InvalidShape(f"{path}: lacks {sorted(missing)}, knows not {sorted(unknown)}")
    if shape.metadata.get("union") and len(value) != 1:
        raise InvalidShape(f"{path}: exactly one member is needed")
    for name, member in value.items():
        validate(shape.members[name], member, f"{path}.{name}")


def _string(shape: Any, value: object, path: str) -> None:
    if not isinstance(value, str):
        raise InvalidShape(f"{path}: not a string")
    _range(shape, len(value), path)
    if shape.enum and value not in shape.enum:
        raise InvalidShape(f"{path}: not of its enumeration")
    pattern = shape.metadata.get("pattern")
    if pattern and re.fullmatch(pattern, value) is None:
        raise InvalidShape(f"{path}: not of its pattern")


def _integer(shape: Any, value: object, path: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidShape(f"{path}: not an integer")
    _range(shape, value, path)


def _boolean(shape: Any, value: object, path: str) -> None:
    if not isinstance(value, bool):
        raise InvalidShape(f"{path}: not a boolean")


def _range(shape: Any, size: int, path: str) -> None:
    low, high = shape.metadata.get("min", size), shape.metadata.get("max", size)
    if not low <= size <= high:
        raise InvalidShape(f"{path}: out of its range")
