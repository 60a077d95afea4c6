"""
ISSUING: FOR THE DEMO AND FOR TESTS ONLY. THE SWITCH NEVER IMPORTS THIS.

Whoever can make card codes, PIN values and cryptograms can make cards. That is
a personalization bureau's work, behind its own HSM; an authorization switch
only verifies. These functions stand here to make test traffic.

They take keys whatever their mode of use, and raise `HsmRejected` naming a
field that is not shaped as it must be, `ValueError` for a key of another kind.
"""

from __future__ import annotations

from keys.hsm import CardKeyDerivation, CryptogramScheme, HsmRejected, PinBlockFormat
from keys.software import card_code as codes
from keys.software import cryptogram as emv
from keys.software import pin as pins
from keys.software import pinblock, tdes
from keys.software.digits import require_digits, require_pan
from keys.software.key import AES, Key


def card_code(key: Key, *, pan: str, expiry: str, service_code: str) -> str:
    """Make a CVV, CVV2 (service code 000) or iCVV (999); three digits."""
    require_pan(pan)
    require_digits("expiry", expiry, 4, 4)
    require_digits("service_code", service_code, 3, 3)
    return codes.card_code(codes.CardCodeKey.prepare(key.material), pan, expiry, service_code)


def dynamic_cvv(
    key: Key, *, pan: str, pan_sequence_number: str, expiry: str, service_code: str, atc: str
) -> str:
    """Make a dCVV for an ATC of four digits; three digits."""
    require_digits("expiry", expiry, 4, 4)
    require_digits("service_code", service_code, 3, 3)
    require_digits("atc", atc, 4, 4)
    card_key = _card_key(key, CardKeyDerivation.OPTION_A, pan, pan_sequence_number)
    return codes.dynamic_cvv(card_key, pan=pan, expiry=expiry, service_code=service_code, atc=atc)


def cvc3(
    key: Key,
    *,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    unpredictable_number: bytes,
    track_data: bytes,
) -> str:
    """Make a CVC3 over the card's static track data; five digits, of which a track has the last."""
    card_key = _card_key(key, CardKeyDerivation.OPTION_A, pan, pan_sequence_number)
    return codes.cvc3(
        card_key, track_data=track_data, atc=atc, unpredictable_number=unpredictable_number
    )


def visa_pvv(key: Key, *, pan: str, pvki: str, pin: str) -> str:
    """Make a Visa PIN verification value; four digits."""
    require_pan(pan)
    require_digits("pvki", pvki, 1, 1)
    _require_pin(pin)
    return pins.visa_pvv(tdes.encryptor(key.material), pan=pan, pvki=pvki, pin=pin)


def ibm3624_offset(key: Key, *, pin: str, validation_data: str, decimalization_table: str) -> str:
    """Make an IBM 3624 PIN offset over the whole PIN; as many digits as it has."""
    _require_pin(pin)
    require_digits("decimalization_table", decimalization_table, 16, 16)
    natural_pin = pins.ibm3624_natural_pin(
        tdes.encryptor(key.material),
        validation_data=validation_data,
        decimalization_table=decimalization_table,
        length=len(pin),
    )
    return pins.ibm3624_offset(natural_pin, pin, length=len(pin))


def pin_block(key: Key, *, pin_block_format: PinBlockFormat, pin: str, pan: str) -> bytes:
    """Make an enciphered PIN block: 16 bytes for format 4, under an AES key, else 8."""
    require_pan(pan)
    _require_pin(pin)
    if (key.algorithm == AES) is not (pin_block_format is PinBlockFormat.ISO_4):
        raise HsmRejected("pin_block_format: format 4 is for AES keys, the others for TDES")
    prepare = (
        pinblock.ZoneKey.prepare_aes if key.algorithm == AES else pinblock.ZoneKey.prepare_tdes
    )
    return pinblock.encipher(prepare(key.material), pin_block_format, pin, pan)


def arqc(
    key: Key,
    scheme: CryptogramScheme,
    *,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    data: bytes,
    unpredictable_number: bytes = b"",
) -> bytes:
    """
    Make a card's application cryptogram over padded data; eight bytes.

    The unpredictable number, four bytes, is needed for M/Chip's own session keys.
    """
    card_key = _card_key(key, scheme.card_key, pan, pan_sequence_number)
    session_key = emv.session_key(
        scheme.session_key, card_key, atc=atc, unpredictable_number=unpredictable_number
    )
    return emv.arqc(emv.CryptogramKey.prepare(session_key), data)


def _card_key(key: Key, derivation: CardKeyDerivation, pan: str, pan_sequence_number: str) -> bytes:
    require_pan(pan)
    require_digits("pan_sequence_number", pan_sequence_number, 2, 2)
    return emv.card_key(
        tdes.encryptor(key.material),
        derivation,
        pan=pan,
        pan_sequence_number=pan_sequence_number,
    )


def _require_pin(pin: str) -> None:
    require_digits("pin", pin, pinblock.PIN_LENGTH_MIN, pinblock.PIN_LENGTH_MAX)
