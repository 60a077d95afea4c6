"""The operations of the data plane: a request that the model passed, and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keys.keyfile import Key
from tests.hsm_aws import formulas

Fields = dict[str, Any]


class Refused(Exception):
    """An exception of the service: its name, HTTP status and fields."""

    def __init__(self, code: str, status: int = 400, **fields: str) -> None:
        super().__init__(code)
        self.code, self.status, self.fields = code, status, fields


def invalid(why: str) -> Refused:
    """What the service says of a parameter that it does not take."""
    return Refused("ValidationException", message=why)


@dataclass(frozen=True)
class Held:
    """A key in the data plane, with what the control plane says of it."""

    arn: str
    key: Key
    kcv: str
    enabled: bool = True


class Operations:
    """Answers over keys, found by ARN or alias."""

    def __init__(self, keys: Mapping[str, Held]) -> None:
        self.keys = dict(keys)
        #: What VerifyPinData says of a block that is none: nobody has published it.
        self.no_pin_block_is_invalid_pin = True
        #: Whether TranslatePinData takes a PIN block of these formats at all.
        self.untranslated: set[str] = set()

    def find(self, identifier: str, *usages: str) -> Held:
        """A key that may be used so."""
        held = self.keys.get(identifier)
        if held is None:
            raise Refused("ResourceNotFoundException", 404, ResourceId=identifier)
        if not held.enabled or held.key.usage not in usages:
            raise invalid("KeyUsage not allowed")
        return held

    def verify_card_validation_data(self, request: Fields) -> Fields:
        """CVV, CVV2, iCVV, Amex CSC, dCVV and CVC3."""
        ((name, words),) = request["VerificationAttributes"].items()
        given, pan = request["ValidationData"], request["PrimaryAccountNumber"]
        usages = {"DynamicCardVerificationValue": "E6", "DynamicCardVerificationCode": "E4"}
        held = self.find(request["KeyIdentifier"], usages.get(name, "C0"))
        expected = _card_code(held.key.material, name, words, pan, len(given))
        if expected != given:
            raise _wrong("INVALID_VALIDATION_DATA")
        return _of(held)

    def verify_pin_data(self, request: Fields) -> Fields:
        """Visa PVV and IBM 3624."""
        ((name, words),) = request["VerificationAttributes"].items()
        usage = {"VisaPin": "V2", "Ibm3624Pin": "V1"}[name]
        held = self.find(request["VerificationKeyIdentifier"], usage)
        zone = self.find(request["EncryptionKeyIdentifier"], "P0")
        pan, block = request["PrimaryAccountNumber"], bytes.fromhex(request["EncryptedPinBlock"])
        try:
            pin = _decipher(zone, request["PinBlockFormat"][-1], block, pan)
        except formulas.NoPinBlock:
            if self.no_pin_block_is_invalid_pin:
                raise _wrong("INVALID_PIN") from None
            raise invalid("PIN block") from None
        if not _is_pin(held.key.material, name, words, pan, pin):
            raise _wrong("INVALID_PIN")
        return _of(held, "Verification") | _of(zone, "Encryption")

    def translate_pin_data(self, request: Fields) -> Fields:
        """Formats 0, 1, 3 and 4, but none that is bound to a PAN into 1."""
        source = self.find(request["IncomingKeyIdentifier"], "P0")
        target = self.find(request["OutgoingKeyIdentifier"], "P0")
        ((incoming, of),) = request["IncomingTranslationAttributes"].items()
        ((outgoing, to),) = request["OutgoingTranslationAttributes"].items()
        if incoming[-1] in self.untranslated or (outgoing[-1] == "1" and incoming[-1] != "1"):
            raise invalid("format")
        pan = of.get("PrimaryAccountNumber", to.get("PrimaryAccountNumber", ""))
        if to.get("PrimaryAccountNumber", pan) != pan:
            raise invalid("another PAN")
        try:
            block = bytes.fromhex(request["EncryptedPinBlock"])
            pin = _decipher(source, incoming[-1], block, pan)
        except formulas.NoPinBlock:
            raise invalid("PIN block") from None
        _require_cipher(target, outgoing[-1])
        translated = formulas.encipher_pin_block(target.key.material, outgoing[-1], pin, pan)
        return {"PinBlock": translated.hex().upper()} | _of(target)

    def verify_auth_request_cryptogram(self, request: Fields) -> Fields:
        """ARQC and, where it is right, the ARPC."""
        held = self.find(request["KeyIdentifier"], "E0")
        ((name, words),) = request["SessionKeyDerivationAttributes"].items()
        card_key = formulas.card_key(
            held.key.material,
            request["MajorKeyDerivationMode"][-1],
            words["PrimaryAccountNumber"],
            words["PanSequenceNumber"],
        )
        atc = bytes.fromhex(words.get("ApplicationTransactionCounter", ""))
        number = bytes.fromhex(words.get("UnpredictableNumber", ""))
        key, answering = formulas.session_keys(name, card_key, atc, number)
        arqc = bytes.fromhex(request["AuthRequestCryptogram"])
        try:
            data = bytes.fromhex(request["TransactionData"])
            expected = formulas.application_cryptogram(key, data)
        except ValueError:
            raise invalid("TransactionData") from None
        if expected != arqc:
            raise _wrong("INVALID_AUTH_REQUEST_CRYPTOGRAM")
        return _of(held) | _arpc(answering, arqc, request.get("AuthResponseAttributes"))

    def generate_mac(self, request: Fields) -> Fields:
        """ISO 9797-1 algorithms 1 and 3, four bytes unless more are asked for, and CMAC."""
        held, whole = self._mac(request, request["GenerationAttributes"])
        size = request.get("MacLength", 4 if len(whole) == 8 else len(whole))
        if size > len(whole):
            raise invalid("MacLength")
        return {"Mac": whole[:size].hex().upper()} | _of(held)

    def verify_mac(self, request: Fields) -> Fields:
        """The same; a CMAC must be whole, the others have four or eight bytes."""
        held, whole = self._mac(request, request["VerificationAttributes"])
        given = bytes.fromhex(request["Mac"])
        is_cmac = request["VerificationAttributes"].get("Algorithm") == "CMAC"
        if len(given) not in ((len(whole),) if is_cmac else (4, 8)):
            raise invalid("Mac: its length")
        if request.get("MacLength", len(given)) != len(given) or whole[: len(given)] != given:
            raise _wrong("INVALID_MAC")
        return _of(held)

    def _mac(self, request: Fields, attributes: Fields) -> tuple[Held, bytes]:
        algorithm = attributes.get("Algorithm", "")
        data = bytes.fromhex(request["MessageData"])
        if algorithm == "CMAC":
            held = self.find(request["KeyIdentifier"], "M6")
            return held, formulas.cmac(held.key.material, data, held.key.algorithm)
        usages = {"ISO9797_ALGORITHM1": "M1", "ISO9797_ALGORITHM3": "M3"}
        held = self.find(request["KeyIdentifier"], usages.get(algorithm, ""))
        compute = formulas.iso9797_1 if algorithm[-1] == "1" else formulas.iso9797_3
        return held, compute(held.key.material, data)


def _card_code(key: bytes, name: str, words: Fields, pan: str, length: int) -> str:
    expiry, service_code = words.get("CardExpiryDate", ""), words.get("ServiceCode", "000")
    atc = bytes.fromhex(words.get("ApplicationTransactionCounter", ""))
    psn = words.get("PanSequenceNumber", "")
    match name:
        case "CardVerificationValue1" | "CardVerificationValue2":
            return formulas.cvv(key, pan, expiry, service_code)
        case "AmexCardSecurityCodeVersion1":
            return formulas.csc_1(key, pan, expiry)[length]
        case "AmexCardSecurityCodeVersion2":
            return formulas.csc_2(key, pan, expiry, service_code)[length]
        case "DynamicCardVerificationValue":
            counter = int.from_bytes(atc, "big")
            return formulas.dcvv(key, pan, psn, expiry, service_code, counter)
        case "DynamicCardVerificationCode":
            track_data = bytes.fromhex(words["TrackData"])
            number = bytes.fromhex(words["UnpredictableNumber"])
            return formulas.cvc3(key, pan, psn, track_data, atc, number)[-length:]
    raise invalid(name)


def _is_pin(key: bytes, name: str, words: Fields, pan: str, pin: str) -> bool:
    if name == "VisaPin":
        pvv = formulas.visa_pvv(key, pan, words["PinVerificationKeyIndex"], pin)
        return bool(pvv == words["VerificationValue"])
    offset = words["PinOffset"]
    whole = formulas.ibm_3624_offset(
        key,
        words["DecimalizationTable"],
        words["PinValidationData"],
        words["PinValidationDataPadCharacter"],
        pin,
    )
    return len(pin) >= len(offset) and whole[-len(offset) :] == offset


def _decipher(zone: Held, name: str, block: bytes, pan: str) -> str:
    _require_cipher(zone, name)
    if len(block) != (16 if name == "4" else 8):
        raise invalid("EncryptedPinBlock: its length")
    return formulas.decipher_pin_block(zone.key.material, name, block, pan)


def _require_cipher(zone: Held, name: str) -> None:
    if zone.key.algorithm != ("A" if name == "4" else "T"):
        raise invalid("KeyAlgorithm not allowed")


def _arpc(key: bytes, arqc: bytes, attributes: Fields | None) -> Fields:
    if attributes is None:
        return {}
    ((name, words),) = attributes.items()
    if name == "ArpcMethod1":
        value = formulas.arpc_1(key, arqc, bytes.fromhex(words["AuthResponseCode"]))
    else:
        csu = bytes.fromhex(words["CardStatusUpdate"])
        proprietary = bytes.fromhex(words.get("ProprietaryAuthenticationData", ""))
        value = formulas.arpc_2(key, arqc, csu, proprietary)
    return {"AuthResponseValue": value.hex().upper()}


def _wrong(reason: str) -> Refused:
    return Refused("VerificationFailedException", Message="failed", Reason=reason)


def _of(held: Held, prefix: str = "") -> Fields:
    return {f"{prefix}KeyArn": held.arn, f"{prefix}KeyCheckValue": held.kcv}
