"""
What cards and zones bring, made by psec and pyemv over the contract's keys.

Backends are judged by it, so nothing here is computed by the product: not even CMAC, which
neither library offers and which stands here as NIST SP 800-38B describes it, over psec's ciphers.
"""

from __future__ import annotations

from collections.abc import Callable

import psec
import pyemv

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CryptogramScheme,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
)
from tests.contract.keys import KEYS

_CARD_KEYS = {
    CardKeyDerivation.OPTION_A: pyemv.kd.derive_icc_mk_a,
    CardKeyDerivation.OPTION_B: pyemv.kd.derive_icc_mk_b,
}


def material(name: str) -> bytes:
    """Give a clear key by its logical name."""
    return KEYS[name].material


def card_code(key: str, *, pan: str, expiry: str, service_code: str) -> str:
    """Make a CVV; three digits."""
    return psec.cvv.generate_cvv(material(key), pan, expiry, service_code)


def dynamic_cvv(
    *, pan: str, pan_sequence_number: str, expiry: str, service_code: str, atc: str
) -> str:
    """Make a dCVV: a CVV under the card's key, with the ATC for the PAN's first four digits."""
    card_key = pyemv.kd.derive_icc_mk_a(material("imk_dcvv"), pan, pan_sequence_number)
    return psec.cvv.generate_cvv(card_key, atc + pan[4:], expiry, service_code)


def cvc3(
    *,
    pan: str,
    pan_sequence_number: str,
    track_data: bytes,
    atc: bytes,
    unpredictable_number: bytes,
) -> str:
    """Make a CVC3; five digits."""
    card_key = pyemv.kd.derive_icc_mk_a(material("imk_cvc3"), pan, pan_sequence_number)
    return pyemv.cvv.generate_cvc3(card_key, track_data, atc, unpredictable_number).rjust(5, "0")


def visa_pvv(*, pan: str, pvki: str, pin: str) -> str:
    """Make a PVV; four digits."""
    return psec.pin.generate_visa_pvv(material("pvk"), pvki, pin[:4], pan)


def ibm3624_offset(*, pin: str, validation_data: str, decimalization_table: str) -> str:
    """Make an offset as long as the PIN; validation data of digits, filled with F to sixteen."""
    return psec.pin.generate_ibm3624_offset(
        material("pvk_ibm"),
        decimalization_table,
        pin,
        validation_data.rstrip("F"),
        0,
        len(validation_data.rstrip("F")),
        "F",
    )


def pin_block(key: str, kind: PinBlockFormat, *, pin: str, pan: str) -> bytes:
    """Make an enciphered PIN block; psec has no format 1, which is its digits and any others."""
    if kind is PinBlockFormat.ISO_4:
        return psec.pinblock.encipher_pinblock_iso_4(material(key), pin, pan)
    match kind:
        case PinBlockFormat.ISO_0:
            field = psec.pinblock.encode_pinblock_iso_0(pin, pan)
        case PinBlockFormat.ISO_1:
            field = bytes.fromhex(f"1{len(pin):x}{pin}".ljust(16, "7"))
        case PinBlockFormat.ISO_3:
            field = psec.pinblock.encode_pinblock_iso_3(pin, pan)
    return psec.des.encrypt_tdes_ecb(material(key), field)


def pin_of(key: str, kind: PinBlockFormat, block: bytes, *, pan: str) -> str:
    """Read an enciphered PIN block; raise `ValueError` for what is none."""
    if kind is PinBlockFormat.ISO_4:
        return psec.pinblock.decipher_pinblock_iso_4(material(key), block, pan)
    field = psec.des.decrypt_tdes_ecb(material(key), block)
    match kind:
        case PinBlockFormat.ISO_0:
            return psec.pinblock.decode_pinblock_iso_0(field, pan)
        case PinBlockFormat.ISO_3:
            return psec.pinblock.decode_pinblock_iso_3(field, pan)
    control, length, digits = field.hex()[0], int(field.hex()[1], 16), field.hex()[2:]
    if control != "1":
        raise ValueError("not a block of format 1")
    return digits[:length]


def cryptogram(
    scheme: CryptogramScheme,
    *,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    unpredictable_number: bytes,
    data: bytes,
    arpc_data: bytes,
) -> tuple[bytes, bytes]:
    """Make an ARQC over padded data, and the ARPC that answers it."""
    card_key = _CARD_KEYS[scheme.card_key](material("imk_ac"), pan, pan_sequence_number)
    match scheme.session_key:
        case SessionKeyDerivation.NONE:
            made_under = answered_under = card_key
        case SessionKeyDerivation.COMMON:
            made_under = answered_under = pyemv.kd.derive_common_sk(card_key, atc + bytes(6))
        case SessionKeyDerivation.EMV_2000:
            made_under = answered_under = pyemv.kd.derive_emv2000_tree_sk(card_key, atc)
        case SessionKeyDerivation.MASTERCARD:
            seed = atc + bytes(2) + unpredictable_number
            made_under, answered_under = pyemv.kd.derive_common_sk(card_key, seed), card_key
    arqc = psec.mac.generate_retail_mac(made_under[:8], made_under[8:], data, 1, 8)
    if scheme.arpc is ArpcMethod.METHOD_1:
        return arqc, pyemv.ac.generate_arpc_1(answered_under, arqc, arpc_data)
    return arqc, pyemv.ac.generate_arpc_2(answered_under, arqc, arpc_data[:4], arpc_data[4:])


def mac(algorithm: MacAlgorithm, key: str, data: bytes) -> bytes:
    """Make a whole MAC."""
    clear = material(key)
    match algorithm:
        case MacAlgorithm.ISO9797_1:
            return psec.mac.generate_cbc_mac(clear, data, 1, 8)
        case MacAlgorithm.ISO9797_3:
            return psec.mac.generate_retail_mac(clear[:8], clear[8:], data, 1, 8)
        case MacAlgorithm.AES_CMAC:
            return cmac(lambda blocks: psec.aes.encrypt_aes_cbc(clear, bytes(16), blocks), 16, data)
        case MacAlgorithm.TDES_CMAC:
            return cmac(lambda blocks: psec.des.encrypt_tdes_cbc(clear, bytes(8), blocks), 8, data)


def cmac(encrypt_cbc: Callable[[bytes], bytes], block: int, data: bytes) -> bytes:
    """Make a CMAC (NIST SP 800-38B, 6.2) with a cipher in CBC mode from zeros."""
    subkey = _doubled(encrypt_cbc(bytes(block)))
    if not data or len(data) % block:
        subkey = _doubled(subkey)
        data += b"\x80"
        data += bytes(-len(data) % block)
    last = bytes(a ^ b for a, b in zip(data[-block:], subkey, strict=True))
    return encrypt_cbc(data[:-block] + last)[-block:]


def _doubled(text: bytes) -> bytes:
    """Double in the field that CMAC computes in: shift left, and fold the bit that falls out."""
    fold = 0x87 if len(text) == 16 else 0x1B
    value = int.from_bytes(text, "big") << 1
    carry = value >> (8 * len(text))
    return (value ^ (carry << (8 * len(text))) ^ (carry * fold)).to_bytes(len(text), "big")
