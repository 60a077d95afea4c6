"""Card codes: the printed and written ones, and those that a card makes for one transaction."""

from __future__ import annotations

from keys.hsm import (
    CardCode,
    CardKeyDerivation,
    CardVerificationValue,
    Cvc3,
    DynamicCvv,
    HsmRejected,
    KeyRef,
    Verdict,
)
from keys.software import card_code as codes
from keys.software import cryptogram as emv
from keys.software import tdes
from keys.software.digits import are_digits, require_digits, require_pan
from keys.software.key import TDES
from keys.software.questions.comparing import MISMATCH, compare
from keys.software.questions.keyring import KeyRing, Use

_CARD_CODE = Use("card codes", frozenset({"C0"}), TDES, "CVN")

#: E4 is TR-31's usage for dynamic numbers; where a card's other keys are of E6, E6 it is.
_DYNAMIC_CODE = Use("dynamic card codes", frozenset({"E4", "E6"}), TDES, "XN")

#: Schemes leave option B to cryptograms: cards make these codes with keys of option A.
_OPTION_A = CardKeyDerivation.OPTION_A


class CardCodes:
    """Answers `verify_card_code`."""

    def __init__(self, ring: KeyRing) -> None:
        self._static = ring.prepare(_CARD_CODE, codes.CardCodeKey.prepare)
        self._dynamic = ring.prepare(_DYNAMIC_CODE, tdes.encryptor)

    def verify(self, key: KeyRef, of: CardCode, pan: str, code: str) -> Verdict:
        """Compare a card code; what has not its form is a mismatch."""
        if isinstance(of, CardVerificationValue):
            return self._verify_static(key, of, pan, code)
        if isinstance(of, DynamicCvv):
            return self._verify_dynamic_cvv(key, of, pan, code)
        if isinstance(of, Cvc3):
            return self._verify_cvc3(key, of, pan, code)
        raise HsmRejected("card code: the software backend cannot verify this one")

    def _verify_static(
        self, key: KeyRef, of: CardVerificationValue, pan: str, code: str
    ) -> Verdict:
        prepared = self._static.find(key)
        require_pan(pan)
        require_digits("expiry", of.expiry, 4, 4)
        require_digits("service_code", of.service_code, 3, 3)
        if not are_digits(code, codes.CODE_LENGTH, codes.CODE_LENGTH):
            return MISMATCH
        return compare(codes.card_code(prepared, pan, of.expiry, of.service_code), code)

    def _verify_dynamic_cvv(self, key: KeyRef, of: DynamicCvv, pan: str, code: str) -> Verdict:
        master = self._dynamic.find(key)
        require_pan(pan)
        require_digits("pan_sequence_number", of.pan_sequence_number, 2, 2)
        require_digits("expiry", of.expiry, 4, 4)
        require_digits("service_code", of.service_code, 3, 3)
        require_digits("atc", of.atc, 4, 4)
        if not are_digits(code, codes.CODE_LENGTH, codes.CODE_LENGTH):
            return MISMATCH
        card_key = emv.card_key(
            master, _OPTION_A, pan=pan, pan_sequence_number=of.pan_sequence_number
        )
        expected = codes.dynamic_cvv(
            card_key, pan=pan, expiry=of.expiry, service_code=of.service_code, atc=of.atc
        )
        return compare(expected, code)

    def _verify_cvc3(self, key: KeyRef, of: Cvc3, pan: str, code: str) -> Verdict:
        master = self._dynamic.find(key)
        require_pan(pan)
        require_digits("pan_sequence_number", of.pan_sequence_number, 2, 2)
        if len(of.atc) != 2:
            raise HsmRejected("atc: two bytes are needed")
        if len(of.unpredictable_number) != 4:
            raise HsmRejected("unpredictable_number: four bytes are needed")
        if not of.track_data:
            raise HsmRejected("track_data: it is empty")
        if not are_digits(code, codes.CVC3_LENGTH_MIN, codes.CVC3_LENGTH_MAX):
            return MISMATCH
        card_key = emv.card_key(
            master, _OPTION_A, pan=pan, pan_sequence_number=of.pan_sequence_number
        )
        expected = codes.cvc3(
            card_key,
            track_data=of.track_data,
            atc=of.atc,
            unpredictable_number=of.unpredictable_number,
        )
        return compare(expected[-len(code) :], code)
