"""
Card codes, cryptograms and MACs, made by a token that lets none of its keys out.

The formulas are those of `keys.software`; what differs is who holds the key. Single DES under K1,
which card codes and the retail MAC need, is TDES under K1‖K1: a key of its own in the token, or,
of a derived key, one more derivation.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pkcs11 import Mechanism

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    MacAlgorithm,
    SessionKeyDerivation,
    Verdict,
)
from keys.padding import DES_BLOCK, pad_method_1, pad_method_2
from keys.pkcs11.keys import TokenKey
from keys.pkcs11.token import TokenSession
from keys.software.digits import decimalize, xor

#: A card code is the first three digits of the result.
CODE_LENGTH = 3

#: Method 2 answers with the first four bytes of its MAC.
ARPC_2_LENGTH = 4

#: Bytes that a CMAC can have, for both ciphers.
_CMAC_LENGTH_MAX = 16

_CMACS = {
    MacAlgorithm.AES_CMAC: Mechanism.AES_CMAC,
    MacAlgorithm.TDES_CMAC: Mechanism.DES3_CMAC,
}
_ALL_ONES = b"\xff" * DES_BLOCK


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of the token, K1‖K2, and K1‖K1 beside it."""

    session: TokenSession
    whole: int
    half: int

    def encrypt(self, block: bytes) -> bytes:
        """TDES under both halves."""
        return self.session.calls.encrypt_ecb(self.session.handle, self.whole, block)

    def retail_mac(self, data: bytes) -> bytes:
        """ISO/IEC 9797-1 algorithm 3 over whole blocks; eight bytes."""
        head, last = data[:-DES_BLOCK], data[-DES_BLOCK:]
        if head:
            calls, session = self.session.calls, self.session.handle
            last = xor(calls.encrypt_cbc(session, self.half, head)[-DES_BLOCK:], last)
        return self.encrypt(last)


def card_code(session: TokenSession, key: TokenKey, pan: str, of: CardVerificationValue) -> str:
    """Make the three digits of a CVV, CVV2 or iCVV."""
    data = bytes.fromhex((pan + of.expiry + of.service_code).ljust(32, "0"))
    first = session.calls.encrypt_ecb(session.handle, key.half, data[:DES_BLOCK])
    return decimalize(
        session.calls.encrypt_ecb(session.handle, key.handle, xor(first, data[DES_BLOCK:])),
        CODE_LENGTH,
    )


def mac(session: TokenSession, key: TokenKey, data: bytes, algorithm: MacAlgorithm) -> bytes:
    """Make a message's authentication code in full; the ISO ones pad with zeros (method 1)."""
    match algorithm:
        case MacAlgorithm.ISO9797_1:
            padded = pad_method_1(data)
            return session.calls.encrypt_cbc(session.handle, key.handle, padded)[-DES_BLOCK:]
        case MacAlgorithm.ISO9797_3:
            return Pair(session, key.handle, key.half).retail_mac(pad_method_1(data))
    mechanism = _CMACS[algorithm]
    return session.calls.sign(session.handle, mechanism, key.handle, data, _CMAC_LENGTH_MAX)


def verify_arqc(
    session: TokenSession, key: TokenKey, cryptogram: Cryptogram, arpc_data: bytes
) -> ArqcAnswer:
    """Compare an application cryptogram; on a match answer it. Derived keys do not outlive this."""
    number = _card_number(cryptogram)
    with (
        _derived(
            session,
            key.handle,
            number,
            xor(number, _ALL_ONES),
            with_half=_card_key_makes_macs(cryptogram.scheme),
        ) as card,
        _session_key(card, cryptogram) as own,
    ):
        if not hmac.compare_digest(own.retail_mac(cryptogram.data), cryptogram.arqc):
            return ArqcAnswer(Verdict.MISMATCH)
        answering = card if _card_key_answers(cryptogram.scheme) else own
        method = cryptogram.scheme.arpc
        return ArqcAnswer(Verdict.MATCH, _arpc(answering, method, cryptogram.arqc, arpc_data))


def _card_key_answers(scheme: CryptogramScheme) -> bool:
    """M/Chip CVN 16 and 17 have a session key, and answer under the card's key."""
    return scheme.session_key is SessionKeyDerivation.MASTERCARD


def _card_key_makes_macs(scheme: CryptogramScheme) -> bool:
    """Whether the card key's first half is needed: that is one derivation more."""
    if scheme.session_key is SessionKeyDerivation.NONE:
        return True
    return _card_key_answers(scheme) and scheme.arpc is ArpcMethod.METHOD_2


def _arpc(key: Pair, method: ArpcMethod, arqc: bytes, arpc_data: bytes) -> bytes:
    """Answer a cryptogram (EMV Book 2, 8.2)."""
    if method is ArpcMethod.METHOD_1:
        return key.encrypt(xor(arqc, arpc_data.ljust(DES_BLOCK, b"\0")))
    return key.retail_mac(pad_method_2(arqc + arpc_data))[:ARPC_2_LENGTH]


def _card_number(cryptogram: Cryptogram) -> bytes:
    """
    The eight bytes whose encryption, and that of their inverse, is a card's key (EMV Book 2, A1.4).

    The sixteen rightmost digits of PAN and sequence number. With option B and a PAN above 16
    digits, sixteen decimal digits of their SHA-1.
    """
    digits = cryptogram.pan + cryptogram.pan_sequence_number
    option_b = cryptogram.scheme.card_key is CardKeyDerivation.OPTION_B
    if option_b and len(cryptogram.pan) > 16:
        even = digits.rjust(len(digits) + len(digits) % 2, "0")
        hashed = hashlib.sha1(bytes.fromhex(even), usedforsecurity=False).digest()
        digits = decimalize(hashed, 16)
    return bytes.fromhex(digits[-16:].rjust(16, "0"))


@contextmanager
def _session_key(card: Pair, cryptogram: Cryptogram) -> Iterator[Pair]:
    """The key of one transaction (EMV Book 2, A1.3.1), of ATC and, for M/Chip's own, the UN."""
    if cryptogram.scheme.session_key is SessionKeyDerivation.NONE:
        yield card
        return
    rest = bytes(5)
    if cryptogram.scheme.session_key is SessionKeyDerivation.MASTERCARD:
        rest = b"\0" + cryptogram.unpredictable_number
    left, right = (cryptogram.atc + side + rest for side in (b"\xf0", b"\x0f"))
    with _derived(card.session, card.whole, left, right) as pair:
        yield pair


@contextmanager
def _derived(
    session: TokenSession, key: int, left: bytes, right: bytes, *, with_half: bool = True
) -> Iterator[Pair]:
    """Derive a key of two halves, and its first half twice, for as long as the context."""
    derived = session.calls.derived
    with derived(session.handle, key, left + right) as whole:
        if not with_half:
            yield Pair(session, whole, 0)
            return
        with derived(session.handle, key, left + left) as half:
            yield Pair(session, whole, half)
