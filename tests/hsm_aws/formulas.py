"""
What the data plane computes, by psec and pyemv: none of it is the product's own cryptography.

CMAC is cryptography's. ISO format 1, dCVV, CVC3 and the Amex codes are in neither library: they
are put together here of their encryption and derivation.
"""

from __future__ import annotations

import secrets

import psec
import pyemv
from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC


class NoPinBlock(Exception):
    """Deciphered, it is no PIN block."""


def check_value(key: bytes, algorithm: str) -> str:
    """The six digits by which AWS knows a key: AES by CMAC, TDES by encryption, of zeros."""
    if algorithm == "A":
        return cmac(key, bytes(16), algorithm)[:3].hex().upper()
    return str(psec.des.generate_kcv(key, 3).hex().upper())


def cmac(key: bytes, data: bytes, algorithm: str) -> bytes:
    """CMAC with AES or TDES, uncut."""
    cipher = AES(key) if algorithm == "A" else TripleDES(key + key[:8])
    keyed = CMAC(cipher)
    keyed.update(data)
    return keyed.finalize()


def iso9797_1(key: bytes, data: bytes) -> bytes:
    """ISO/IEC 9797-1 algorithm 1, padding method 1."""
    return bytes(psec.mac.generate_cbc_mac(key, data, 1))


def iso9797_3(key: bytes, data: bytes) -> bytes:
    """ISO/IEC 9797-1 algorithm 3, padding method 1."""
    return bytes(psec.mac.generate_retail_mac(key[:8], key[8:], data, 1))


def cvv(key: bytes, pan: str, expiry: str, service_code: str) -> str:
    """CVV, CVV2, iCVV and CAVV."""
    return str(psec.cvv.generate_cvv(key, pan, expiry, service_code))


def dcvv(key: bytes, pan: str, psn: str, expiry: str, service_code: str, atc: int) -> str:
    """CVV under the card's key, the decimal counter where the PAN's first four digits were."""
    card_key = pyemv.kd.derive_icc_mk_a(key, pan, psn)
    return cvv(card_key, f"{atc % 10_000:04}{pan[4:]}", expiry, service_code)


def cvc3(key: bytes, pan: str, psn: str, track_data: bytes, atc: bytes, number: bytes) -> str:
    """Five digits of Mastercard's dynamic code: static track, reader's number and counter."""
    card_key = pyemv.kd.derive_icc_mk_a(key, pan, psn)
    static = pyemv.mac.mac_iso9797_3(card_key[:8], card_key[8:], track_data, 2)[-2:]
    block = psec.des.encrypt_tdes_ecb(card_key, static + number + atc)
    return f"{int.from_bytes(block[-2:], 'big'):05}"


def csc_1(key: bytes, pan: str, expiry: str) -> dict[int, str]:
    """
    Amex codes of version 1, by their length: a stand-in.

    Public sources do not agree on these formulas. This one takes the block that most of them
    have, so that it depends on every word; it shows what is asked, not what Amex computes.
    """
    return _amex_digits(psec.des.encrypt_tdes_ecb(key, _amex_block(pan, expiry)))


def csc_2(key: bytes, pan: str, expiry: str, service_code: str) -> dict[int, str]:
    """Amex codes of version 2, by their length: a stand-in as version 1 is."""
    data = _amex_block(pan, expiry) + bytes.fromhex(service_code.ljust(16, "0"))
    return _amex_digits(psec.des.encrypt_tdes_cbc(key, bytes(8), data)[-8:])


def _amex_block(pan: str, expiry: str) -> bytes:
    digits = pan[2:14].ljust(12, "0")
    return bytes.fromhex(expiry + digits if pan.startswith("37") else digits + expiry)


def _amex_digits(block: bytes) -> dict[int, str]:
    """Twelve digits, five, four and three; letters less ten stand behind the digits."""
    nibbles = block.hex()
    digits = [n for n in nibbles if n.isdecimal()]
    digits += [str(int(n, 16) - 10) for n in nibbles if not n.isdecimal()]
    text = "".join(digits)
    return {5: text[:5], 4: text[5:9], 3: text[9:12]}


def visa_pvv(key: bytes, pan: str, pvki: int, pin: str) -> str:
    """The PVV, of a PIN's first four digits."""
    return str(psec.pin.generate_visa_pvv(key, str(pvki), pin[:4], pan))


def ibm_3624_offset(key: bytes, table: str, data: str, pad: str, pin: str) -> str:
    """The offset of a whole PIN."""
    return str(psec.pin.generate_ibm3624_offset(key, table, pin, data, 0, len(data), pad))


def decipher_pin_block(key: bytes, name: str, block: bytes, pan: str) -> str:
    """Read the PIN of a block of format 0, 1, 3 or 4; raises `NoPinBlock`."""
    try:
        if name == "4":
            return str(psec.pinblock.decipher_pinblock_iso_4(key, block, pan))
        clear = psec.des.decrypt_tdes_ecb(key, block)
        if name == "0":
            return str(psec.pinblock.decode_pinblock_iso_0(clear, pan))
        if name == "3":
            return str(psec.pinblock.decode_pinblock_iso_3(clear, pan))
        return _decode_iso_1(clear)
    except ValueError:
        raise NoPinBlock from None


def encipher_pin_block(key: bytes, name: str, pin: str, pan: str) -> bytes:
    """Make a block of format 0, 1, 3 or 4."""
    if name == "4":
        return bytes(psec.pinblock.encipher_pinblock_iso_4(key, pin, pan))
    if name == "0":
        clear = psec.pinblock.encode_pinblock_iso_0(pin, pan)
    elif name == "3":
        clear = psec.pinblock.encode_pinblock_iso_3(pin, pan)
    else:
        fill = secrets.token_hex(8)[: 14 - len(pin)]
        clear = bytes.fromhex(f"1{len(pin):x}{pin}{fill}")
    return bytes(psec.des.encrypt_tdes_ecb(key, clear))


def _decode_iso_1(clear: bytes) -> str:
    digits = clear.hex()
    pin = digits[2 : 2 + int(digits[1], 16)]
    if digits[0] != "1" or not 4 <= len(pin) <= 12 or not pin.isdecimal():
        raise ValueError("no block of format 1")
    return pin


def card_key(key: bytes, option: str, pan: str, psn: str) -> bytes:
    """A card's key by option A or B."""
    derive = pyemv.kd.derive_icc_mk_a if option == "A" else pyemv.kd.derive_icc_mk_b
    return bytes(derive(key, pan, psn))


def session_keys(name: str, icc: bytes, atc: bytes, number: bytes) -> tuple[bytes, bytes]:
    """The key of a cryptogram and the key of its answer, by AWS's name of the derivation."""
    match name:
        case "Visa":
            return icc, icc
        case "EmvCommon":
            common = bytes(pyemv.kd.derive_common_sk(icc, atc + bytes(6)))
            return common, common
        case "Mastercard":
            return bytes(pyemv.kd.derive_common_sk(icc, atc + bytes(2) + number)), icc
        case "Emv2000":
            tree = bytes(pyemv.kd.derive_emv2000_tree_sk(icc, atc))
            return tree, tree
    raise ValueError(name)


def application_cryptogram(key: bytes, data: bytes) -> bytes:
    """An ARQC over data that is padded; eight bytes."""
    if len(data) % 8:
        raise ValueError("not padded")
    # Zeros to whole blocks, which adds nothing; without this word pyemv pads with 80.
    return bytes(pyemv.ac.generate_ac(key, data, pyemv.ac.PaddingType.VISA, 8))


def arpc_1(key: bytes, arqc: bytes, arc: bytes) -> bytes:
    """Answer by method 1; eight bytes."""
    return bytes(pyemv.ac.generate_arpc_1(key, arqc, arc))


def arpc_2(key: bytes, arqc: bytes, csu: bytes, proprietary: bytes) -> bytes:
    """Answer by method 2; four bytes."""
    return bytes(pyemv.ac.generate_arpc_2(key, arqc, csu, proprietary))
