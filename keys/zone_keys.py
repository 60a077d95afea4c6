"""
Zone PIN keys that come while the switch runs: what is asked of an HSM that can take them.

They come under a zone master key, from a scheme or from an operator. An HSM encloses them anew for
itself, and every process of a switch learns what one of them imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, cast

from keys.hsm import Capability, Hsm, HsmRejected, KeyRef


class ZoneKeyForm(StrEnum):
    """How a zone key travels under a zone master key."""

    KEY_BLOCK = "key-block"  #: TR-31: version B under TDES, D under AES
    CRYPTOGRAM = "cryptogram"  #: TDES alone: the key in ECB, hex; what it is for is agreed on


@dataclass(frozen=True, slots=True)
class StoredZoneKey:
    """A zone key as a backend wants it back: enciphered, or a name of its own for it."""

    stored: str = field(repr=False)  #: software: a TR-31 block under its key block protection key
    kcv: str  #: six hexadecimal digits


@dataclass(frozen=True, slots=True)
class OfferedZoneKey:
    """A new zone key: for ourselves, and for the other side under the zone master key."""

    ours: StoredZoneKey
    wrapped: str = field(repr=False)


class ZoneKeyHsm(Protocol):
    """An HSM that takes zone PIN keys while the switch runs (`Capability.IMPORT_ZONE_KEY`).

    Importing and learning are two steps, so that every process of a switch can learn what one
    imported: what `stored` is, is the backend's own. AWS Payment Cryptography would import with
    ImportKey and store the key's ARN; a payShield would import with A6, make with A0 and store the
    key under its LMK.
    """

    name: str
    capabilities: frozenset[Capability]

    async def import_zone_key(
        self, wrapped: str, *, under: KeyRef, form: ZoneKeyForm, algorithm: str, kcv: str
    ) -> StoredZoneKey:
        """Take a PIN key (P0) of an algorithm, T or A, that came under a zone master key.

        Raises `HsmRejected` where it does not open, is for something else, or has not the check
        value that came with it. It can be used once it is learned.
        """

    async def make_zone_key(
        self, *, under: KeyRef, form: ZoneKeyForm, algorithm: str
    ) -> OfferedZoneKey:
        """Make a random PIN key to be sent under a zone master key."""

    async def learn_zone_key(self, ref: KeyRef, stored: str) -> None:
        """Make a stored key usable under a name; raise `HsmRejected` where it cannot be used."""

    def forget_zone_key(self, ref: KeyRef) -> None:
        """Use it no more."""


def zone_keys_of(hsm: Hsm) -> ZoneKeyHsm:
    """An HSM as one that takes zone keys; raises `HsmRejected` where it does not."""
    if Capability.IMPORT_ZONE_KEY not in hsm.capabilities:
        raise HsmRejected(f"the {hsm.name} backend takes no zone keys while the switch runs")
    return cast("ZoneKeyHsm", hsm)
