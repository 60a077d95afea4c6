"""
Keys as a payShield knows them: enciphered under its local master key, in the key file.

    payshield = "U479D751977AA598CB481F548226DBF2B"        # a variant LMK: 16H, U32H, T48H
    payshield = "003:U5FFE8014DA383D44C24AB41E37DB252F"    # … of another key type than usual
    payshield = "S10096C0TN00E0001…"                       # a key block LMK

Under a variant LMK a key's type says what it may be used for, so it must be known; the usual type
of each TR-31 usage is below. Under a key block LMK the block says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from keys.hsm import HsmRejected, KeyRef
from keys.keyfile import KeyEntry
from keys.software.key import AES, HMAC

#: Key types of a variant LMK by TR-31 usage: LMK pair and variant. Source: the key type table of
#: the RG7000/8000 manuals; 402 and 109 also by jPOS's wrapped test keys.
_KEY_TYPES = {
    "C0": "402",  # CVK: pair 14-15, variant 4
    "V1": "002",  # PVK: pair 14-15
    "V2": "002",
    "P0": "001",  # ZPK: pair 06-07
    "E0": "109",  # MK-AC: pair 28-29, variant 1
    "K0": "000",  # ZMK: pair 04-05
    "M1": "008",  # ZAK: pair 26-27
    "M3": "008",
    "M6": "008",
}

#: What stands for the type of a key block, in commands that ask for one.
_TYPE_OF_BLOCK = "FFF"

#: A terminal's PIN key (TPK), before and after the key separation of PCI HSM: its PIN blocks have
#: commands of their own. Under a key block LMK nothing tells it from a zone's: it is taken for one.
_TERMINAL_TYPES = {"002", "70D"}

_VARIANT = re.compile(
    r"(?:(?P<type>[0-9A-F]{3}):)?(?P<key>[0-9A-F]{16}|U[0-9A-F]{32}|T[0-9A-F]{48})", re.ASCII
)
_BLOCK = re.compile(r"S[01](?P<size>\d{4})[0-9A-Z]{11,}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key of the key file, as commands take it."""

    name: str
    kcv: str  #: pinned
    usage: str
    key_type: str  #: three characters; FFF for a key block
    text: str = field(repr=False)

    @property
    def is_terminal(self) -> bool:
        """Whether it enciphers the PINs of a terminal and not of a zone."""
        return self.usage == "P0" and self.key_type in _TERMINAL_TYPES


class Keys:
    """All keys that have a place in the HSM, by logical name."""

    def __init__(self, entries: Mapping[str, KeyEntry], *, has_key_blocks: bool) -> None:
        """Read their places; raise `HsmRejected` naming the first that this LMK cannot have."""
        self._keys = {
            name: _wrapped(entry, entry.places["payshield"], has_key_blocks)
            for name, entry in entries.items()
            if "payshield" in entry.places
        }

    def all(self) -> list[WrappedKey]:
        """Every key, in the file's order."""
        return list(self._keys.values())

    def find(self, ref: KeyRef, *usages: str) -> WrappedKey:
        """Find a key; raise `HsmRejected` where name, check value or usage is not as asked."""
        key = self._keys.get(ref.name)
        if key is None:
            raise HsmRejected(f"key {ref.name!r}: there is none of this name")
        if key.kcv[:6] != ref.kcv[:6].upper():
            raise HsmRejected(f"key {ref.name!r}: its check value is not the pinned one")
        if key.usage not in usages:
            raise HsmRejected(f"key {ref.name!r}: is {key.usage}, not {' or '.join(usages)}")
        return key


def _wrapped(entry: KeyEntry, place: str, has_key_blocks: bool) -> WrappedKey:
    if entry.algorithm == HMAC:
        raise HsmRejected(f"key {entry.name!r}: payshield: no command here uses HMAC keys")
    if has_key_blocks:
        match = _BLOCK.fullmatch(place)
        if match is None or int(match["size"]) != len(place) - 1:
            raise HsmRejected(f"key {entry.name!r}: payshield: S and a Thales key block are needed")
        return WrappedKey(entry.name, entry.kcv, entry.usage, _TYPE_OF_BLOCK, place)
    match = _VARIANT.fullmatch(place)
    if match is None:
        raise HsmRejected(
            f"key {entry.name!r}: payshield: 16 hexadecimal digits, U and 32 or T and 48 are needed"
        )
    if entry.algorithm == AES:
        raise HsmRejected(f"key {entry.name!r}: payshield: AES keys need a key block LMK")
    key_type = match["type"] or _KEY_TYPES.get(entry.usage)
    if key_type is None:
        raise HsmRejected(
            f"key {entry.name!r}: payshield: usage {entry.usage} has no usual key type: "
            "put it before the key, as in 709:U…"
        )
    return WrappedKey(entry.name, entry.kcv, entry.usage, key_type, match["key"])
