"""Application cryptograms for VerifyAuthRequestCryptogram."""

from __future__ import annotations

from keys.aws.question import HeldKey, Question, as_hex, require_bytes, require_use
from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    Cryptogram,
    HsmRejected,
    SessionKeyDerivation,
)
from keys.padding import DES_BLOCK
from keys.software.digits import require_digits, require_pan

#: Bytes of an application cryptogram's data.
CRYPTOGRAM_DATA_MAX = 512

#: Bytes of an application cryptogram, and of an ARPC.
ARQC_LENGTH = 8
ARPC_LENGTHS = {ArpcMethod.METHOD_1: 8, ArpcMethod.METHOD_2: 4}

#: Bytes of the ARPC's data: ARC, or CSU and up to eight bytes more.
_ARPC_DATA_SIZES = {ArpcMethod.METHOD_1: (2, 2), ArpcMethod.METHOD_2: (4, 12)}

_CARD_KEYS = {
    CardKeyDerivation.OPTION_A: "EMV_OPTION_A",
    CardKeyDerivation.OPTION_B: "EMV_OPTION_B",
}

#: Session keys: the service's name, and whether it wants the ATC and the unpredictable number.
_SESSION_KEYS = {
    SessionKeyDerivation.NONE: ("Visa", False, False),
    SessionKeyDerivation.COMMON: ("EmvCommon", True, False),
    SessionKeyDerivation.MASTERCARD: ("Mastercard", True, True),
    SessionKeyDerivation.EMV_2000: ("Emv2000", True, False),
}


def cryptogram(key: HeldKey, of: Cryptogram, *, arpc_data: bytes) -> Question | None:
    """Ask whether an application cryptogram is right, and for the one that answers it; None where
    it has not the length of one.
    """
    require_use(key, "cryptograms", "E0")
    require_pan(of.pan)
    require_digits("pan_sequence_number", of.pan_sequence_number, 2, 2)
    require_bytes("atc", of.atc, 2, 2)
    require_bytes("data", of.data, DES_BLOCK, CRYPTOGRAM_DATA_MAX)
    if len(of.data) % DES_BLOCK:
        raise HsmRejected("data: it must be padded to whole blocks of eight bytes")
    require_bytes("arpc_data", arpc_data, *_ARPC_DATA_SIZES[of.scheme.arpc])
    session_key = _session_key(of)
    if len(of.arqc) != ARQC_LENGTH:
        return None
    return Question(
        "verify_auth_request_cryptogram",
        {
            "KeyIdentifier": key.arn,
            "TransactionData": as_hex(of.data),
            "AuthRequestCryptogram": as_hex(of.arqc),
            "MajorKeyDerivationMode": _CARD_KEYS[of.scheme.card_key],
            "SessionKeyDerivationAttributes": session_key,
            "AuthResponseAttributes": _arpc(of.scheme.arpc, arpc_data),
        },
        {"": key},
        "INVALID_AUTH_REQUEST_CRYPTOGRAM",
    )


def _session_key(of: Cryptogram) -> dict[str, object]:
    name, by_counter, by_number = _SESSION_KEYS[of.scheme.session_key]
    words = {"PrimaryAccountNumber": of.pan, "PanSequenceNumber": of.pan_sequence_number}
    if by_counter:
        words["ApplicationTransactionCounter"] = as_hex(of.atc)
    if by_number:
        require_bytes("unpredictable_number", of.unpredictable_number, 4, 4)
        words["UnpredictableNumber"] = as_hex(of.unpredictable_number)
    return {name: words}


def _arpc(method: ArpcMethod, arpc_data: bytes) -> dict[str, object]:
    if method is ArpcMethod.METHOD_1:
        return {"ArpcMethod1": {"AuthResponseCode": as_hex(arpc_data)}}
    words = {"CardStatusUpdate": as_hex(arpc_data[:4])}
    if arpc_data[4:]:
        words["ProprietaryAuthenticationData"] = as_hex(arpc_data[4:])
    return {"ArpcMethod2": words}
