"""The data element that carries a zone key: the key under the zone master key, its check value."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from specs.spec import Spec
from switch.wire.message import Message, MessageError

#: A TR-31 block tells its length in the four digits after its version.
_BLOCK_LENGTH = re.compile(r"[A-D](\d{4})", re.ASCII)
_KCV = re.compile(r"[0-9A-F]{6}(?:[0-9A-F]{4})?", re.ASCII)
#: A TDES key of two or three parts in ECB, then six digits of check value.
_CRYPTOGRAM = re.compile(r"((?:[0-9A-F]{16}){2,3})([0-9A-F]{6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class KeyData:
    """A key that travels."""

    wrapped: str = field(repr=False)
    kcv: str  #: six hexadecimal digits, of an AES key also ten


def read_key_data(message: Message, spec: Spec) -> KeyData:
    """Read the key that a message brings. Raises `MessageError`, which shows nothing of it."""
    exchange = spec.key_exchange
    assert exchange is not None  # links without it have no key exchange  # noqa: S101
    name = spec.fields[exchange.field].name
    text = message.fields.get(exchange.field)
    if text is None:
        raise MessageError("missing", name, readable=message)
    found = _split(text.strip(" "), exchange.layout)
    if found is None or _KCV.fullmatch(found.kcv) is None:
        raise MessageError("format", name, readable=message)
    return found


def write_key_data(wrapped: str, kcv: str) -> str:
    """The data element of a key that is sent."""
    return f"{wrapped}{kcv}"


def _split(text: str, layout: str) -> KeyData | None:
    if layout == "cryptogram":
        cryptogram = _CRYPTOGRAM.fullmatch(text.upper())
        return KeyData(*cryptogram.groups()) if cryptogram else None
    length = _BLOCK_LENGTH.match(text)
    if length is None:
        return None
    end = int(length[1])
    return KeyData(text[:end], text[end:].upper())
