"""
EMV application cryptograms: card keys, session keys, the ARQC and its ARPC.

Formulas: EMV Book 2, 8.1, 8.2, A1.3 and A1.4. Derived keys are used as they
fall out: the parity that the book adjusts is ignored by DES. Only EMV 2000 also
encrypts a card's key, and so adjusts it first.
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

#: The tree of EMV 2000 session keys: so many children a key, so many levels below the card's.
#: EMV 2000 recommends these two; together they have a leaf for every ATC.
EMV_2000_BRANCH_FACTOR = 4
EMV_2000_HEIGHT = 8

_ALL_ONES = b"\xff" * 8

#: Bound to names: in Python 3.11 looking a member up in its Enum costs half an encryption.
_NONE = SessionKeyDerivation.NONE
_MASTERCARD = SessionKeyDerivation.MASTERCARD
_EMV_2000 = SessionKeyDerivation.EMV_2000


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


def session_key(
    derivation: SessionKeyDerivation, key: bytes, *, atc: bytes, unpredictable_number: bytes = b""
) -> bytes:
    """
    Derive the key of one transaction from a card's key.

    `atc` has two bytes; `unpredictable_number` has four and is only M/Chip's.
    """
    if derivation is _NONE:
        return key
    if derivation is _EMV_2000:
        return _emv_2000_session_key(key, atc)
    # M/Chip's is the common one with the reader's number in it (Mastercard SKD; EMV A1.3.1).
    rest = b"\0" + unpredictable_number if derivation is _MASTERCARD else bytes(5)
    return tdes.encryptor(key)(atc + b"\xf0" + rest + atc + b"\x0f" + rest)


def _emv_2000_session_key(key: bytes, atc: bytes) -> bytes:
    """
    Walk down the tree of keys to the ATC's leaf (EMV 2000, Book 2, A1.3).

    The ATC, written in base `branch_factor`, says at each level which child to
    take: a child is its parent's encryption of its grandparent's halves, the
    number of the child XORed into both and `F0` into the right one. The root is
    the card's key and has zeros above it; the leaf is XORed with its grandparent.
    """
    counter = int.from_bytes(atc, "big")
    above, node = bytes(16), tdes.adjust_parity(key)
    for level in range(EMV_2000_HEIGHT - 1, -1, -1):
        child = counter // EMV_2000_BRANCH_FACTOR**level % EMV_2000_BRANCH_FACTOR
        mark = child.to_bytes(8, "big") + (child ^ 0xF0).to_bytes(8, "big")
        above, node, grandparent = node, tdes.encryptor(node)(xor(above, mark)), above
    return xor(node, grandparent)


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


def answering_key(
    derivation: SessionKeyDerivation, card_key: bytes, made_under: CryptogramKey
) -> CryptogramKey:
    """
    Give the key that answers a cryptogram: the one it was made under.

    Only where session keys are M/Chip's own it is the card's (M/Chip, CVN 16 and 17).
    """
    return CryptogramKey.prepare(card_key) if derivation is _MASTERCARD else made_under


def arqc(key: CryptogramKey, data: bytes) -> bytes:
    """Make an application cryptogram over padded data; eight bytes."""
    return key.mac(data)


def arpc(method: ArpcMethod, key: CryptogramKey, cryptogram: bytes, arpc_data: bytes) -> bytes:
    """
    Answer a cryptogram, with the key that `answering_key` gives for it.

    Method 1: the response code, zeros to eight bytes, XORed with the ARQC and
    encrypted; eight bytes. Method 2: a MAC over ARQC, CSU and proprietary data;
    four bytes.
    """
    if method is ArpcMethod.METHOD_1:
        return key.encrypt(xor(cryptogram, arpc_data.ljust(8, b"\0")))
    return key.mac(pad_method_2(cryptogram + arpc_data))[:ARPC_2_LENGTH]
