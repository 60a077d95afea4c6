"""
Where a message authentication code stands, and which bytes it is over.

ISO 8583:1987: DE64, or DE128 in a message with a secondary bitmap. It is the last field, and
it is over every byte before it as they are on the wire: the MTI, the bitmaps with its own bit
set, the fields. Here are the bytes only; the code itself an HSM makes and compares.
"""

from __future__ import annotations

from binascii import unhexlify
from dataclasses import dataclass, field

from specs.field import Field
from specs.spec import Spec
from switch.wire.message import Message, encode

MAC, MAC_2 = 64, 128

#: Bytes of a code: of eight, half may be given (ANSI X9.9); the rest is then zeros or blanks.
LENGTH_MIN, LENGTH_MAX = 4, 8

_SECONDARY, _LAST = 1 << 63, 1  # bits of a bitmap
_PRIMARY_MAX = 64


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The bytes of a message that its code is over, and the code that it brought."""

    data: bytes = field(repr=False)
    mac: bytes = field(repr=False)  #: four to eight bytes, without what fills the field


def can_carry_mac(spec: Spec) -> bool:
    """Whether DE64 and DE128 are the last of a message, of a fixed length that a code fits."""
    return not spec.has_third_bitmap and all(
        field.kind == "b" and not field.length_digits and LENGTH_MIN <= field.length <= LENGTH_MAX
        for field in (spec.fields[MAC], spec.fields[MAC_2])
    )


def split_mac(payload: bytes, spec: Spec) -> Authenticated | None:
    """
    Part a message from its code; none where its last bit is not set, or the code not whole.

    The message need not be readable: the code is taken from its end. In a readable one the
    field stands there and nowhere else.
    """
    mac_field, fields_at = _announced(payload, spec)
    if mac_field is None:
        return None
    at = len(payload) - _size(mac_field)
    mac = _bytes(payload[at:], mac_field) if at >= fields_at else None
    return None if mac is None else Authenticated(payload[:at], _unfilled(mac))


def encode_with_room(message: Message, spec: Spec) -> bytes:
    """Write a message with zeros where its code is to be, for `split_mac` and `put_mac`."""
    number = MAC_2 if max(message.fields, default=0) > _PRIMARY_MAX else MAC
    room = "00" * spec.fields[number].length
    return encode(Message(message.mti, {**message.fields, number: room}), spec)


def put_mac(payload: bytes, mac: bytes, spec: Spec) -> bytes:
    """The message with this code, eight bytes of it at most, in the room that it has for it."""
    mac_field, _ = _announced(payload, spec)
    assert mac_field is not None  # noqa: S101 - `encode_with_room` wrote it
    value = mac[: mac_field.length].ljust(mac_field.length, b"\0")
    if mac_field.encoding == "hex":
        value = value.hex().upper().encode("ascii")
    return payload[: -len(value)] + value


def _announced(payload: bytes, spec: Spec) -> tuple[Field | None, int]:
    """The field of the code, where the bitmaps announce one, and where their fields begin."""
    at, size = spec.codec["t"]["max_len"], spec.codec["p"]["max_len"]
    number, after = MAC, at + size
    bits = _bits(payload[at:after], spec)
    if bits & _SECONDARY:
        number, at, after = MAC_2, after, after + size
        bits = _bits(payload[at:after], spec)
        if bits & _SECONDARY:  # a third: DE128 is not the last
            return None, after
    return (spec.fields[number] if bits & _LAST else None), after


def _bits(bitmap: bytes, spec: Spec) -> int:
    """A bitmap of 64 bits; zero for what is none."""
    try:
        raw = bitmap if spec.codec["p"]["data_enc"] == "b" else unhexlify(bitmap)
    except ValueError:
        return 0
    return int.from_bytes(raw, "big") if len(raw) == _PRIMARY_MAX // 8 else 0


def _size(mac_field: Field) -> int:
    """Bytes of the field on the wire."""
    return mac_field.length * (2 if mac_field.encoding == "hex" else 1)


def _bytes(raw: bytes, mac_field: Field) -> bytes | None:
    if mac_field.encoding != "hex":
        return raw
    half, rest = raw[: 2 * LENGTH_MIN], raw[2 * LENGTH_MIN :]
    try:
        return unhexlify(half if rest == b" " * len(rest) else raw)
    except ValueError:
        return None


def _unfilled(mac: bytes) -> bytes:
    """The code without the zeros or blanks after its first half."""
    half, rest = mac[:LENGTH_MIN], mac[LENGTH_MIN:]
    return half if rest in (bytes(len(rest)), b" " * len(rest)) else mac
