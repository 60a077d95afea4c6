"""
The two paddings of ISO/IEC 9797-1 that cryptogram versions choose between.

Backends take padded data, for real HSMs do. Which method a cryptogram version
needs is the program's setting: Visa CVN 10 zeros, CVN 18 and EMV `80`.
"""

from __future__ import annotations

#: DES works in blocks of eight bytes.
DES_BLOCK = 8


def pad_method_1(data: bytes) -> bytes:
    """Fill with zeros to whole blocks of eight bytes, at least one (ISO/IEC 9797-1, 6.3.2)."""
    if not data:
        return bytes(DES_BLOCK)
    return data + bytes(-len(data) % DES_BLOCK)


def pad_method_2(data: bytes) -> bytes:
    """Append `80`, then fill with zeros to whole blocks of eight bytes (ISO/IEC 9797-1, 6.3.3)."""
    return pad_method_1(data + b"\x80")
