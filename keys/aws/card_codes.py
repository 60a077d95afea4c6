"""Card codes for VerifyCardValidationData."""

from __future__ import annotations

from collections.abc import Mapping

from keys.aws.question import HeldKey, Question, as_hex, require_bytes, require_use
from keys.hsm import AmexCsc, CardCode, CardVerificationValue, Cvc3, DynamicCvv, HsmRejected
from keys.software.digits import are_digits, require_digits, require_pan


def card_code(key: HeldKey, of: CardCode, *, pan: str, code: str) -> Question | None:
    """Ask whether a card code is right; None where it has not the form of one."""
    require_pan(pan)
    match of:
        case CardVerificationValue():
            require_use(key, "card codes", "C0")
            lengths, attributes = (3, 3), _static_code(of)
        case AmexCsc():
            require_use(key, "card codes", "C0")
            lengths, attributes = (3, 5), _amex_csc(of)
        case DynamicCvv():
            require_use(key, "dCVV", "E6")
            lengths, attributes = (3, 3), _dynamic_cvv(of)
        case Cvc3():
            require_use(key, "CVC3", "E4")
            lengths, attributes = (3, 5), _cvc3(of)
    if not are_digits(code, *lengths):
        return None
    return _card_code(key, pan, attributes, code)


def _card_code(key: HeldKey, pan: str, attributes: Mapping[str, object], code: str) -> Question:
    return Question(
        "verify_card_validation_data",
        {
            "KeyIdentifier": key.arn,
            "PrimaryAccountNumber": pan,
            "VerificationAttributes": attributes,
            "ValidationData": code,
        },
        {"": key},
        "INVALID_VALIDATION_DATA",
    )


def _static_code(of: CardVerificationValue) -> dict[str, object]:
    """CVV2 has a name of its own and no service code, which is 000."""
    require_digits("expiry", of.expiry, 4, 4)
    require_digits("service_code", of.service_code, 3, 3)
    if of.service_code == "000":
        return {"CardVerificationValue2": {"CardExpiryDate": of.expiry}}
    words = {"CardExpiryDate": of.expiry, "ServiceCode": of.service_code}
    return {"CardVerificationValue1": words}


def _amex_csc(of: AmexCsc) -> dict[str, object]:
    require_digits("expiry", of.expiry, 4, 4)
    if of.version == 1:
        return {"AmexCardSecurityCodeVersion1": {"CardExpiryDate": of.expiry}}
    if of.version != 2:
        raise HsmRejected("version: a card security code has version 1 or 2")
    require_digits("service_code", of.service_code, 3, 3)
    words = {"CardExpiryDate": of.expiry, "ServiceCode": of.service_code}
    return {"AmexCardSecurityCodeVersion2": words}


def _dynamic_cvv(of: DynamicCvv) -> dict[str, object]:
    """The service wants the counter as a number in hexadecimal: the track's 0050 is 0032."""
    require_digits("pan_sequence_number", of.pan_sequence_number, 2, 2)
    require_digits("expiry", of.expiry, 4, 4)
    require_digits("service_code", of.service_code, 3, 3)
    require_digits("atc", of.atc, 4, 4)
    words = {
        "PanSequenceNumber": of.pan_sequence_number,
        "CardExpiryDate": of.expiry,
        "ServiceCode": of.service_code,
        "ApplicationTransactionCounter": f"{int(of.atc):04X}",
    }
    return {"DynamicCardVerificationValue": words}


def _cvc3(of: Cvc3) -> dict[str, object]:
    require_digits("pan_sequence_number", of.pan_sequence_number, 2, 2)
    require_bytes("atc", of.atc, 2, 2)
    require_bytes("unpredictable_number", of.unpredictable_number, 4, 4)
    require_bytes("track_data", of.track_data, 1, 80)
    words = {
        "UnpredictableNumber": as_hex(of.unpredictable_number),
        "PanSequenceNumber": of.pan_sequence_number,
        "ApplicationTransactionCounter": as_hex(of.atc),
        "TrackData": as_hex(of.track_data),
    }
    return {"DynamicCardVerificationCode": words}
