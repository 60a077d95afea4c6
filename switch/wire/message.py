"""
Bytes ↔ `Message`, in the dialect of a link.

pyiso8583 is the codec. Around it stand the rules it does not have: what a field
may hold, that a length is digits, that a bitmap is a bitmap; and the two forms it
does not know: an amount with its sign, and the separator of a packed track 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import iso8583

from specs.field import EBCDIC, Field
from specs.spec import Spec
from switch.wire.content import MAC_FIELDS, without_blanks
from switch.wire.error import MessageError
from switch.wire.mti import is_mti, without_repeat
from switch.wire.plan import plans

__all__ = ["Message", "MessageError", "decode", "encode", "require"]

#: Fields that are bitmaps, which the codec keeps for itself.
_BITMAP_FIELDS = frozenset({1, 65})

#: One bitmap, or two where the first says so; and a third where the second says so and the
#: dialect has one. By how they stand and by how many there may be.
_BITMAPS: Mapping[tuple[str, int], re.Pattern[bytes]] = {
    ("ascii", 2): re.compile(
        rb"[0-7][0-9A-Fa-f]{15}|[89A-Fa-f][0-9A-Fa-f]{15}[0-7][0-9A-Fa-f]{15}",
    ),
    ("ascii", 3): re.compile(
        rb"[0-7][0-9A-Fa-f]{15}|[89A-Fa-f][0-9A-Fa-f]{15}"
        rb"(?:[0-7][0-9A-Fa-f]{15}|[89A-Fa-f][0-9A-Fa-f]{31})",
    ),
    ("b", 2): re.compile(
        rb"[\x00-\x7f].{7}|[\x80-\xff].{7}[\x00-\x7f].{7}",
        re.DOTALL,
    ),
    ("b", 3): re.compile(
        rb"[\x00-\x7f].{7}|[\x80-\xff].{7}(?:[\x00-\x7f].{7}|[\x80-\xff].{15})",
        re.DOTALL,
    ),
}


@dataclass(slots=True, repr=False)  # frozen in all but name, as all that is made for each message
class Message:
    """An ISO 8583 message: its MTI and its fields by number, binary ones as uppercase hex."""

    mti: str
    fields: Mapping[int, str]

    def __repr__(self) -> str:
        """The MTI and which fields stand in it: a value may be a PAN."""
        return f"Message({self.mti!r}, {sorted(self.fields)})"


#: What pyiso8583 hands out, by its own keys.
_Values = dict[str, str]
_Parts = dict[str, dict[str, bytes]]


@dataclass(frozen=True, slots=True)
class _Fault:
    """The first thing wrong with a message, by pyiso8583's key."""

    problem: str
    key: str
    offset: int


@dataclass(frozen=True, slots=True)
class _Rule:
    """What holds for one field, made once a dialect because decoding is the hot path."""

    number: int
    fits: Callable[[str], re.Match[str] | None]
    from_codec: Callable[[str], str] | None
    to_codec: Callable[[str], str] | None
    is_length: Callable[[bytes], bool] | None  #: where the length is text: that it is digits


@cache
def _rules(spec: Spec) -> dict[str, _Rule]:
    """Of every field of a dialect, by pyiso8583's key."""
    return {
        str(number): _Rule(
            number=number,
            fits=field.pattern.fullmatch,
            from_codec=_from_codec(field),
            to_codec=_to_codec(field),
            is_length=_is_length(spec.codec[str(number)]) if field.length_digits else None,
        )
        for number, field in spec.fields.items()
        if number not in _BITMAP_FIELDS
    }


def _is_length(codec: Mapping[str, Any]) -> Callable[[bytes], bool] | None:
    """What Python's `int` does not ask: digits alone, no sign, space or underscore."""
    encoding = codec["len_enc"]
    if encoding in EBCDIC:
        return lambda length: length.decode(encoding).isdecimal()
    return bytes.isdigit if encoding == "ascii" else None


def _from_codec(field: Field) -> Callable[[str], str] | None:
    """What makes of pyiso8583's value ours. Track 2 may come with D as separator everywhere."""
    if field.encoding == "amount":
        return lambda value: chr(int(value[:2], 16)) + value[2:]
    if field.encoding == "hex":
        return without_blanks if field.number in MAC_FIELDS else str.upper
    if field.kind == "z":
        return lambda value: value.replace("D", "=")
    return None


def _to_codec(field: Field) -> Callable[[str], str] | None:
    """The way back."""
    if field.encoding == "amount":
        return lambda value: f"{ord(value[0]):02X}{value[1:]}"
    if field.kind == "z" and field.encoding.startswith("bcd"):
        return lambda value: value.replace("=", "D")
    return None


def decode(data: bytes, spec: Spec) -> Message:
    """
    Read one message, the payload of a frame.

    Raises `MessageError`, and nothing else, for bytes that are not a message of
    the dialect to their last one. Time is linear in the length.
    """
    short = plans(spec)
    if (found := short.decode(data)) is not None:
        return Message(*found)
    message = decode_at_length(data, spec)
    short.was_decoded(data, message.mti, message.fields)
    return message


def decode_at_length(data: bytes, spec: Spec) -> Message:
    """The same by pyiso8583, for whatever is new and whatever is wrong."""
    head = _head(spec)
    mti = _mti(data, head)
    bitmaps = head.bitmaps.match(data, head.size)
    if not bitmaps:
        raise MessageError("bitmap", "bitmap", head.size, Message(mti, {}))
    if head.unknown and (number := _unknown(bitmaps[0], spec)):
        raise MessageError("unknown", f"de_{number}", head.size, Message(mti, {}))
    decoded, encoded, stop = _decoded(data, spec)
    rules = _rules(spec)
    fields: dict[int, str] = {}
    fault: _Fault | None = None
    for key, value in decoded.items():
        rule = rules.get(key)
        if rule is None:  # the MTI and the bitmaps
            continue
        if rule.from_codec is not None:
            value = rule.from_codec(value)  # noqa: PLW2901 - the same value in our form
        if rule.fits(value) is None:
            fault = fault or _Fault("format", key, _offset(key, encoded))
        elif rule.is_length is not None and not rule.is_length(encoded[key]["len"]):
            fault = fault or _Fault("length", key, _offset(key, encoded))
        else:
            fields[rule.number] = value
    fault = fault or stop  # the first in the message: what follows it may only be shifted
    if fault is not None:
        name = _name(fault.key, spec)
        raise MessageError(fault.problem, name, fault.offset, Message(mti, fields))
    return Message(mti, fields)


def encode(message: Message, spec: Spec) -> bytes:
    """Write one message. Raises `MessageError` for a value that its dialect does not allow."""
    if not is_mti(message.mti):
        raise MessageError("format", "mti")
    short = plans(spec)
    if (made := short.encode(message.mti, message.fields)) is not None:
        return made
    made = encode_at_length(message, spec)
    short.was_encoded(message.fields)
    return made


def encode_at_length(message: Message, spec: Spec) -> bytes:
    """The same by pyiso8583."""
    rules = _rules(spec)
    document = {"t": message.mti}
    for number, value in message.fields.items():
        key = str(number)
        rule = rules.get(key)
        if rule is None:
            raise MessageError("unknown", f"de_{number}")
        if rule.fits(value) is None:
            raise MessageError("format", _name(key, spec))
        document[key] = value if rule.to_codec is None else rule.to_codec(value)

    field = ""
    try:
        return bytes(iso8583.encode(document, spec.codec)[0])
    except iso8583.EncodeError as error:
        field = _name(error.field, spec)
    raise MessageError("length", field)


def require(message: Message, spec: Spec) -> None:
    """Raise `MessageError` for the first DE that the message's class must bring and does not."""
    required = _required(spec, message.mti)
    if all(map(message.fields.get, required)):
        return
    missing = next(number for number in required if not message.fields.get(number))
    raise MessageError("missing", spec.fields[missing].name, readable=message)


@lru_cache(maxsize=256)
def _required(spec: Spec, mti: str) -> tuple[int, ...]:
    """The DEs that messages of this MTI must bring."""
    message_class = spec.classes.get(without_repeat(mti))
    return () if message_class is None else message_class.required


@dataclass(frozen=True, slots=True)
class _Head:
    """How a message of a dialect begins, made once."""

    encoding: str  #: of the MTI: "" where it is packed
    size: int  #: of the MTI, in bytes
    bitmaps: re.Pattern[bytes]
    unknown: frozenset[int]  #: what the bitmaps can announce and the dialect has not


@cache
def _head(spec: Spec) -> _Head:
    mti, bitmap = spec.codec["t"]["data_enc"], spec.codec["p"]["data_enc"]
    count = 3 if spec.has_third_bitmap else 2
    return _Head(
        encoding="" if mti == "b" else "latin-1" if mti == "ascii" else mti,
        size=spec.codec["t"]["max_len"],
        bitmaps=_BITMAPS[bitmap, count],
        unknown=frozenset(range(1, 64 * count + 1)) - spec.fields.keys(),
    )


def _mti(data: bytes, head: _Head) -> str:
    first = data[: head.size]
    mti = first.decode(head.encoding) if head.encoding else first.hex()
    if not is_mti(mti):
        raise MessageError("length" if len(data) < head.size else "format", "mti", 0)
    return mti


def _unknown(bitmaps: bytes, spec: Spec) -> int | None:
    """The first field that is announced and that the dialect has not: none can follow it."""
    raw = bitmaps if spec.codec["p"]["data_enc"] == "b" else bytes.fromhex(bitmaps.decode("ascii"))
    bits, width = int.from_bytes(raw, "big"), 8 * len(raw)
    announced = (number for number in sorted(_head(spec).unknown) if number <= width)
    return next((number for number in announced if bits >> (width - number) & 1), None)


def _decoded(data: bytes, spec: Spec) -> tuple[_Values, _Parts, _Fault | None]:
    """
    What pyiso8583 reads: values, their bytes, and where it stopped before the end.

    Its exception holds the whole message. It ends here, and ours is raised later:
    `from None` would hide it and still keep it in `__context__`.
    """
    try:
        values, parts = iso8583.decode(data, spec.codec)
    except iso8583.DecodeError as error:
        fault = _Fault(_problem(error), error.field, error.pos)
        if fault.problem != "trailing":
            error.doc_dec.pop(error.field, None)
        return error.doc_dec, error.doc_enc, fault
    return values, parts, None


def _problem(error: iso8583.DecodeError) -> str:
    """Our word for pyiso8583's sentence."""
    if error.msg.startswith("Extra data"):
        return "trailing"
    if error.msg.startswith("Failed to decode field,"):
        return "format"
    # Read in full, but the spare half byte of an odd length is not the dialect's.
    return "format" if error.doc_dec.get(error.field) else "length"


def _offset(key: str, parts: _Parts) -> int:
    """Where the bytes of a field begin, its length included."""
    offset = 0
    for each, part in parts.items():
        if each == key:
            break
        offset += len(part["len"]) + len(part["data"])
    return offset


def _name(key: str, spec: Spec) -> str:
    """Our name for what pyiso8583 calls "t", "p", "1", or by its number."""
    names = {"t": "mti", "p": "bitmap", "1": "bitmap"}
    return names.get(key) or spec.fields[int(key)].name
