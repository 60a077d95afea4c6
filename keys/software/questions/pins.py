"""PINs: verified against a card's reference, and carried from one zone to another."""

from __future__ import annotations

import re
from collections.abc import Callable

from keys.hsm import (
    HsmRejected,
    Ibm3624,
    KeyRef,
    PinBlockFormat,
    PinReference,
    Verdict,
    VisaPvv,
)
from keys.software import pin as formulas
from keys.software import pinblock, tdes
from keys.software.digits import require_decimalization_table, require_digits, require_pan
from keys.software.key import AES, TDES
from keys.software.questions.comparing import MISMATCH, compare
from keys.software.questions.keyring import KeyRing, Prepared, Use

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
_ISO_1, _ISO_4 = PinBlockFormat.ISO_1, PinBlockFormat.ISO_4
_UNREADABLE = Verdict.UNREADABLE

_VISA_PVV = Use("Visa PVV", frozenset({"V2"}), TDES, "CVN")
_IBM_3624 = Use("IBM 3624 PINs", frozenset({"V1"}), TDES, "CVN")

#: Preparation of a zone key by the cipher of its formats.
_ZONE_KEYS = {TDES: pinblock.ZoneKey.prepare_tdes, AES: pinblock.ZoneKey.prepare_aes}

_HEX_16 = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)


class Pins:
    """Answers `verify_pin` and `translate_pin`."""

    def __init__(self, ring: KeyRing) -> None:
        self._pvv = ring.prepare(_VISA_PVV, tdes.encryptor)
        self._ibm = ring.prepare(_IBM_3624, tdes.encryptor)
        self._from = _zone_keys(ring, "reading PIN blocks", "BDN")
        self._to = _zone_keys(ring, "writing PIN blocks", "BEN")

    def verify(
        self,
        reference: PinReference,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block; what is no PIN block is unreadable."""
        zone = _of_format(self._from, pin_block_format).find(zone_key)
        require_pan(pan)
        verify = self._check(reference, pan)
        pin = pinblock.decipher(zone, pin_block_format, pin_block, pan)
        return _UNREADABLE if pin is None else verify(pin)

    def translate(
        self,
        from_key: KeyRef,
        from_format: PinBlockFormat,
        to_key: KeyRef,
        to_format: PinBlockFormat,
        pin_block: bytes,
        pan: str,
    ) -> bytes:
        """
        Encipher a PIN block anew for another zone, for the same PAN.

        Raises `HsmRejected` from a format bound to the PAN into format 1, which is not
        (PCI PIN 3-3), and for a block that cannot be read.
        """
        if to_format is _ISO_1 and from_format is not _ISO_1:
            raise HsmRejected("to_format: a PIN block bound to a PAN stays bound to it")
        source = _of_format(self._from, from_format).find(from_key)
        target = _of_format(self._to, to_format).find(to_key)
        require_pan(pan)
        pin = pinblock.decipher(source, from_format, pin_block, pan)
        if pin is None:
            raise HsmRejected("pin_block: cannot be read under from_key")
        return pinblock.encipher(target, to_format, pin, pan)

    def _check(self, reference: PinReference, pan: str) -> Callable[[str], Verdict]:
        """Check a reference and its key before any PIN is deciphered; give the comparison."""
        if isinstance(reference, VisaPvv):
            encrypt = self._pvv.find(reference.key)
            require_digits("pvki", reference.pvki, 1, 1)
            require_digits("pvv", reference.pvv, formulas.PVV_LENGTH, formulas.PVV_LENGTH)
            pvki, pvv = reference.pvki, reference.pvv
            return lambda pin: compare(formulas.visa_pvv(encrypt, pan=pan, pvki=pvki, pin=pin), pvv)
        return self._check_ibm3624(reference)

    def _check_ibm3624(self, reference: Ibm3624) -> Callable[[str], Verdict]:
        encrypt = self._ibm.find(reference.key)
        require_digits("offset", reference.offset, pinblock.PIN_LENGTH_MIN, pinblock.PIN_LENGTH_MAX)
        require_decimalization_table(reference.decimalization_table)
        if _HEX_16.fullmatch(reference.validation_data) is None:
            raise HsmRejected("validation_data: 16 hexadecimal digits are needed")
        return lambda pin: _compare_ibm3624(encrypt, reference, pin)


def _zone_keys(ring: KeyRing, purpose: str, modes: str) -> dict[str, Prepared[pinblock.ZoneKey]]:
    """Prepare zone keys one way, by their cipher."""
    return {
        cipher: ring.prepare(Use(purpose, frozenset({"P0"}), cipher, modes), prepare)
        for cipher, prepare in _ZONE_KEYS.items()
    }


def _of_format(
    by_cipher: dict[str, Prepared[pinblock.ZoneKey]], pin_block_format: PinBlockFormat
) -> Prepared[pinblock.ZoneKey]:
    """Give the zone keys of the cipher that a format is made with."""
    return by_cipher[AES if pin_block_format is _ISO_4 else TDES]


def _compare_ibm3624(encrypt: tdes.BlockTransform, reference: Ibm3624, pin: str) -> Verdict:
    """Compare the offset that this PIN would have; a PIN shorter than the offset has none."""
    if len(pin) < len(reference.offset):
        return MISMATCH
    natural_pin = formulas.ibm3624_natural_pin(
        encrypt,
        validation_data=reference.validation_data,
        decimalization_table=reference.decimalization_table,
        length=len(pin),
    )
    offset = formulas.ibm3624_offset(natural_pin, pin, length=len(reference.offset))
    return compare(offset, reference.offset)
