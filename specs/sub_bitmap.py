"""
The layout of a bitmap and the subfields that it announces, as Visa has it in 62, 63 and 126.

A row of it says what a row of `fields` says: how the subfield stands on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from specs.field import Field
from specs.subfields import Parts, Value
from specs.tlv import TlvError


@dataclass(frozen=True, slots=True)
class Bitmap(Parts):
    """A bitmap, then the subfields that it announces, each on the wire as a field is.

    The length of one that is not known is not known either: it is kept with all that
    follows, and those announced after it are empty.
    """

    size: int  #: of the bitmap, in bytes
    fields: Mapping[str, Field]

    def decode(self, text: str) -> dict[str, Value]:
        at, bits = 2 * self.size, 8 * self.size
        if len(text) < at:
            raise TlvError("bitmap cut short")
        announced = int(text[:at], 16)
        values: dict[str, str] = {}
        is_known = True
        for tag in (str(n) for n in range(1, bits + 1) if announced >> (bits - n) & 1):
            is_known = is_known and tag in self.fields
            if is_known:
                values[tag], at = _read(self.fields[tag], text, at)
            else:
                values[tag], at = text[at:], len(text)
        if at != len(text):
            raise TlvError("longer than its subfields")
        return self.opened(values)

    def encode(self, values: Mapping[str, Value]) -> str:
        texts = self.closed(values)
        announced, bits, made, is_known = 0, 8 * self.size, "", True
        for tag in sorted(texts, key=int):
            if not 1 <= int(tag) <= bits:
                raise TlvError("has no bit", tag)
            announced |= 1 << (bits - int(tag))
            is_known = is_known and tag in self.fields
            made += _written(self.fields[tag], texts[tag]) if is_known else texts[tag]
        return f"{announced:0{2 * self.size}X}{made}"


def _read(field: Field, text: str, at: int) -> tuple[str, int]:
    """A subfield from hex, and where the next one begins; a length counts in one byte."""
    tag, length = str(field.number), field.length
    if field.length_digits:
        length, at = int(text[at : at + 2] or "0", 16), at + 2
    is_packed = field.encoding == "bcd"
    end = at + (length + length % 2 if is_packed else 2 * length)
    if end > len(text) or length > field.length:
        raise TlvError("longer than the data", tag)
    raw = text[at:end]
    if is_packed:
        digits = raw[len(raw) - length :]
        if raw.strip("0123456789") or raw[: len(raw) - length].strip("0"):
            raise TlvError("not digits", tag)
        return digits, end
    if field.encoding == "binary":
        return raw, end
    try:
        return bytes.fromhex(raw).decode(field.encoding), end
    except UnicodeDecodeError:
        raise TlvError("not text", tag) from None


def _written(field: Field, value: str) -> str:
    """The same back."""
    tag, per_unit = str(field.number), 2 if field.encoding == "binary" else 1
    length = len(value) // per_unit
    if length > field.length or (not field.length_digits and length != field.length):
        raise TlvError("has another length", tag)
    if field.encoding == "bcd":
        raw = "0" * (length % 2) + value
    elif field.encoding == "binary":
        raw = value
    else:
        try:
            raw = value.encode(field.encoding).hex().upper()
        except UnicodeEncodeError:
            raise TlvError("not text", tag) from None
    return (f"{length:02X}" if field.length_digits else "") + raw
