"""`[subfields]` and `[results]` of a dialect's file: what stands in fields, what answers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from specs.checks import SpecError, one_of, require_only, require_table, text_of
from specs.datasets import EMV, Ber, Dataset, Pairs
from specs.field import Field, FieldError
from specs.sections import SENSITIVITIES
from specs.sub_bitmap import Bitmap
from specs.subfields import PREFIX, Layout, Part, Positional, Repeated, Tlv

#: The kinds of layout, and the keys that each has beside `layout`.
_KEYS: Mapping[str, frozenset[str]] = {
    "positional": frozenset({"rows"}),
    "repeated": frozenset({"rows"}),
    "tlv": frozenset({"rows", "tag_digits", "length_digits"}),
    "ber": frozenset({"rows"}),
    "pairs": frozenset({"rows"}),
    "emv": frozenset(),
    "dataset": frozenset(),
    "bitmap": frozenset({"rows", "bytes"}),
}
_OPTIONAL: Mapping[str, frozenset[str]] = {
    "tlv": frozenset({"prefix"}),
    "dataset": frozenset({"rows", "elements", "bare"}),
}
_OF_BYTES = frozenset({"ber", "pairs", "emv", "dataset", "bitmap"})
_ELEMENTS: Mapping[str, Layout] = {"ber": Ber({}), "pairs": Pairs({}), "emv": EMV}
_TAGS = {"ber": "(?:[0-9A-F]{2}){1,3}", "pairs": "[0-9A-F]{2}", "dataset": "[0-9A-F]{2}"}
_NAME = "[a-z][a-z0-9_]*"
_MOST = 999

#: What an answer may be told of, and of what outcome.
_CHECKS = frozenset({"cvv", "cvv2", "cavv"})
_OUTCOMES = frozenset({"match", "mismatch", "not_verified"})


@dataclass(frozen=True, slots=True)
class Result:
    """Where an answer says what became of a code, and in which words."""

    field: int
    tag: str
    codes: Mapping[str, str]  #: "match", "mismatch", "not_verified" → what is written


def read_subfields(table: Any, fields: Mapping[int, Field]) -> dict[int, Layout]:
    """`[subfields]`: DE → its layout."""
    layouts: dict[int, Layout] = {}
    if table is None:
        return layouts
    require_table(table, "subfields")
    for key, each in table.items():
        where = f"subfields.{key}"
        number = int(key) if key.isascii() and key.isdecimal() else 0
        if number not in fields:
            raise SpecError(f"{where}: no field of the dialect")
        layouts[number] = _layout(each, where, is_bytes=fields[number].kind == "b")
    return layouts


def _layout(table: Any, where: str, *, is_bytes: bool) -> Layout:
    require_table(table, where)
    kind = one_of(table.get("layout"), f"{where}.layout", _KEYS)
    given = table.keys() & (_OPTIONAL.get(kind, frozenset()) | {"inside"})
    require_only(table, where, _KEYS[kind] | {"layout"} | given)
    if kind in _OF_BYTES and not is_bytes:
        raise SpecError(f"{where}.layout: {kind} is of bytes, and the field is text")
    if kind == "tlv" and is_bytes:
        raise SpecError(f"{where}.layout: tlv is text, and the field is of bytes")
    if kind == "emv":
        return EMV
    rows = table.get("rows", [])
    if (
        not isinstance(rows, list)
        or ("rows" in table and not rows)
        or not all(isinstance(row, list) for row in rows)
    ):
        raise SpecError(f"{where}.rows: must be a list of rows")
    inside = _insides(table.get("inside", {}), f"{where}.inside", is_bytes=is_bytes)
    layout = _by_kind(kind, table, where, rows, inside, is_bytes=is_bytes)
    for tag in inside.keys() - layout.parts.keys():
        raise SpecError(f"{where}.inside.{tag}: has no row")
    return layout


def _insides(table: Any, where: str, *, is_bytes: bool) -> dict[str, Layout]:
    """What stands inside subfields; of a bitmap each is bytes or text by its own row."""
    require_table(table, where)
    return {tag: _layout(each, f"{where}.{tag}", is_bytes=is_bytes) for tag, each in table.items()}


def _by_kind(
    kind: str,
    table: Mapping[str, Any],
    where: str,
    rows: list[Any],
    inside: Mapping[str, Layout],
    *,
    is_bytes: bool,
) -> Layout:
    if kind in ("positional", "repeated"):
        lengths = _lengths(rows, where)
        positional = Positional(_parts(rows, where, inside), lengths, "0" if is_bytes else " ")
        return Repeated(positional) if kind == "repeated" else positional
    if kind == "bitmap":
        return _bitmap(table, where, rows, inside)
    if kind == "tlv":
        digits = {
            key: _number(table[key], f"{where}.{key}", 4) for key in ("tag_digits", "length_digits")
        }
        prefix = _number(table["prefix"], f"{where}.prefix", _MOST) if "prefix" in table else 0
        tags = f"[0-9]{{{digits['tag_digits']}}}" + (f"|{PREFIX}" if prefix else "")
        return Tlv(_tagged(rows, where, inside, tags), **digits, prefix=prefix)
    parts = _tagged(rows, where, inside, _TAGS[kind])
    if kind == "dataset":
        elements, bare = (
            _ELEMENTS[one_of(table[key], f"{where}.{key}", _ELEMENTS)] if key in table else None
            for key in ("elements", "bare")
        )
        return Dataset(parts, elements, bare)
    return Pairs(parts) if kind == "pairs" else Ber(parts)


def _number(value: Any, where: str, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise SpecError(f"{where}: must be 1 to {most}")
    return value


def _parts(rows: list[Any], where: str, inside: Mapping[str, Layout]) -> dict[str, Part]:
    """Rows that begin with a tag and end with name and sensitivity."""
    parts: dict[str, Part] = {}
    for tag, *_, name, sensitivity in rows:
        if str(tag) in parts:
            raise SpecError(f"{where}.rows.{tag}: stands twice")
        text_of(name, f"{where}.rows.{tag}: name", _NAME)
        one_of(sensitivity, f"{where}.rows.{tag}: sensitivity", SENSITIVITIES)
        parts[str(tag)] = Part(name, sensitivity, inside.get(str(tag)))
    return parts


def _tagged(
    rows: list[Any], where: str, inside: Mapping[str, Layout], tags: str
) -> dict[str, Part]:
    for row in rows:
        if len(row) != 3 or not all(isinstance(text, str) for text in row):
            raise SpecError(f"{where}.rows: a row must say tag, name and sensitivity")
        text_of(row[0], f"{where}.rows", tags)
    return _parts(rows, where, inside)


def _lengths(rows: list[Any], where: str) -> dict[str, int]:
    for row in rows:
        if len(row) != 4 or type(row[0]) is not int:
            raise SpecError(f"{where}.rows: a row must say number, length, name and sensitivity")
    return {str(row[0]): _number(row[1], f"{where}.rows.{row[0]}: length", _MOST) for row in rows}


def _bitmap(
    table: Mapping[str, Any], where: str, rows: list[Any], inside: Mapping[str, Layout]
) -> Bitmap:
    size = _number(table["bytes"], f"{where}.bytes", 8)
    subfields: dict[str, Field] = {}
    for row in rows:
        if len(row) != 5 or not all(isinstance(text, str) for text in row[1:]):
            raise SpecError(f"{where}.rows: a row must say what a field's does")
        number = _number(row[0], f"{where}.rows", 8 * size)
        try:
            subfield = Field(*row)
        except FieldError as error:
            reason = str(error).removeprefix(f"DE {number}: ")
            raise SpecError(f"{where}.rows.{number}: {reason}") from None
        if subfield.encoding in ("hex", "bcd-right", "amount") or subfield.length_digits > 2:
            raise SpecError(f"{where}.rows.{number}: no subfield of a bitmap stands so")
        subfields[str(number)] = subfield
    tagged = [[number, name, sensitivity] for number, name, _, _, sensitivity in rows]
    return Bitmap(_parts(tagged, where, inside), size, subfields)


def read_results(table: Any, layouts: Mapping[int, Layout]) -> dict[str, Result]:
    """`[results]`: "cvv", "cvv2", "cavv" → where an answer says it."""
    results: dict[str, Result] = {}
    if table is None:
        return results
    require_table(table, "results")
    for check, row in table.items():
        where = f"results.{check}"
        one_of(check, "results", sorted(_CHECKS))
        require_table(row, where)
        require_only(row, where, {"subfield"} | (row.keys() & _OUTCOMES))
        codes = {outcome: row[outcome] for outcome in row.keys() & _OUTCOMES}
        field, tag = _place(row["subfield"], f"{where}.subfield", layouts)
        for outcome, code in codes.items():
            text_of(code, f"{where}.{outcome}", "[0-9A-Z]{1,4}")
            try:
                layouts[field].encode({tag: code})
            except ValueError:
                raise SpecError(f"{where}.{outcome}: does not fit its subfield") from None
        results[check] = Result(field, tag, codes)
    return results


def _place(name: Any, where: str, layouts: Mapping[int, Layout]) -> tuple[int, str]:
    """The field and the tag of a subfield of that name, one that stands inside no other."""
    places = [
        (number, tag)
        for number, layout in layouts.items()
        for tag, part in layout.parts.items()
        if part.name == name
    ]
    if len(places) != 1:
        raise SpecError(f"{where}: {name!r} is not the name of one subfield")
    return places[0]
