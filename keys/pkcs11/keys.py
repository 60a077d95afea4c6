"""
What a key must be in a token, by its TR-31 usage.

CVV and the retail MAC encrypt under the first half of their key alone, and no PKCS#11 mechanism
takes half of a key that cannot be read: so such a key is two objects, itself and its half, written
twice (K1‖K1) under the label with `.k1` behind it. The half has an entry of its own in the key
file, because nothing else could tell a wrong one at start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pkcs11 import Attribute, KeyType, Mechanism

from keys.hsm import HsmRejected, KeyRef
from keys.keyfile import KeyEntry

#: Behind the label of a key: its first half, twice.
HALF = ".k1"

#: TR-31 usages of keys whose half is used alone, and of keys that others are derived from.
_HALVED = {"C0", "M3"}
_DERIVING = {"E0"}

#: Other than these, a key is encrypted with (TDES) or signed with (AES).
_CMAC = "M6"

#: Not every token knows CKK_DES2: there a key of double length is K1‖K2‖K1, its half K1‖K1‖K1.
KEY_TYPES = {"T": {KeyType.DES2, KeyType.DES3}, "A": {KeyType.AES}}


def needed_attributes(usage: str, algorithm: str) -> frozenset[Attribute]:
    """
    What a key must be allowed in the token, by its TR-31 usage and algorithm.

    A TDES key always encrypts and an AES key always signs: that is how its check value is made.
    """
    needed = {Attribute.ENCRYPT if algorithm == "T" else Attribute.SIGN}
    if usage == _CMAC:
        needed.add(Attribute.SIGN)
    if usage in _DERIVING:
        needed.add(Attribute.DERIVE)
    return frozenset(needed)


def needed_mechanisms(usage: str, algorithm: str) -> frozenset[Mechanism]:
    """What the token must be able to do with a key, by its TR-31 usage and algorithm."""
    needed = {Mechanism.DES3_ECB if algorithm == "T" else Mechanism.AES_CMAC}
    if usage in {"M1", "M3"} | _DERIVING:
        needed.add(Mechanism.DES3_CBC)
    if usage in _DERIVING:
        needed.add(Mechanism.DES3_ECB_ENCRYPT_DATA)
    if usage == _CMAC and algorithm == "T":
        needed.add(Mechanism.DES3_CMAC)
    return frozenset(needed)


def has_half(entry: KeyEntry) -> bool:
    """Whether the key stands in the token a second time, as its first half."""
    return entry.usage in _HALVED and not entry.places["pkcs11"].endswith(HALF)


def token_entries(entries: Mapping[str, KeyEntry]) -> dict[str, KeyEntry]:
    """
    Pick the keys that have a label, by logical name.

    Raises `HsmRejected` for a key of another algorithm, two keys with one label, and a half that
    has no check value.
    """
    ours = {name: entry for name, entry in entries.items() if "pkcs11" in entry.places}
    labels: dict[str, KeyEntry] = {}
    for name, entry in ours.items():
        if entry.algorithm not in KEY_TYPES:
            raise HsmRejected(f"key {name!r}: algorithm {entry.algorithm} is not for a token")
        label = entry.places["pkcs11"]
        if label in labels:
            raise HsmRejected(f"key {name!r}: {labels[label].name!r} has the same label")
        labels[label] = entry
    for name, entry in ours.items():
        half = labels.get(entry.places["pkcs11"] + HALF)
        if has_half(entry) and (half is None or half.usage != entry.usage):
            raise HsmRejected(
                f"key {name!r}: the key file needs a key of usage {entry.usage} at "
                f"{entry.places['pkcs11'] + HALF!r} too: its first half"
            )
    return ours


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A key of one session that was found, is what it should be, and has its check value."""

    usage: str
    algorithm: str
    kcv: str  #: in full: six hex digits for TDES, ten for AES
    handle: int
    half: int = 0  #: handle of K1‖K1, for usages that need it

    def require(self, ref: KeyRef, usages: Collection[str]) -> None:
        """Raise `HsmRejected` where this is not the key that is asked for, or is for other uses."""
        if ref.kcv.upper() not in {self.kcv, self.kcv[:6]}:
            raise HsmRejected(f"key {ref.name!r}: its check value is not the pinned one")
        if self.usage not in usages:
            raise HsmRejected(f"key {ref.name!r}: is {self.usage}, not {' or '.join(usages)}")
