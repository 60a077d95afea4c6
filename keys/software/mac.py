"""
Message authentication codes: ISO/IEC 9797-1 algorithms 1 and 3, and CMAC.

The ISO ones pad with zeros (method 1), which adds nothing to data that method 2
has padded already: see `keys.padding`.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from keys.padding import DES_BLOCK, pad_method_1
from keys.software import tdes
from keys.software.digits import xor

#: Data of any length in, its code out.
Mac = Callable[[bytes], bytes]


def iso9797_algorithm_1(key: bytes) -> Mac:
    """Prepare CBC-MAC (ISO/IEC 9797-1, 7.2) with the whole TDES key; eight bytes."""
    chain = tdes.cbc_last_block(key)
    return lambda data: chain(pad_method_1(data))


def iso9797_algorithm_3(key: bytes) -> Mac:
    """
    Prepare the retail MAC (ISO/IEC 9797-1, 7.4; ANSI X9.19); eight bytes.

    Single DES under K1 for every block but the last, TDES for the last. Raises
    `ValueError` unless the key is of double length.
    """
    return retail_mac(key, tdes.encryptor(key))


def retail_mac(key: bytes, encrypt: tdes.BlockTransform) -> Mac:
    """Prepare algorithm 3 where the key's own encryption stands prepared already."""
    first, _ = tdes.double_length(key)
    chain = tdes.cbc_last_block(first)

    def mac(data: bytes) -> bytes:
        padded = pad_method_1(data)
        head, last = padded[:-DES_BLOCK], padded[-DES_BLOCK:]
        return encrypt(xor(chain(head), last) if head else last)

    return mac


def aes_cmac(key: bytes) -> Mac:
    """Prepare CMAC with AES (NIST SP 800-38B, RFC 4493); sixteen bytes."""
    return _cmac(CMAC(AES(key)))


def tdes_cmac(key: bytes) -> Mac:
    """Prepare CMAC with TDES (NIST SP 800-38B); eight bytes."""
    return _cmac(CMAC(TripleDES(tdes.widen(key))))


def _cmac(keyed: CMAC) -> Mac:
    def mac(data: bytes) -> bytes:
        context = keyed.copy()
        context.update(data)
        return context.finalize()

    return mac
