"""A key with what it may be used for, and the values that tell one key from another."""

from __future__ import annotations

import hmac
from typing import NoReturn

from keys.software.mac import aes_cmac
from keys.software.tdes import AES_BLOCK, DES_BLOCK, encryptor

#: Algorithms of a TR-31 header that this product knows.
TDES, AES, HMAC = "T", "A", "H"


class Key:
    """
    A key as its TR-31 header describes it. Its text never shows the material.

    It is no dataclass, cannot be pickled or copied, and compares by identity:
    each of these would be a way for the material to get somewhere else.
    """

    __slots__ = ("algorithm", "check_values", "material", "mode_of_use", "usage", "version")

    def __init__(
        self, material: bytes, *, usage: str, algorithm: str, mode_of_use: str, version: str = "00"
    ) -> None:
        self.material = material  #: the clear key
        self.usage = usage  #: two characters of TR-31: C0, V2, P0 …
        self.algorithm = algorithm  #: one of T, A, H
        self.mode_of_use = mode_of_use  #: one character of TR-31: V verify, B both ways …
        self.version = version  #: two characters; 00 where keys of this name have no versions
        self.check_values = check_values(algorithm, material)  #: all that may be pinned

    @property
    def kcv(self) -> str:
        """The check value, six hex digits."""
        return min(self.check_values, key=len)

    def has_check_value(self, pinned: str) -> bool:
        """Whether a pinned check value, of six digits or the full length, is this key's."""
        return pinned.upper() in self.check_values

    def __repr__(self) -> str:
        return f"Key(usage={self.usage!r}, algorithm={self.algorithm!r}, kcv={self.kcv!r})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be copied or pickled")


def check_values(algorithm: str, material: bytes) -> frozenset[str]:
    """
    Compute a key's check values: six hex digits, for AES also ten.

    TDES: three bytes of encrypted zeros (ANSI X9.24-1, Annex A). AES: CMAC of a
    block of zeros, of which X9.24-1:2017 keeps five bytes and AWS Payment
    Cryptography three. HMAC has no agreed one; ours is three bytes of
    HMAC-SHA-256 over nothing. Raises `ValueError` for another algorithm or length.
    """
    match algorithm:
        case "T":
            value = encryptor(material)(bytes(DES_BLOCK))[:3]
        case "A":
            value = aes_cmac(material)(bytes(AES_BLOCK))[:5]
        case "H":
            value = hmac.digest(material, b"", "sha256")[:3]
        case _:
            raise ValueError("no check value is defined for this algorithm")
    return frozenset({value[:3].hex().upper(), value.hex().upper()})
