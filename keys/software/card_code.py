"""
Card codes: the card verification value in all its uses, and Mastercard's CVC3.

CVV, CVV2 and iCVV are one formula (Visa; Mastercard calls it CVC): they differ
by the service code, the track's own for CVV, 000 for CVV2 and 999 for iCVV, and
by the order in which the issuer wrote the expiry. A CAVV of usage 3, version 7
is the same over other words, and dCVV the same under the card's own key.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.padding import pad_method_2
from keys.software import tdes
from keys.software.digits import decimalize, xor
from keys.software.mac import retail_mac

#: A card code is the first three digits of the result.
CODE_LENGTH = 3

#: CVC3 is a number below 65536; a track brings as many of its last digits as it has room for.
CVC3_LENGTH_MIN, CVC3_LENGTH_MAX = 3, 5


@dataclass(frozen=True, slots=True)
class CardCodeKey:
    """A card verification key with both its contexts: K1 alone and the pair."""

    first: tdes.BlockTransform
    pair: tdes.BlockTransform

    @classmethod
    def prepare(cls, key: bytes) -> CardCodeKey:
        """Prepare a double-length key; raise `ValueError` for another."""
        first, _ = tdes.double_length(key)
        return cls(first=tdes.encryptor(first), pair=tdes.encryptor(key))


def card_code(key: CardCodeKey, pan: str, expiry: str, service_code: str) -> str:
    """
    Make the three digits.

    PAN, expiry and service code stand together, zeros to 32 digits; the first
    half is encrypted under K1, XORed with the second, encrypted under the pair,
    and the result read as decimal.
    """
    data = bytes.fromhex((pan + expiry + service_code).ljust(32, "0"))
    return decimalize(key.pair(xor(key.first(data[:8]), data[8:])), CODE_LENGTH)


def dynamic_cvv(card_key: bytes, *, pan: str, expiry: str, service_code: str, atc: str) -> str:
    """
    Make the three digits of a dCVV, under the card's own key.

    The four digits of the ATC stand where the PAN's first four were (Visa
    contactless, magnetic stripe data; jPOS, `calculatedCVV`).
    """
    key = CardCodeKey.prepare(card_key)
    return card_code(key, atc + pan[4:], expiry, service_code)


def cvc3(card_key: bytes, *, track_data: bytes, atc: bytes, unpredictable_number: bytes) -> str:
    """
    Make the five digits of a CVC3, under the card's own key.

    The last two bytes of the static track's MAC, the reader's number and the ATC
    are one block; the last two bytes of its encryption are read as a number
    (Mastercard contactless, magnetic stripe mode; EMV Book C-2, `COMPUTE
    CRYPTOGRAPHIC CHECKSUM`).
    """
    encrypt = tdes.encryptor(card_key)
    static = retail_mac(card_key, encrypt)(pad_method_2(track_data))[-2:]
    checksum = encrypt(static + unpredictable_number + atc)[-2:]
    return f"{int.from_bytes(checksum, 'big'):0{CVC3_LENGTH_MAX}}"
