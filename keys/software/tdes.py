"""
TDES and AES block by block: contexts made once for a key and used ever after.

Making a context costs five times what using it does, so a prepared key is the
bound `update` of one ECB context, which keeps nothing between whole blocks.
A context serves one thread: the software backend runs inline.

TDES comes from `hazmat.decrepit`, where cryptography keeps it, and always with
24-byte keys: short ones are announced to be refused.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

#: Whole blocks in, as many whole blocks out.
BlockTransform = Callable[[bytes], bytes]

DES_BLOCK = 8
AES_BLOCK = 16

_ECB = modes.ECB()  # noqa: S305 - single blocks: the formulas of the trade are made of them


def widen(key: bytes) -> bytes:
    """
    Write a TDES key in 24 bytes: K1‖K2 as K1‖K2‖K1, a single DES key K as K‖K‖K.

    Raises `ValueError` for any length but 8, 16 and 24 bytes.
    """
    match len(key):
        case 8:
            return key * 3
        case 16:
            return key + key[:8]
        case 24:
            return key
    raise ValueError("a TDES key has 8, 16 or 24 bytes")


def double_length(key: bytes) -> tuple[bytes, bytes]:
    """
    Give the halves K1 and K2 of a double-length key, also where it is written K1‖K2‖K1.

    Raises `ValueError` for a key with three different parts: formulas that use
    single DES between (CVV, ISO 9797-1 algorithm 3) are not defined for it.
    """
    wide = widen(key)
    if wide[:8] != wide[16:]:
        raise ValueError("a double-length TDES key is needed")
    return wide[:8], wide[8:16]


#: Every byte with its lowest bit set so that its bits are an odd number.
_ODD_PARITY = bytes(byte ^ (byte.bit_count() + 1) % 2 for byte in range(256))


def adjust_parity(key: bytes) -> bytes:
    """Give a DES key the odd parity that the standard asks for, in the lowest bit of each byte."""
    return key.translate(_ODD_PARITY)


def encryptor(key: bytes) -> BlockTransform:
    """Prepare TDES encryption in ECB under a key of 8, 16 or 24 bytes."""
    return _whole_blocks(Cipher(TripleDES(widen(key)), _ECB).encryptor().update, DES_BLOCK)


def decryptor(key: bytes) -> BlockTransform:
    """Prepare TDES decryption in ECB under a key of 8, 16 or 24 bytes."""
    return _whole_blocks(Cipher(TripleDES(widen(key)), _ECB).decryptor().update, DES_BLOCK)


def aes_encryptor(key: bytes) -> BlockTransform:
    """Prepare AES encryption in ECB under a key of 16, 24 or 32 bytes."""
    return _whole_blocks(Cipher(AES(key), _ECB).encryptor().update, AES_BLOCK)


def aes_decryptor(key: bytes) -> BlockTransform:
    """Prepare AES decryption in ECB under a key of 16, 24 or 32 bytes."""
    return _whole_blocks(Cipher(AES(key), _ECB).decryptor().update, AES_BLOCK)


def cbc_last_block(key: bytes) -> BlockTransform:
    """Prepare what a CBC-MAC is made of: encrypt in CBC from zeros and keep the last block."""
    cipher = Cipher(TripleDES(widen(key)), modes.CBC(bytes(DES_BLOCK)))

    def chain(blocks: bytes) -> bytes:
        return cipher.encryptor().update(blocks)[-DES_BLOCK:]

    return _whole_blocks(chain, DES_BLOCK)


def _whole_blocks(transform: BlockTransform, size: int) -> BlockTransform:
    """Refuse part of a block: the context would keep it and spoil every answer after."""

    def guarded(blocks: bytes) -> bytes:
        if len(blocks) % size:
            raise ValueError(f"whole blocks of {size} bytes are needed")
        return transform(blocks)

    return guarded
