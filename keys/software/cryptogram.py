"""
EMV application cryptograms: card keys, session keys, the ARQC and its ARPC.

Formulas: EMV Book 2, 8.1, 8.2, A1.3 and A1.4. Derived keys are used as they
fall out: the parity that the book adjusts is ignored by DES.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from keys.hsm import ArpcMethod, CardKeyDerivation, SessionKeyDerivation
from keys.padding import pad_method_2
from keys.software import tdes
from keys.software.digits import decimalize, xor
from keys.software.mac import Mac, retail_mac

#: Method 2 answers with the first four bytes of its MAC.
ARPC_2_LENGTH = 4

_ALL_ONES = b"\xff" * 8


def card_key(
    encrypt: tdes.BlockTransform,
    derivation: CardKeyDerivation,
    *,
    pan: str,
    pan_sequence_number: str,
) -> bytes:
    """
    Derive a card's key from the prepared issuer master key; sixteen bytes.

    Option A takes the sixteen rightmost digits of PAN and sequence number.
    Option B is the same up to 16 PAN digits; above, it takes sixteen decimal
    digits of their SHA-1, so that long PANs do not share keys.
    """
    digits = pan + pan_sequence_number
    if derivation is CardKeyDerivation.OPTION_B and len(pan) > 16:
        even = digits.rjust(len(digits) + len(digits) % 2, "0")
        hashed = hashlib.sha1(bytes.fromhex(even), usedforsecurity=False).digest()
        digits = decimalize(hashed, 16)
    half = bytes.fromhex(digits[-16:].rjust(16, "0"))
    return encrypt(half + xor(half, _ALL_ONES))


def session_key(derivation: SessionKeyDerivation, key: bytes, *, atc: bytes) -> bytes:
    """Derive the key of one transaction from a card's key and its counter (two bytes)."""
    if derivation is SessionKeyDerivation.NONE:
        return key
    halves = atc + b"\xf0" + bytes(5) + atc + b"\x0f" + bytes(5)
    return tdes.encryptor(key)(halves)


@dataclass(frozen=True, slots=True)
class CryptogramKey:
    """The key of one transaction, prepared once for its ARQC and ARPC."""

    encrypt: tdes.BlockTransform
    mac: Mac

    @classmethod
    def prepare(cls, key: bytes) -> CryptogramKey:
        """Prepare a session key, or a card's key where the scheme has no session keys."""
        encrypt = tdes.encryptor(key)
        return cls(encrypt, retail_mac(key, encrypt))


def arqc(key: CryptogramKey, data: bytes) -> bytes:
    """Make an application cryptogram over padded data; eight bytes."""
    return key.mac(data)


def arpc(method: ArpcMethod, key: CryptogramKey, cryptogram: bytes, arpc_data: bytes) -> bytes:
    """
    Answer a cryptogram, with the key that it was made with.

    Method 1: the response code, zeros to eight bytes, XORed with the ARQC and
    encrypted; eight bytes. Method 2: a MAC over ARQC, CSU and proprietary data;
    four bytes.
    """
    if method is ArpcMethod.METHOD_1:
        return key.encrypt(xor(cryptogram, arpc_data.ljust(8, b"\0")))
    return key.mac(pad_method_2(cryptogram + arpc_data))[:ARPC_2_LENGTH]
