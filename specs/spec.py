"""
A dialect: what a message looks like on one kind of link.

A dialect is one TOML file beside this page. `load` reads it once, refuses
nonsense with one clear line, and hands out a `Spec` that nothing changes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard

from specs.field import Field, FieldError

_FOLDER = Path(__file__).parent
_DE_MAX, _DE_REQUIRED = 192, 128  # the third bitmap is for those dialects that have it
_SENSITIVITIES = ("", "pan", "secret", "code")
_RESPONSE_CODE, _ICC_DATA, _NETWORK_CODE, _FILE_UPDATE_CODE = 39, 55, 70, 91
_MACS = frozenset({64, 128})

#: How the MTI, a bitmap and a field's length stand on the wire: ours → pyiso8583's.
_MTI_ENCODINGS = {"ascii": "ascii", "bcd": "b", "cp500": "cp500", "cp037": "cp037"}
_BITMAP_ENCODINGS = {"hex": "ascii", "binary": "b"}
_LENGTH_ENCODINGS = {
    "ascii": "ascii",
    "bcd": "bcd",
    "binary": "b",
    "cp500": "cp500",
    "cp037": "cp037",
}

_TABLES = frozenset(
    {
        "version", "mti", "bitmap", "lengths", "message_key",
        "fields", "classes", "response_codes", "advices", "amounts",
    }
)  # fmt: skip
_OPTIONAL = frozenset({"additional_data", "file_updates", "key_exchange"})
_KEY_LAYOUTS = ("key-block", "cryptogram")


class SpecError(ValueError):
    """A dialect that does not make sense: the file, the place, the reason."""


@dataclass(frozen=True, slots=True)
class MessageClass:
    """What a request must bring, and what its answer gives back, by DE number."""

    required: tuple[int, ...]
    echoed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AdditionalData:
    """The layout of DE48: a run of tag, length and value."""

    tag_digits: int
    length_digits: int
    names: Mapping[str, str]  #: tag → name
    sensitivities: Mapping[str, str]  #: tag → as of a field


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


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One dialect. Equal to itself only, so that it can be the key of a cache."""

    name: str  #: "iso87-ascii"
    version: str  #: the first digit of every MTI
    fields: Mapping[int, Field]
    codec: Mapping[str, Mapping[str, Any]]  #: the same in pyiso8583's terms
    classes: Mapping[str, MessageClass]  #: by request MTI without its repeat digit
    message_key: tuple[int, ...]  #: the DEs that two copies of one message share
    response_codes: Mapping[str, str]  #: our reason → DE39
    approving: frozenset[str]  #: the DE39 with which an advice says that it was approved
    fee_is_added: bool  #: DE28 comes on top of DE4, and is not inside it
    additional_data: AdditionalData | None  #: none: DE48 is something else in this dialect
    file_updates: FileUpdates | None  #: none: no network of this dialect is told of cards
    key_exchange: KeyExchange | None  #: none: zone keys do not travel in this dialect

    @property
    def icc_data_encoding(self) -> str:
        """How DE55 stands on the wire: "hex" or "binary". In a message it is hex."""
        return self.fields[_ICC_DATA].encoding

    @property
    def has_third_bitmap(self) -> bool:
        """DE65 announces a bitmap of DE129 to 192, right after the second."""
        return max(self.fields) > _DE_REQUIRED


def known() -> list[str]:
    """The dialects that stand here, by name."""
    return sorted(path.stem.replace("_", "-") for path in _FOLDER.glob("*.toml"))


@cache
def load(name: str) -> Spec:
    """
    The dialect of that name ("iso87-ascii", "iso87_ascii") or of that .toml file.

    Raises `SpecError` with one line that says what is wrong and where.
    """
    path = Path(name)
    if not name.endswith(".toml"):
        if name.replace("_", "-") not in known():
            raise SpecError(f"unknown dialect {name!r}: known are {', '.join(known())}")
        path = _FOLDER / f"{name.replace('-', '_')}.toml"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        return _spec(path.stem.replace("_", "-"), document)
    except OSError as error:
        raise SpecError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not TOML: {error}") from None
    except (SpecError, FieldError) as error:
        raise SpecError(f"{path}: {error}") from None


def _spec(name: str, document: dict[str, Any]) -> Spec:
    _only(document, "the dialect", _TABLES | (document.keys() & _OPTIONAL))
    version = _text(document["version"], "version", r"[0-9]")
    lengths = _LENGTH_ENCODINGS[_one_of(document["lengths"], "lengths", _LENGTH_ENCODINGS)]
    fields = _fields(document["fields"])
    return Spec(
        name=name,
        version=version,
        fields=fields,
        codec=_codec(document, fields, lengths),
        classes=_classes(document["classes"], version, fields),
        message_key=_echoed(document["message_key"], "message_key", fields),
        response_codes=_response_codes(document["response_codes"], fields),
        approving=_approving(document["advices"], fields),
        fee_is_added=_fee_is_added(document["amounts"]),
        additional_data=_additional_data(document.get("additional_data")),
        file_updates=_file_updates(document.get("file_updates"), fields),
        key_exchange=_key_exchange(document.get("key_exchange"), fields),
    )


def _fields(rows: Any) -> dict[int, Field]:
    if not isinstance(rows, list):
        raise SpecError("fields: must be a list of rows")
    fields: dict[int, Field] = {}
    for row in rows:
        number, *texts = row if isinstance(row, list) and row else (None,)
        if not _is_de(number):
            raise SpecError(f"fields: a row must begin with a DE number of 1 to {_DE_MAX}: {row}")
        if number in fields:
            raise SpecError(f"fields: DE {number} stands twice")
        if len(texts) != 4 or not all(isinstance(text, str) for text in texts):
            raise SpecError(f"DE {number}: must say name, notation, encoding and sensitivity")
        name, notation, encoding, sensitivity = texts
        _one_of(sensitivity, f"DE {number}: sensitivity", _SENSITIVITIES)
        fields[number] = Field(number, name, notation, encoding, sensitivity)
    missing = [str(number) for number in range(1, _DE_REQUIRED + 1) if number not in fields]
    if missing:
        raise SpecError(f"fields: DE {', '.join(missing)} missing")
    _distinct([field.name for field in fields.values()], "fields: name")
    if fields[_ICC_DATA].kind != "b":
        raise SpecError(f"DE {_ICC_DATA}: notation must be b")
    return fields


def _codec(
    document: dict[str, Any], fields: Mapping[int, Field], lengths: str
) -> dict[str, dict[str, Any]]:
    """The whole dialect as pyiso8583 wants it."""
    mti = _MTI_ENCODINGS[_one_of(document["mti"], "mti", _MTI_ENCODINGS)]
    bitmap = _BITMAP_ENCODINGS[_one_of(document["bitmap"], "bitmap", _BITMAP_ENCODINGS)]
    fixed = {"len_enc": "ascii", "len_type": 0}
    return {
        "h": {"data_enc": "ascii", "max_len": 0, "desc": "header", **fixed},
        "t": {"data_enc": mti, "max_len": 2 if mti == "b" else 4, "desc": "mti", **fixed},
        "p": {"data_enc": bitmap, "max_len": 8 if bitmap == "b" else 16, "desc": "bitmap", **fixed},
        **{str(number): field.codec(lengths) for number, field in fields.items()},
    }


def _classes(table: Any, version: str, fields: Mapping[int, Field]) -> dict[str, MessageClass]:
    _table(table, "classes")
    classes: dict[str, MessageClass] = {}
    for mti, lists in table.items():
        where = f"classes.{mti}"
        if not re.fullmatch(rf"{version}[0-9][024689][024]", mti):
            raise SpecError(f"{where}: not a request MTI of version {version} without repeat digit")
        _only(lists, where, {"required", "echoed"})
        classes[mti] = MessageClass(
            required=_numbers(lists["required"], f"{where}.required", fields),
            echoed=_echoed(lists["echoed"], f"{where}.echoed", fields),
        )
    return classes


def _response_codes(table: Any, fields: Mapping[int, Field]) -> dict[str, str]:
    _table(table, "response_codes")
    field = fields[_RESPONSE_CODE]
    for reason, code in table.items():
        if (
            not isinstance(code, str)
            or len(code) != field.length
            or not field.pattern.fullmatch(code)
        ):
            raise SpecError(f"response_codes.{reason}: not a value of DE 39 ({field.notation})")
    return dict(table)


def _approving(table: Any, fields: Mapping[int, Field]) -> frozenset[str]:
    _only(table, "advices", {"approving"})
    return _codes(table["approving"], "advices.approving", fields)


def _codes(codes: Any, where: str, fields: Mapping[int, Field]) -> frozenset[str]:
    if not isinstance(codes, list) or not codes:
        raise SpecError(f"{where}: must be a list of DE39 values")
    _response_codes({f"{where} {number}": code for number, code in enumerate(codes)}, fields)
    _distinct(codes, f"{where}:")
    return frozenset(codes)


def _file_updates(table: Any, fields: Mapping[int, Field]) -> FileUpdates | None:
    if table is None:
        return None
    where = "file_updates"
    _only(table, where, {"add", "delete", "added", "deleted", "again_later"})
    done = {"add": "added", "delete": "deleted"}
    pattern = rf"[0-9A-Za-z]{{{fields[_FILE_UPDATE_CODE].length}}}"
    return FileUpdates(
        codes={action: _text(table[action], f"{where}.{action}", pattern) for action in done},
        accepting={
            action: _codes(table[key], f"{where}.{key}", fields) for action, key in done.items()
        },
        again_later=_codes(table["again_later"], f"{where}.again_later", fields),
    )


def _key_exchange(table: Any, fields: Mapping[int, Field]) -> KeyExchange | None:
    if table is None:
        return None
    where = "key_exchange"
    _only(table, where, {"field", "layout", "new_key", "ask_for_key", "refused"})
    number = table["field"]
    if not _is_de(number) or fields[number].sensitivity != "secret":
        raise SpecError(f"{where}.field: must be a DE whose sensitivity is secret")
    if fields[number].kind != "ans":
        raise SpecError(f"{where}.field: DE {number}: notation must be ans")
    _response_codes({f"{where}.refused": table["refused"]}, fields)
    codes = {}
    for key in ("new_key", "ask_for_key"):
        given = table[key]
        if not isinstance(given, list) or (key == "new_key" and not given):
            raise SpecError(f"{where}.{key}: must be a list of DE70 values")
        for code in given:
            _text(code, f"{where}.{key}", rf"[0-9]{{{fields[_NETWORK_CODE].length}}}")
        codes[key] = given
    _distinct([*codes["new_key"], *codes["ask_for_key"]], f"{where}: DE70")
    return KeyExchange(
        field=number,
        layout=_one_of(table["layout"], f"{where}.layout", _KEY_LAYOUTS),
        new_key=tuple(codes["new_key"]),
        ask_for_key=frozenset(codes["ask_for_key"]),
        refused=table["refused"],
    )


def _fee_is_added(table: Any) -> bool:
    _only(table, "amounts", {"transaction_fee"})
    return (
        _one_of(table["transaction_fee"], "amounts.transaction_fee", ("inside", "added")) == "added"
    )


def _additional_data(table: Any) -> AdditionalData | None:
    if table is None:
        return None
    where = "additional_data"
    _only(table, where, {"tag_digits", "length_digits", "tags"})
    digits = {}
    for key in ("tag_digits", "length_digits"):
        digits[key] = table[key]
        if type(table[key]) is not int or not 1 <= table[key] <= 4:
            raise SpecError(f"{where}.{key}: must be 1 to 4")
    rows = table["tags"]
    if not isinstance(rows, list):
        raise SpecError(f"{where}.tags: must be a list of rows")
    for row in rows:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(t, str) for t in row)):
            raise SpecError(f"{where}.tags: a row must say tag, name and sensitivity")
        _text(row[0], f"{where}.tags", rf"[0-9]{{{digits['tag_digits']}}}")
        _one_of(row[2], f"{where}.tags.{row[0]}: sensitivity", _SENSITIVITIES)
    _distinct([row[0] for row in rows], f"{where}.tags: tag")
    return AdditionalData(
        **digits,
        names={tag: name for tag, name, _ in rows},
        sensitivities={tag: sensitivity for tag, _, sensitivity in rows},
    )


def _is_de(value: Any) -> TypeGuard[int]:
    return type(value) is int and 1 <= value <= _DE_MAX


def _numbers(value: Any, where: str, fields: Mapping[int, Field]) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(_is_de(number) for number in value):
        raise SpecError(f"{where}: must be a list of DE numbers")
    _distinct(value, f"{where}: DE")
    for number in value:
        if number not in fields:
            raise SpecError(f"{where}: DE {number} is no field of the dialect")
    return tuple(value)


def _echoed(value: Any, where: str, fields: Mapping[int, Field]) -> tuple[int, ...]:
    """What an answer may give back; where it gives back what tells messages apart, that too."""
    numbers = _numbers(value, where, fields)
    for number in numbers:
        if number in _MACS:
            raise SpecError(f"{where}: DE {number} is a message's own authentication code")
    return numbers


def _distinct(values: list[Any], where: str) -> None:
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise SpecError(f"{where} {value} stands twice")
        seen.add(value)


def _table(value: Any, where: str) -> None:
    if not isinstance(value, dict):
        raise SpecError(f"{where}: must be a table")


def _only(table: Any, where: str, keys: frozenset[str] | set[str]) -> None:
    """Exactly these keys."""
    _table(table, where)
    for key in sorted(keys - table.keys()):
        raise SpecError(f"{where}: {key} is missing")
    for key in sorted(table.keys() - keys):
        raise SpecError(f"{where}: {key} is unknown")


def _one_of(value: Any, where: str, allowed: Any) -> str:
    if not isinstance(value, str) or value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        raise SpecError(f"{where}: {value!r} is not one of {choices}")
    return value


def _text(value: Any, where: str, pattern: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise SpecError(f"{where}: {value!r} is not of the form {pattern}")
    return value
