"""PINs for VerifyPinData and TranslatePinData."""

from __future__ import annotations

import re

from keys.aws.question import HeldKey, Question, as_hex, require_use
from keys.hsm import HsmRejected, Ibm3624, PinBlockFormat, PinReference, VisaPvv
from keys.software.digits import require_decimalization_table, require_digits, require_pan
from keys.software.key import AES, TDES

_ISO_0, _ISO_1, _ISO_3, _ISO_4 = PinBlockFormat

#: Bytes of an enciphered PIN block, by its format.
PIN_BLOCK_SIZES = {_ISO_0: 8, _ISO_1: 8, _ISO_3: 8, _ISO_4: 16}

#: As VerifyPinData and as TranslatePinData call the formats.
_VERIFIED = {
    _ISO_0: "ISO_FORMAT_0",
    _ISO_1: "ISO_FORMAT_1",
    _ISO_3: "ISO_FORMAT_3",
    _ISO_4: "ISO_FORMAT_4",
}
_TRANSLATED = {
    _ISO_0: "IsoFormat0",
    _ISO_1: "IsoFormat1",
    _ISO_3: "IsoFormat3",
    _ISO_4: "IsoFormat4",
}

#: Into which format a block is translated to learn whether it is one: another, so that it must be
#: read. Format 4 has no other under AES.
_READ_AS = {_ISO_0: _ISO_3, _ISO_1: _ISO_0, _ISO_3: _ISO_0, _ISO_4: _ISO_4}

#: Digits of the validation data, then what fills it up to sixteen.
_VALIDATION_DATA = re.compile(r"(?P<digits>[0-9]{4,16})(?P<pad>(?P<one>[A-F])(?P=one)*)?", re.ASCII)


def pin(
    reference: PinReference,
    key: HeldKey,
    zone: HeldKey,
    *,
    pin_block: bytes,
    pin_block_format: PinBlockFormat,
    pan: str,
) -> Question | None:
    """
    Ask whether a PIN is right; None where the block has not the size of its format.

    An offset says how many digits of the PIN count, and PinDataLength says it too. A Visa PVV is
    of the PIN's first four, however long the PIN in the block is, and needs no length.
    """
    require_pan(pan)
    _require_zone(zone, pin_block_format)
    parameters: dict[str, object] = {
        "VerificationKeyIdentifier": key.arn,
        "EncryptionKeyIdentifier": zone.arn,
        "EncryptedPinBlock": as_hex(pin_block),
        "PrimaryAccountNumber": pan,
        "PinBlockFormat": _VERIFIED[pin_block_format],
    }
    match reference:
        case VisaPvv():
            require_use(key, "Visa PVV", "V2")
            parameters["VerificationAttributes"] = _visa_pvv(reference)
        case Ibm3624():
            require_use(key, "IBM 3624 PINs", "V1")
            parameters["VerificationAttributes"] = _ibm_3624(reference)
            parameters["PinDataLength"] = len(reference.offset)
    if len(pin_block) != PIN_BLOCK_SIZES[pin_block_format]:
        return None
    keys = {"Verification": key, "Encryption": zone}
    return Question("verify_pin_data", parameters, keys, "INVALID_PIN")


def _visa_pvv(reference: VisaPvv) -> dict[str, object]:
    require_digits("pvki", reference.pvki, 1, 1)
    if reference.pvki > "6":
        raise HsmRejected("pvki: 0 to 6 are there")
    require_digits("pvv", reference.pvv, 4, 4)
    words = {
        "PinVerificationKeyIndex": int(reference.pvki),
        "VerificationValue": reference.pvv,
    }
    return {"VisaPin": words}


def _ibm_3624(reference: Ibm3624) -> dict[str, object]:
    """The service takes digits and what fills them up, not sixteen hexadecimal digits."""
    require_digits("offset", reference.offset, 4, 12)
    require_decimalization_table(reference.decimalization_table)
    data = reference.validation_data.upper()
    parts = _VALIDATION_DATA.fullmatch(data)
    if len(data) != 16 or parts is None:
        raise HsmRejected("validation_data: 4 to 16 digits, filled with one of A to F, are needed")
    words = {
        "DecimalizationTable": reference.decimalization_table,
        "PinValidationDataPadCharacter": parts["one"] or "F",
        "PinValidationData": parts["digits"],
        "PinOffset": reference.offset,
    }
    return {"Ibm3624Pin": words}


def pin_block_reading(
    zone: HeldKey, *, pin_block: bytes, pin_block_format: PinBlockFormat, pan: str
) -> Question:
    """Ask for a block anew in its own zone: it can be done to a PIN block and to nothing else."""
    return translation(
        zone,
        zone,
        from_format=pin_block_format,
        to_format=_READ_AS[pin_block_format],
        pin_block=pin_block,
        pan=pan,
    )


def translation(
    source: HeldKey,
    target: HeldKey,
    *,
    from_format: PinBlockFormat,
    to_format: PinBlockFormat,
    pin_block: bytes,
    pan: str,
) -> Question:
    """Ask for a PIN block under another zone's key, for the same PAN."""
    if to_format is _ISO_1 and from_format is not _ISO_1:
        raise HsmRejected("to_format: a PIN block bound to a PAN stays bound to it")
    require_pan(pan)
    _require_zone(source, from_format)
    _require_zone(target, to_format)
    if len(pin_block) != PIN_BLOCK_SIZES[from_format]:
        raise HsmRejected("pin_block: cannot be read under from_key")
    return Question(
        "translate_pin_data",
        {
            "IncomingKeyIdentifier": source.arn,
            "OutgoingKeyIdentifier": target.arn,
            "IncomingTranslationAttributes": _pin_block_format(from_format, pan),
            "OutgoingTranslationAttributes": _pin_block_format(to_format, pan),
            "EncryptedPinBlock": as_hex(pin_block),
        },
        {"": target},
    )


def _pin_block_format(pin_block_format: PinBlockFormat, pan: str) -> dict[str, object]:
    bound = {} if pin_block_format is _ISO_1 else {"PrimaryAccountNumber": pan}
    return {_TRANSLATED[pin_block_format]: bound}


def _require_zone(zone: HeldKey, pin_block_format: PinBlockFormat) -> None:
    cipher = AES if pin_block_format is _ISO_4 else TDES
    require_use(zone, "PIN blocks of this format", "P0", cipher)
