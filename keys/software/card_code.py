"""
The card verification value in all its uses: CVV, CVV2 and iCVV.

One formula (Visa; Mastercard calls it CVC): they differ by the service code,
the track's own for CVV, 000 for CVV2 and 999 for iCVV, and by the order in
which the issuer wrote the expiry.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.software import tdes
from keys.software.digits import decimalize, xor

#: A card code is the first three digits of the result.
CODE_LENGTH = 3


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
