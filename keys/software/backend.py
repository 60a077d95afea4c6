"""
The software HSM: the `Hsm` protocol over keys in this process.

It answers inline, in microseconds, and needs no thread. Keys are prepared once,
for each use that their TR-31 header allows; a key used for anything else is
refused, as an HSM would.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    Capability,
    CardCode,
    CardVerificationValue,
    Cryptogram,
    HsmRejected,
    HsmUnavailable,
    Ibm3624,
    KeyRef,
    MacAlgorithm,
    OfferedZoneKey,
    PinBlockFormat,
    PinReference,
    StoredZoneKey,
    Verdict,
    VisaPvv,
    ZoneKeyForm,
)
from keys.keyfile import Kbpk
from keys.padding import DES_BLOCK
from keys.software import cryptogram as emv
from keys.software import mac as macs
from keys.software import pin as pins
from keys.software import pinblock, tdes
from keys.software import zone_keys as zones
from keys.software.card_code import CODE_LENGTH, CardCodeKey, card_code
from keys.software.digits import are_digits, require_digits, require_pan
from keys.software.key import AES, TDES, Key

T = TypeVar("T")

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
_ISO_1, _ISO_4 = PinBlockFormat.ISO_1, PinBlockFormat.ISO_4
_MATCH, _MISMATCH = Verdict.MATCH, Verdict.MISMATCH

#: A message's authentication code may be cut, but not below this many bytes.
MAC_LENGTH_MIN = 4

#: Bytes of the ARPC's data: ARC, or CSU and up to eight bytes more.
_ARPC_DATA_SIZES = {ArpcMethod.METHOD_1: (2, 2), ArpcMethod.METHOD_2: (4, 12)}

_HEX_16 = re.compile(r"[0-9A-Fa-f]{16}", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Use:
    """What a key's TR-31 header must say for one operation."""

    purpose: str
    usage: str
    algorithm: str
    modes: str  #: any of these modes of use


_CARD_CODE = _Use("card codes", "C0", TDES, "CVN")
_VISA_PVV = _Use("Visa PVV", "V2", TDES, "CVN")
_IBM_3624 = _Use("IBM 3624 PINs", "V1", TDES, "CVN")
_CRYPTOGRAM = _Use("cryptograms", "E0", TDES, "XN")

#: Reading a PIN block, by the cipher of its format; writing one likewise.
_PIN_FROM = {a: _Use("reading PIN blocks", "P0", a, "BDN") for a in (TDES, AES)}
_PIN_TO = {a: _Use("writing PIN blocks", "P0", a, "BEN") for a in (TDES, AES)}
_ZONE_KEYS = {TDES: pinblock.ZoneKey.prepare_tdes, AES: pinblock.ZoneKey.prepare_aes}

#: TR-31 usage, algorithm and preparation of each MAC.
_MACS = {
    MacAlgorithm.ISO9797_1: ("M1", TDES, macs.iso9797_algorithm_1),
    MacAlgorithm.ISO9797_3: ("M3", TDES, macs.iso9797_algorithm_3),
    MacAlgorithm.AES_CMAC: ("M6", AES, macs.aes_cmac),
    MacAlgorithm.TDES_CMAC: ("M6", TDES, macs.tdes_cmac),
}
_MAC_MAKE = {m: _Use("making MACs", usage, a, "CGN") for m, (usage, a, _) in _MACS.items()}
_MAC_VERIFY = {m: _Use("verifying MACs", usage, a, "CVN") for m, (usage, a, _) in _MACS.items()}


#: What this backend can do; EMV 2000 comes to it where it is allowed.
_CAPABILITIES = frozenset(
    {
        Capability.CARD_CODE,
        Capability.PIN_ISO_0,
        Capability.PIN_ISO_1,
        Capability.PIN_ISO_3,
        Capability.PIN_ISO_4,
        Capability.VISA_PVV,
        Capability.IBM_3624,
        Capability.TRANSLATE_PIN,
        Capability.CARD_KEY_A,
        Capability.CARD_KEY_B,
        Capability.ARQC_CARD_KEY,
        Capability.ARQC_COMMON,
        Capability.ARPC_1,
        Capability.ARPC_2,
        Capability.MAC_ISO9797_1,
        Capability.MAC_ISO9797_3,
        Capability.MAC_AES_CMAC,
        Capability.MAC_TDES_CMAC,
    }
)


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
        self._keys = dict(keys)
        self._open = True
        self._card_codes = self._prepare(_CARD_CODE, CardCodeKey.prepare)
        self._pvv = self._prepare(_VISA_PVV, tdes.encryptor)
        self._ibm = self._prepare(_IBM_3624, tdes.encryptor)
        self._cryptograms = self._prepare(_CRYPTOGRAM, tdes.encryptor)
        self._pin_from = {a: self._prepare(_PIN_FROM[a], _ZONE_KEYS[a]) for a in _PIN_FROM}
        self._pin_to = {a: self._prepare(_PIN_TO[a], _ZONE_KEYS[a]) for a in _PIN_TO}
        self._mac_make = {m: self._prepare(_MAC_MAKE[m], _MACS[m][2]) for m in _MACS}
        self._mac_verify = {m: self._prepare(_MAC_VERIFY[m], _MACS[m][2]) for m in _MACS}

    async def open(self) -> None:
        """Nothing is waited for; the key file's check values were compared when it was read."""

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` where no key has this name, its check value is another, or it is for
        other uses.
        """
        key = self._checked(ref)
        if key.usage not in usages:
            raise HsmRejected(f"key {ref.name!r}: is {key.usage}, not {' or '.join(usages)}")

    def _checked(self, ref: KeyRef) -> Key:
        """Find a key with the check value that is pinned for it."""
        if not self._open:
            raise HsmUnavailable("the software HSM is closed")
        key = self._keys.get(ref.name)
        if key is None:
            raise HsmRejected(f"key {ref.name!r}: there is none of this name")
        if not key.has_check_value(ref.kcv):
            raise HsmRejected(f"key {ref.name!r}: its check value is not the pinned one")
        return key

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a CVV, CVV2 or iCVV; what is not three digits is a mismatch."""
        if not isinstance(of, CardVerificationValue):
            raise HsmRejected("card code: the software backend cannot verify this one")
        prepared = self._find(key, _CARD_CODE, self._card_codes)
        require_pan(pan)
        require_digits("expiry", of.expiry, 4, 4)
        require_digits("service_code", of.service_code, 3, 3)
        if not are_digits(code, CODE_LENGTH, CODE_LENGTH):
            return _MISMATCH
        return _compare(card_code(prepared, pan, of.expiry, of.service_code), code)

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
        zone = self._zone(zone_key, _PIN_FROM, self._pin_from, pin_block_format)
        require_pan(pan)
        verify = self._pin_check(reference, pan)
        pin = pinblock.decipher(zone, pin_block_format, pin_block, pan)
        return Verdict.UNREADABLE if pin is None else verify(pin)

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram; on a match answer it."""
        master = self._find(key, _CRYPTOGRAM, self._cryptograms)
        _require_cryptogram(cryptogram, arpc_data)
        scheme = cryptogram.scheme
        card_key = emv.card_key(
            master,
            scheme.card_key,
            pan=cryptogram.pan,
            pan_sequence_number=cryptogram.pan_sequence_number,
        )
        session_key = emv.CryptogramKey.prepare(
            emv.session_key(scheme.session_key, card_key, atc=cryptogram.atc)
        )
        if not hmac.compare_digest(emv.arqc(session_key, cryptogram.data), cryptogram.arqc):
            return ArqcAnswer(_MISMATCH)
        arpc = emv.arpc(scheme.arpc, session_key, cryptogram.arqc, arpc_data)
        return ArqcAnswer(_MATCH, arpc)

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
        if to_format is _ISO_1 and from_format is not _ISO_1:
            raise HsmRejected("to_format: a PIN block bound to a PAN stays bound to it")
        source = self._zone(from_key, _PIN_FROM, self._pin_from, from_format)
        target = self._zone(to_key, _PIN_TO, self._pin_to, to_format)
        require_pan(pan)
        pin = pinblock.decipher(source, from_format, pin_block, pan)
        if pin is None:
            raise HsmRejected("pin_block: cannot be read under from_key")
        return pinblock.encipher(target, to_format, pin, pan)

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, the algorithm's full length."""
        return self._find(key, _MAC_MAKE[algorithm], self._mac_make[algorithm])(data)

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code; less than four bytes of it is a mismatch."""
        expected = self._find(key, _MAC_VERIFY[algorithm], self._mac_verify[algorithm])(data)
        long_enough = len(mac) >= MAC_LENGTH_MIN
        same = hmac.compare_digest(expected[: len(mac)], mac)
        return _MATCH if long_enough and same else _MISMATCH

    async def import_zone_key(
        self, wrapped: str, *, under: KeyRef, form: ZoneKeyForm, algorithm: str, kcv: str
    ) -> StoredZoneKey:
        """Open a zone PIN key under a zone master key, K0 or K1, and enclose it anew."""
        key = zones.opened(wrapped, self._checked(under), form=form, algorithm=algorithm)
        if not key.has_check_value(kcv):
            raise HsmRejected("zone key: its check value is not the one that came with it")
        return zones.stored(key, self._kbpk)

    async def make_zone_key(
        self, *, under: KeyRef, form: ZoneKeyForm, algorithm: str
    ) -> OfferedZoneKey:
        """Make a random zone PIN key, under a zone master key and for ourselves."""
        return zones.made(self._checked(under), self._kbpk, form=form, algorithm=algorithm)

    async def learn_zone_key(self, ref: KeyRef, stored: str) -> None:
        """Open a zone key that was enclosed here, and prepare it."""
        key = zones.restored(stored, self._kbpk, kcv=ref.kcv)
        self._pin_from[key.algorithm][ref.name] = _ZONE_KEYS[key.algorithm](key.material)
        self._keys[ref.name] = key

    def forget_zone_key(self, ref: KeyRef) -> None:
        """Let go of a zone key that was learned."""
        self._keys.pop(ref.name, None)
        for zone in self._pin_from.values():
            zone.pop(ref.name, None)

    async def ping(self) -> None:
        """Return unless it was closed."""
        if not self._open:
            raise HsmUnavailable("the software HSM is closed")

    async def close(self) -> None:
        """Let go of the keys; every question after is answered `HsmUnavailable`."""
        self._open = False
        for prepared in (self._keys, self._card_codes, self._pvv, self._ibm, self._cryptograms):
            prepared.clear()
        for by_cipher in (self._pin_from, self._pin_to):
            for zone_keys in by_cipher.values():
                zone_keys.clear()
        for by_algorithm in (self._mac_make, self._mac_verify):
            for mac_keys in by_algorithm.values():
                mac_keys.clear()

    def _prepare(self, use: _Use, prepare: Callable[[bytes], T]) -> dict[str, T]:
        """Prepare every key that may be used so; raise `HsmRejected` naming one that cannot."""
        prepared = {}
        for name, key in self._keys.items():
            if (key.usage, key.algorithm) == (use.usage, use.algorithm) and (
                key.mode_of_use in use.modes
            ):
                try:
                    prepared[name] = prepare(key.material)
                except ValueError as error:
                    raise HsmRejected(f"key {name!r}: {error}") from None
        return prepared

    def _find(self, ref: KeyRef, use: _Use, prepared: Mapping[str, T]) -> T:
        """Find a prepared key, with the check value that is pinned for it."""
        self._checked(ref)
        try:
            return prepared[ref.name]
        except KeyError:
            raise HsmRejected(f"key {ref.name!r}: not to be used for {use.purpose}") from None

    def _zone(
        self,
        ref: KeyRef,
        uses: Mapping[str, _Use],
        prepared: Mapping[str, Mapping[str, pinblock.ZoneKey]],
        pin_block_format: PinBlockFormat,
    ) -> pinblock.ZoneKey:
        """Find a zone key of the cipher that a PIN block format is made with."""
        cipher = AES if pin_block_format is _ISO_4 else TDES
        return self._find(ref, uses[cipher], prepared[cipher])

    def _pin_check(self, reference: PinReference, pan: str) -> Callable[[str], Verdict]:
        """Check a reference and its key before any PIN is deciphered; give the comparison."""
        match reference:
            case VisaPvv():
                encrypt = self._find(reference.key, _VISA_PVV, self._pvv)
                require_digits("pvki", reference.pvki, 1, 1)
                require_digits("pvv", reference.pvv, pins.PVV_LENGTH, pins.PVV_LENGTH)
                return lambda pin: _compare(
                    pins.visa_pvv(encrypt, pan=pan, pvki=reference.pvki, pin=pin), reference.pvv
                )
            case Ibm3624():
                encrypt = self._find(reference.key, _IBM_3624, self._ibm)
                require_digits("offset", reference.offset, 4, 12)
                require_digits("decimalization_table", reference.decimalization_table, 16, 16)
                if _HEX_16.fullmatch(reference.validation_data) is None:
                    raise HsmRejected("validation_data: 16 hexadecimal digits are needed")
                return lambda pin: _compare_ibm3624(encrypt, reference, pin)


def _compare(expected: str, given: str) -> Verdict:
    """Compare digits in a time that does not tell how many are right."""
    same = hmac.compare_digest(expected.encode(), given.encode())
    return _MATCH if same else _MISMATCH


def _compare_ibm3624(encrypt: tdes.BlockTransform, reference: Ibm3624, pin: str) -> Verdict:
    """Compare the offset that this PIN would have; a PIN shorter than the offset has none."""
    if len(pin) < len(reference.offset):
        return _MISMATCH
    natural_pin = pins.ibm3624_natural_pin(
        encrypt,
        validation_data=reference.validation_data,
        decimalization_table=reference.decimalization_table,
        length=len(pin),
    )
    offset = pins.ibm3624_offset(natural_pin, pin, length=len(reference.offset))
    return _compare(offset, reference.offset)


def _require_cryptogram(cryptogram: Cryptogram, arpc_data: bytes) -> None:
    """Raise `HsmRejected` naming the field whose shape the formulas cannot take."""
    require_pan(cryptogram.pan)
    require_digits("pan_sequence_number", cryptogram.pan_sequence_number, 2, 2)
    if len(cryptogram.atc) != 2:
        raise HsmRejected("atc: two bytes are needed")
    if not cryptogram.data or len(cryptogram.data) % DES_BLOCK:
        raise HsmRejected("data: it must be padded to whole blocks of eight bytes")
    low, high = _ARPC_DATA_SIZES[cryptogram.scheme.arpc]
    if not low <= len(arpc_data) <= high:
        raise HsmRejected("arpc_data: its length is not one of the scheme's ARPC method")
