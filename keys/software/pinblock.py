"""
PIN blocks of ISO 9564-1: formats 0, 1 and 3 under TDES, format 4 under AES.

A block that does not decode gives None, whatever is wrong with it: saying what
would help only somebody who guesses.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from keys.hsm import PinBlockFormat
from keys.software import tdes
from keys.software.digits import are_digits, xor

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
_ISO_0, _ISO_1, _ISO_3, _ISO_4 = PinBlockFormat

PIN_LENGTH_MIN = 4
PIN_LENGTH_MAX = 12


@dataclass(frozen=True, slots=True)
class ZoneKey:
    """A PIN encryption key, both ways; its block says which cipher it is for."""

    encrypt: tdes.BlockTransform
    decrypt: tdes.BlockTransform
    block_size: int  #: bytes: 8 for TDES, 16 for AES

    @classmethod
    def prepare_tdes(cls, key: bytes) -> ZoneKey:
        """Prepare a TDES key, for formats 0, 1 and 3."""
        return cls(tdes.encryptor(key), tdes.decryptor(key), tdes.DES_BLOCK)

    @classmethod
    def prepare_aes(cls, key: bytes) -> ZoneKey:
        """Prepare an AES key, for format 4."""
        return cls(tdes.aes_encryptor(key), tdes.aes_decryptor(key), tdes.AES_BLOCK)


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a format's PIN field looks like; a nibble is one hex digit."""

    control: str  #: its first nibble
    fill: str  #: the nibbles that may follow the PIN
    bound: bool  #: whether the PAN is XORed over it


_LAYOUTS = {
    _ISO_0: _Layout("0", "f", bound=True),
    _ISO_1: _Layout("1", "0123456789abcdef", bound=False),
    _ISO_3: _Layout("3", "abcdef", bound=True),
    _ISO_4: _Layout("4", "a", bound=True),
}

#: Control, length, PIN and fill stand in 16 nibbles; format 4 has random ones after them.
_FIELD_NIBBLES = 16


def decipher(
    key: ZoneKey, pin_block_format: PinBlockFormat, pin_block: bytes, pan: str
) -> str | None:
    """Give the PIN of an enciphered block, or None where it is no PIN block."""
    if len(pin_block) != key.block_size:
        return None
    layout = _LAYOUTS[pin_block_format]
    if pin_block_format is _ISO_4:
        field = key.decrypt(xor(key.decrypt(pin_block), pan_field_iso_4(pan)))
    else:
        field = key.decrypt(pin_block)
        if layout.bound:
            field = xor(field, pan_field(pan))
    return _decode_pin_field(layout, field)


def encipher(key: ZoneKey, pin_block_format: PinBlockFormat, pin: str, pan: str) -> bytes:
    """Make an enciphered block, with fresh random fill where the format has one."""
    field = _encode_pin_field(pin_block_format, pin)
    if pin_block_format is _ISO_4:
        return key.encrypt(xor(key.encrypt(field), pan_field_iso_4(pan)))
    if _LAYOUTS[pin_block_format].bound:
        field = xor(field, pan_field(pan))
    return key.encrypt(field)


def _decode_pin_field(layout: _Layout, field: bytes) -> str | None:
    """Read a clear PIN field (ISO 9564-1, 9.3); None where anything in it is not as it must be."""
    nibbles = field.hex()[:_FIELD_NIBBLES]
    pin_end = 2 + int(nibbles[1], 16)
    pin, fill = nibbles[2:pin_end], nibbles[pin_end:]
    well_formed = (
        nibbles[0] == layout.control
        and are_digits(pin, PIN_LENGTH_MIN, PIN_LENGTH_MAX)
        and not fill.strip(layout.fill)
    )
    return pin if well_formed else None


def _encode_pin_field(pin_block_format: PinBlockFormat, pin: str) -> bytes:
    """Write a clear PIN field: control, length, PIN, fill; format 4 has 8 random bytes more."""
    layout = _LAYOUTS[pin_block_format]
    fill = "".join(secrets.choice(layout.fill) for _ in range(_FIELD_NIBBLES - 2 - len(pin)))
    field = bytes.fromhex(f"{layout.control}{len(pin):x}{pin}{fill}")
    if pin_block_format is _ISO_4:
        field += secrets.token_bytes(8)
    return field


def pan_field(pan: str) -> bytes:
    """Four zeros and the twelve rightmost digits before the check digit (formats 0 and 3)."""
    return bytes.fromhex(pan[-13:-1].rjust(16, "0"))


def pan_field_iso_4(pan: str) -> bytes:
    """How many digits above twelve, the PAN, zeros to 32 nibbles (format 4)."""
    return bytes.fromhex(f"{len(pan) - 12}{pan}".ljust(32, "0"))
