"""Parity and parts of TDES keys: every byte's lowest bit makes its ones odd (FIPS 46-3)."""

from __future__ import annotations

import itertools

_PART = 8


def _odd(byte: int) -> int:
    return byte if byte.bit_count() % 2 else byte ^ 1


def has_odd_parity(key: bytes | bytearray) -> bool:
    """Whether every byte has an odd number of ones."""
    return all(byte.bit_count() % 2 for byte in key)


def set_odd_parity(key: bytearray) -> None:
    """Make every byte's ones odd, in place. DES ignores these bits: no check value changes."""
    for index, byte in enumerate(key):
        key[index] = _odd(byte)


def is_degenerate(key: bytes | bytearray) -> bool:
    """Whether two neighbouring parts of a TDES key are the same but for parity.

    Then encryption and decryption cancel out, and single DES remains.
    """
    parts = [bytes(byte | 1 for byte in key[at : at + _PART]) for at in range(0, len(key), _PART)]
    return any(one == next_ for one, next_ in itertools.pairwise(parts))
