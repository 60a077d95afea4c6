"""The parts of a dialect beside its fields: what each says, and how it is read from the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specs.checks import (
    SpecError,
    de_numbers,
    is_de,
    one_of,
    require_distinct,
    require_only,
    require_table,
    text_of,
)
from specs.codes import read_code
from specs.field import Field

#: What of a value may be seen: all, or what it hides.
SENSITIVITIES = ("", "pan", "secret", "code")
_NETWORK_CODE, _FILE_UPDATE_CODE = 70, 91
_MACS = frozenset({64, 128})
_KEY_LAYOUTS = ("key-block", "cryptogram")


@dataclass(frozen=True, slots=True)
class MessageClass:
    """What a request must bring, and what its answer gives back, by DE number."""

    required: tuple[int, ...]
    echoed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FileUpdates:
    """How a network is told of a card (0302), and how its answer (0312) is read."""

    codes: Mapping[str, str]  #: DE91: "add", "delete"
    accepting: Mapping[str, frozenset[str]]  #: DE39 by which "add" or "delete" is done
    again_later: frozenset[str]  #: DE39: not now


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """How zone keys travel in network management messages (0800)."""

    field: int  #: the DE that carries the key, and in the answer its check value
    layout: str  #: "key-block" or "cryptogram", each with the check value after it
    new_key: tuple[str, ...]  #: DE70 that brings a key; the first is the one that we send
    ask_for_key: frozenset[str]  #: DE70 by which a scheme asks to be sent one
    refused: str  #: DE39 for a key that is not taken


def read_classes(table: Any, version: str, fields: Mapping[int, Field]) -> dict[str, MessageClass]:
    """`[classes]`."""
    require_table(table, "classes")
    classes: dict[str, MessageClass] = {}
    for mti, lists in table.items():
        where = f"classes.{mti}"
        if not re.fullmatch(rf"{version}[0-9][024689][024]", mti):
            raise SpecError(f"{where}: not a request MTI of version {version} without repeat digit")
        require_only(lists, where, {"required", "echoed"})
        classes[mti] = MessageClass(
            required=de_numbers(lists["required"], f"{where}.required", fields),
            echoed=read_echoed(lists["echoed"], f"{where}.echoed", fields),
        )
    return classes


def read_approving(table: Any, fields: Mapping[int, Field]) -> frozenset[str]:
    """`[advices]`."""
    require_only(table, "advices", {"approving"})
    return _codes(table["approving"], "advices.approving", fields)


def _codes(codes: Any, where: str, fields: Mapping[int, Field]) -> frozenset[str]:
    if not isinstance(codes, list) or not codes:
        raise SpecError(f"{where}: must be a list of DE39 values")
    for number, code in enumerate(codes):
        read_code(code, f"{where} {number}", fields)
    require_distinct(codes, f"{where}:")
    return frozenset(codes)


def read_file_updates(table: Any, fields: Mapping[int, Field]) -> FileUpdates | None:
    """`[file_updates]`, where it stands."""
    if table is None:
        return None
    where = "file_updates"
    require_only(table, where, {"add", "delete", "added", "deleted", "again_later"})
    done = {"add": "added", "delete": "deleted"}
    pattern = rf"[0-9A-Za-z]{{{fields[_FILE_UPDATE_CODE].length}}}"
    return FileUpdates(
        codes={action: text_of(table[action], f"{where}.{action}", pattern) for action in done},
        accepting={
            action: _codes(table[key], f"{where}.{key}", fields) for action, key in done.items()
        },
        again_later=_codes(table["again_later"], f"{where}.again_later", fields),
    )


def read_key_exchange(table: Any, fields: Mapping[int, Field]) -> KeyExchange | None:
    """`[key_exchange]`, where it stands."""
    if table is None:
        return None
    where = "key_exchange"
    require_only(table, where, {"field", "layout", "new_key", "ask_for_key", "refused"})
    number = table["field"]
    if not is_de(number) or fields[number].sensitivity != "secret":
        raise SpecError(f"{where}.field: must be a DE whose sensitivity is secret")
    if fields[number].kind != "ans":
        raise SpecError(f"{where}.field: DE {number}: notation must be ans")
    read_code(table["refused"], f"{where}.refused", fields)
    codes = {}
    for key in ("new_key", "ask_for_key"):
        given = table[key]
        if not isinstance(given, list) or (key == "new_key" and not given):
            raise SpecError(f"{where}.{key}: must be a list of DE70 values")
        for code in given:
            text_of(code, f"{where}.{key}", rf"[0-9]{{{fields[_NETWORK_CODE].length}}}")
        codes[key] = given
    require_distinct([*codes["new_key"], *codes["ask_for_key"]], f"{where}: DE70")
    return KeyExchange(
        field=number,
        layout=one_of(table["layout"], f"{where}.layout", _KEY_LAYOUTS),
        new_key=tuple(codes["new_key"]),
        ask_for_key=frozenset(codes["ask_for_key"]),
        refused=table["refused"],
    )


def read_fee_is_added(table: Any) -> bool:
    """`[amounts]`."""
    require_only(table, "amounts", {"transaction_fee"})
    return (
        one_of(table["transaction_fee"], "amounts.transaction_fee", ("inside", "added")) == "added"
    )


def read_echoed(value: Any, where: str, fields: Mapping[int, Field]) -> tuple[int, ...]:
    """What an answer may give back; where it gives back what tells messages apart, that too."""
    numbers = de_numbers(value, where, fields)
    for number in numbers:
        if number in _MACS:
            raise SpecError(f"{where}: DE {number} is a message's own authentication code")
    return numbers
