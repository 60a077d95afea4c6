"""
A dialect: what a message looks like on one kind of link.

A dialect is one TOML file beside this page. `load` reads it once, refuses
nonsense with one clear line, and hands out a `Spec` that nothing changes.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from specs.checks import DE_MAX, SpecError, is_de, one_of, require_distinct, require_only, text_of
from specs.codes import ResponseCodes, read_response_codes
from specs.field import Field, FieldError
from specs.sections import (
    SENSITIVITIES,
    FileUpdates,
    KeyExchange,
    MessageClass,
    read_approving,
    read_classes,
    read_echoed,
    read_fee_is_added,
    read_file_updates,
    read_key_exchange,
)
from specs.subfield_tables import Result, read_results, read_subfields
from specs.subfields import Layout

__all__ = ["Spec", "SpecError", "known", "load"]

_FOLDER = Path(__file__).parent
_DE_REQUIRED = 128  # the third bitmap is for those dialects that have it
_ICC_DATA = 55

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
_OPTIONAL = frozenset({"subfields", "results", "file_updates", "key_exchange"})


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """One dialect. Equal to itself only, so that it can be the key of a cache."""

    name: str  #: "iso87-ascii"
    version: str  #: the first digit of every MTI
    fields: Mapping[int, Field]
    codec: Mapping[str, Mapping[str, Any]]  #: the same in pyiso8583's terms
    classes: Mapping[str, MessageClass]  #: by request MTI without its repeat digit
    message_key: tuple[int, ...]  #: the DEs that two copies of one message share
    response_codes: ResponseCodes  #: our reason → DE39
    approving: frozenset[str]  #: the DE39 with which an advice says that it was approved
    fee_is_added: bool  #: DE28 comes on top of DE4, and is not inside it
    subfields: Mapping[int, Layout]  #: DE → what stands inside
    results: Mapping[str, Result]  #: "cvv", "cvv2", "cavv" → where an answer says what became of it
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
    require_only(document, "the dialect", _TABLES | (document.keys() & _OPTIONAL))
    version = text_of(document["version"], "version", r"[0-9]")
    lengths = _LENGTH_ENCODINGS[one_of(document["lengths"], "lengths", _LENGTH_ENCODINGS)]
    fields = _fields(document["fields"])
    subfields = read_subfields(document.get("subfields"), fields)
    return Spec(
        name=name,
        version=version,
        fields=fields,
        codec=_codec(document, fields, lengths),
        classes=read_classes(document["classes"], version, fields),
        message_key=read_echoed(document["message_key"], "message_key", fields),
        response_codes=read_response_codes(document["response_codes"], fields),
        approving=read_approving(document["advices"], fields),
        fee_is_added=read_fee_is_added(document["amounts"]),
        subfields=subfields,
        results=read_results(document.get("results"), subfields),
        file_updates=read_file_updates(document.get("file_updates"), fields),
        key_exchange=read_key_exchange(document.get("key_exchange"), fields),
    )


def _fields(rows: Any) -> dict[int, Field]:
    if not isinstance(rows, list):
        raise SpecError("fields: must be a list of rows")
    fields: dict[int, Field] = {}
    for row in rows:
        number, *texts = row if isinstance(row, list) and row else (None,)
        if not is_de(number):
            raise SpecError(f"fields: a row must begin with a DE number of 1 to {DE_MAX}: {row}")
        if number in fields:
            raise SpecError(f"fields: DE {number} stands twice")
        if len(texts) != 4 or not all(isinstance(text, str) for text in texts):
            raise SpecError(f"DE {number}: must say name, notation, encoding and sensitivity")
        name, notation, encoding, sensitivity = texts
        one_of(sensitivity, f"DE {number}: sensitivity", SENSITIVITIES)
        fields[number] = Field(number, name, notation, encoding, sensitivity)
    missing = [str(number) for number in range(1, _DE_REQUIRED + 1) if number not in fields]
    if missing:
        raise SpecError(f"fields: DE {', '.join(missing)} missing")
    require_distinct([field.name for field in fields.values()], "fields: name")
    if fields[_ICC_DATA].kind != "b":
        raise SpecError(f"DE {_ICC_DATA}: notation must be b")
    return fields


def _codec(
    document: dict[str, Any], fields: Mapping[int, Field], lengths: str
) -> dict[str, dict[str, Any]]:
    """The whole dialect as pyiso8583 wants it."""
    mti = _MTI_ENCODINGS[one_of(document["mti"], "mti", _MTI_ENCODINGS)]
    bitmap = _BITMAP_ENCODINGS[one_of(document["bitmap"], "bitmap", _BITMAP_ENCODINGS)]
    fixed = {"len_enc": "ascii", "len_type": 0}
    return {
        "h": {"data_enc": "ascii", "max_len": 0, "desc": "header", **fixed},
        "t": {"data_enc": mti, "max_len": 2 if mti == "b" else 4, "desc": "mti", **fixed},
        "p": {"data_enc": bitmap, "max_len": 8 if bitmap == "b" else 16, "desc": "bitmap", **fixed},
        **{str(number): field.codec(lengths) for number, field in fields.items()},
    }
