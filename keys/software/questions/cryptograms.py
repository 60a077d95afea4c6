"""Application cryptograms: verified, and answered with an ARPC."""

from __future__ import annotations

import hmac

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    Cryptogram,
    HsmRejected,
    KeyRef,
    SessionKeyDerivation,
)
from keys.padding import DES_BLOCK
from keys.software import cryptogram as emv
from keys.software import tdes
from keys.software.digits import require_digits, require_pan
from keys.software.key import TDES
from keys.software.questions.comparing import MATCH, MISMATCH
from keys.software.questions.keyring import KeyRing, Use

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
_MASTERCARD = SessionKeyDerivation.MASTERCARD
_EMV_2000 = SessionKeyDerivation.EMV_2000

_CRYPTOGRAM = Use("cryptograms", frozenset({"E0"}), TDES, "XN")

#: Bytes of the ARPC's data: ARC, or CSU and up to eight bytes more.
_ARPC_DATA_SIZES = {ArpcMethod.METHOD_1: (2, 2), ArpcMethod.METHOD_2: (4, 12)}


class Cryptograms:
    """Answers `verify_arqc`."""

    def __init__(self, ring: KeyRing, *, emv_2000: bool) -> None:
        self._masters = ring.prepare(_CRYPTOGRAM, tdes.encryptor)
        self._emv_2000 = emv_2000

    def verify(self, key: KeyRef, cryptogram: Cryptogram, arpc_data: bytes) -> ArqcAnswer:
        """Compare an application cryptogram; on a match answer it."""
        scheme = cryptogram.scheme
        if scheme.session_key is _EMV_2000 and not self._emv_2000:
            raise HsmRejected("session_key: EMV 2000 is off")
        master = self._masters.find(key)
        _require_cryptogram(cryptogram, arpc_data)
        card_key = emv.card_key(
            master,
            scheme.card_key,
            pan=cryptogram.pan,
            pan_sequence_number=cryptogram.pan_sequence_number,
        )
        made_under = emv.CryptogramKey.prepare(
            emv.session_key(
                scheme.session_key,
                card_key,
                atc=cryptogram.atc,
                unpredictable_number=cryptogram.unpredictable_number,
            )
        )
        if not hmac.compare_digest(emv.arqc(made_under, cryptogram.data), cryptogram.arqc):
            return ArqcAnswer(MISMATCH)
        answering = emv.answering_key(scheme.session_key, card_key, made_under)
        arpc = emv.arpc(scheme.arpc, answering, cryptogram.arqc, arpc_data)
        return ArqcAnswer(MATCH, arpc)


def _require_cryptogram(cryptogram: Cryptogram, arpc_data: bytes) -> None:
    """Raise `HsmRejected` naming the field whose shape the formulas cannot take."""
    require_pan(cryptogram.pan)
    require_digits("pan_sequence_number", cryptogram.pan_sequence_number, 2, 2)
    if len(cryptogram.atc) != 2:
        raise HsmRejected("atc: two bytes are needed")
    if cryptogram.scheme.session_key is _MASTERCARD and len(cryptogram.unpredictable_number) != 4:
        raise HsmRejected("unpredictable_number: four bytes are needed")
    if not cryptogram.data or len(cryptogram.data) % DES_BLOCK:
        raise HsmRejected("data: it must be padded to whole blocks of eight bytes")
    low, high = _ARPC_DATA_SIZES[cryptogram.scheme.arpc]
    if not low <= len(arpc_data) <= high:
        raise HsmRejected("arpc_data: its length is not one of the scheme's ARPC method")
