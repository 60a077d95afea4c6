"""
The software HSM: the `Hsm` protocol over keys in this process.

It answers inline, in microseconds, and needs no thread. Keys are prepared once,
for each use that their TR-31 header allows; a key used for anything else is
refused, as an HSM would. What it answers stands in `keys.software.questions`.
"""

from __future__ import annotations

from collections.abc import Mapping

from keys.hsm import (
    ArqcAnswer,
    Capability,
    CardCode,
    Cryptogram,
    HsmRejected,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    Verdict,
)
from keys.keyfile import Kbpk
from keys.software import zone_keys as zones
from keys.software.key import Key
from keys.software.questions.card_codes import CardCodes
from keys.software.questions.cryptograms import Cryptograms
from keys.software.questions.keyring import KeyRing
from keys.software.questions.macs import Macs
from keys.software.questions.pins import Pins
from keys.zone_keys import OfferedZoneKey, StoredZoneKey, ZoneKeyForm

#: What this backend can do, beside EMV 2000 where it is allowed. The card security codes of
#: American Express are not here, for their formulas are not public; new zone keys need a
#: key block protection key.
_CAPABILITIES = frozenset(Capability) - {
    Capability.AMEX_CSC_1,
    Capability.AMEX_CSC_2,
    Capability.ARQC_EMV_2000,
    Capability.IMPORT_ZONE_KEY,
}


class SoftwareHsm:
    """An HSM of keys in this process. See `keys.hsm.Hsm` for its questions."""

    name = "software"
    is_inline = True

    def __init__(
        self, keys: Mapping[str, Key], *, emv_2000: bool = False, kbpk: Kbpk | None = None
    ) -> None:
        """Prepare the keys, by logical name; those of other usages are left alone.

        EMV 2000 session keys are for cards that should have expired: they are off unless asked for.
        With a key block protection key, under which it keeps them, it takes zone keys later.
        """
        self.capabilities = _CAPABILITIES | ({Capability.ARQC_EMV_2000} if emv_2000 else set())
        if kbpk is not None:
            self.capabilities |= {Capability.IMPORT_ZONE_KEY}
        self._kbpk = kbpk
        self._ring = ring = KeyRing(keys)
        self._card_codes = CardCodes(ring)
        self._pins = Pins(ring)
        self._cryptograms = Cryptograms(ring, emv_2000=emv_2000)
        self._macs = Macs(ring)

    async def open(self) -> None:
        """Nothing is waited for; the key file's check values were compared when it was read."""

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` where no key has this name, its check value is another, or it is for
        other uses.
        """
        key = self._ring.find(ref)
        if key.usage not in usages:
            raise HsmRejected(f"key {ref.name!r}: is {key.usage}, not {' or '.join(usages)}")

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a card code; what has not its form is a mismatch."""
        return self._card_codes.verify(key, of, pan, code)

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block; what is no PIN block is unreadable."""
        return self._pins.verify(reference, zone_key, pin_block, pin_block_format, pan)

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram; on a match answer it."""
        return self._cryptograms.verify(key, cryptogram, arpc_data)

    async def translate_pin(
        self,
        *,
        from_key: KeyRef,
        from_format: PinBlockFormat,
        to_key: KeyRef,
        to_format: PinBlockFormat,
        pin_block: bytes,
        pan: str,
    ) -> bytes:
        """
        Encipher a PIN block anew for another zone, for the same PAN.

        Raises `HsmRejected` from a format bound to the PAN into format 1, which
        is not (PCI PIN 3-3), and for a block that cannot be read.
        """
        return self._pins.translate(from_key, from_format, to_key, to_format, pin_block, pan)

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, the algorithm's full length."""
        return self._macs.make(key, data, algorithm)

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code; less than four bytes of it is a mismatch."""
        return self._macs.verify(key, data, mac, algorithm)

    async def import_zone_key(
        self, wrapped: str, *, under: KeyRef, form: ZoneKeyForm, algorithm: str, kcv: str
    ) -> StoredZoneKey:
        """Open a zone PIN key under a zone master key, K0 or K1, and enclose it anew."""
        key = zones.opened(wrapped, self._ring.find(under), form=form, algorithm=algorithm)
        if not key.has_check_value(kcv):
            raise HsmRejected("zone key: its check value is not the one that came with it")
        return zones.stored(key, self._kbpk)

    async def make_zone_key(
        self, *, under: KeyRef, form: ZoneKeyForm, algorithm: str
    ) -> OfferedZoneKey:
        """Make a random zone PIN key, under a zone master key and for ourselves."""
        return zones.made(self._ring.find(under), self._kbpk, form=form, algorithm=algorithm)

    async def learn_zone_key(self, ref: KeyRef, stored: str) -> None:
        """Open a zone key that was enclosed here, and prepare it."""
        key = zones.restored(stored, self._kbpk, kcv=ref.kcv)
        self._ring.learn(ref.name, key)

    def forget_zone_key(self, ref: KeyRef) -> None:
        """Let go of a zone key that was learned."""
        self._ring.forget(ref.name)

    async def ping(self) -> None:
        """Return unless it was closed."""
        self._ring.require_open()

    async def close(self) -> None:
        """Let go of the keys; every question after is answered `HsmUnavailable`."""
        self._ring.close()
