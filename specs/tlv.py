"""
Tag, length, value: the EMV data of DE55 and the elements of DE48.

Both readers make one pass and keep the order. What is wrong is a `TlvError`
that names the tag at most, never a value.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping

#: Bytes of a tag: EMV uses one and two, contactless kernels three (DF8101).
TAG_BYTES_MAX = 3

#: Bytes of a length after 81 or 82: two say up to 65,535, more than any DE carries.
LENGTH_BYTES_MAX = 2

_MORE_TAG_BYTES = 0x1F
_CONTINUED = 0x80


class TlvError(ValueError):
    """Tag-length-value data that cannot be read: what is wrong, and at which tag."""

    def __init__(self, problem: str, tag: str = "") -> None:
        super().__init__(f"{problem} at tag {tag}" if tag else problem)
        self.problem = problem
        self.tag = tag


def decode_ber(hex_text: str) -> dict[str, str]:
    """
    Read BER-TLV (EMV Book 3, annex B): tag → value, both uppercase hex, in order.

    Zero bytes between data objects mean nothing and are skipped, as the annex
    says. Constructed objects stay whole: their value is the hex of what is inside.
    No tag may stand twice.
    """
    values: dict[str, str] = {}
    for tag, value in objects_ber(hex_text):
        if tag in values:
            raise TlvError("stands twice", tag)
        values[tag] = value
    return values


def objects_ber(hex_text: str) -> list[tuple[str, str]]:
    """The same where a tag may come again: tags with their values."""
    try:
        data = unhexlify(hex_text)
    except ValueError:
        raise TlvError("not hex") from None
    objects: list[tuple[str, str]] = []
    at, end = 0, len(data)
    while at < end:
        if data[at] == 0:
            at += 1
            continue
        start, at = at, _after_tag(data, at)
        tag = data[start:at].hex().upper()
        at, length = _length(data, at, tag)
        if at + length > end:
            raise TlvError("longer than the data", tag)
        objects.append((tag, data[at : at + length].hex().upper()))
        at += length
    return objects


def _after_tag(data: bytes, at: int) -> int:
    """Where the tag that begins here ends."""
    start = at
    at += 1
    if data[start] & _MORE_TAG_BYTES == _MORE_TAG_BYTES:
        while True:
            if at >= len(data):
                raise TlvError("tag cut short")
            if at - start == TAG_BYTES_MAX:
                raise TlvError("tag too long")
            at += 1
            if not data[at - 1] & _CONTINUED:
                break
    return at


def _length(data: bytes, at: int, tag: str) -> tuple[int, int]:
    """Where the value begins, and its length in bytes."""
    if at >= len(data):
        raise TlvError("no length", tag)
    first = data[at]
    at += 1
    if not first & _CONTINUED:
        return at, first
    width = first & ~_CONTINUED
    if width == 0:
        raise TlvError("indefinite length", tag)
    if width > LENGTH_BYTES_MAX:
        raise TlvError("length too long", tag)
    if at + width > len(data):
        raise TlvError("length cut short", tag)
    return at + width, int.from_bytes(data[at : at + width], "big")


def encode_ber(values: Mapping[str, str]) -> str:
    """Write BER-TLV: tag → value (hex) in their order, as uppercase hex."""
    return "".join(tag + _ber_length(len(value) // 2, tag) + value for tag, value in values.items())


def _ber_length(length: int, tag: str) -> str:
    """A length in its shortest form."""
    if length < _CONTINUED:
        return f"{length:02X}"
    width = (length.bit_length() + 7) // 8
    if width > LENGTH_BYTES_MAX:
        raise TlvError("value too long", tag)
    return f"{_CONTINUED | width:02X}{length:0{2 * width}X}"


def decode_additional_data(
    text: str, *, tag_digits: int = 2, length_digits: int = 2
) -> dict[str, str]:
    """Read the elements of DE48, each a tag, a length in characters and a value."""
    values: dict[str, str] = {}
    at, end = 0, len(text)
    while at < end:
        tag = text[at : at + tag_digits]
        start = at + tag_digits + length_digits
        length = text[at + tag_digits : start]
        if not _is_number(tag, tag_digits):
            raise TlvError("tag is not a number")
        if not _is_number(length, length_digits):
            raise TlvError("length is not a number", tag)
        if tag in values:
            raise TlvError("stands twice", tag)
        at = start + int(length)
        if at > end:
            raise TlvError("longer than the data", tag)
        values[tag] = text[start:at]
    return values


def _is_number(text: str, digits: int) -> bool:
    return len(text) == digits and text.isascii() and text.isdigit()


def encode_additional_data(
    values: Mapping[str, str], *, tag_digits: int = 2, length_digits: int = 2
) -> str:
    """Write the elements of DE48 in their order."""
    elements = []
    for tag, value in values.items():
        length = f"{len(value):0{length_digits}d}"
        if not _is_number(tag, tag_digits):
            raise TlvError("tag is not a number")
        if len(length) > length_digits:
            raise TlvError("value too long", tag)
        elements.append(tag + length + value)
    return "".join(elements)
