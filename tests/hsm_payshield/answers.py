"""
What the peer answers: the host commands, with psec and pyemv for every formula.

Each takes a request and gives the fields after error code 00, or raises `Refused` with a code.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable

import psec
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from pyemv import ac, kd

from tests.hsm_payshield.lmk import KeyRefused, unwrap_block
from tests.hsm_payshield.request import Refused, Request, decode_pin, encode_pin

#: Of the test LMK, and of no LMK in the world.
LMK_CHECK_VALUE = "2686047592840158"
FIRMWARE = "0007-E000"

_ZONE, _TERMINAL, _PVK = "001", "002", "002"


def _echo(request: Request) -> bytes:
    return request.take(int(request.text(4), 16))


def _key_check_value(request: Request) -> bytes:
    request.expect(b"FF")
    flag = request.text(1)
    text = request.key_text()
    request.expect(b";")
    key_type = request.text(3)
    request.expect(b";001")
    if flag != {"U": "1", "T": "2", "S": "F"}.get(text[0], "0"):
        raise Refused("05")
    try:
        if text[0] != "S":
            return _kcv("T", request.opened(text, key_type, ""))
        _, algorithm, key = unwrap_block(text)
    except KeyRefused as refused:
        raise Refused(str(refused)) from None
    return _kcv(algorithm, key)


def _kcv(algorithm: str, key: bytes) -> bytes:
    if algorithm == "A":
        mac = CMAC(AES(key))
        mac.update(bytes(16))
        return mac.finalize()[:3].hex().upper().encode()
    return bytes(psec.des.generate_kcv(key, 3).hex().upper().encode())


def _verify_cvv(request: Request) -> bytes:
    cvk = request.key("402", "C0")
    code, pan = request.text(3), request.until(b";")
    return _same(psec.cvv.generate_cvv(cvk, pan, request.digits(4), request.digits(3)), code)


def _verify_pvv(key_type: str) -> Callable[[Request], bytes]:
    def verify(request: Request) -> bytes:
        pek, pvk = request.key(key_type, "P0"), request.key(_PVK, "V2", "11")
        block, code, account = request.hex(16), request.text(2), request.digits(12)
        pvki, pvv = request.digits(1), request.digits(4)
        pin = decode_pin(pek, block, code, account)
        return _same(psec.pin.generate_visa_pvv(pvk, pvki, pin[:4], account + "0"), pvv)

    return verify


def _verify_offset(key_type: str) -> Callable[[Request], bytes]:
    def verify(request: Request) -> bytes:
        pek, pvk = request.key(key_type, "P0"), request.key(_PVK, "V1", "11")
        request.expect(b"12")
        block, code = request.hex(16), request.text(2)
        check, account = int(request.digits(2)), request.digits(12)
        table, validation, offset = request.digits(16), request.text(12), request.text(12)
        if max(map(table.count, table)) > 4 or len(set(table)) < 8:
            raise Refused("25")
        if offset[check:].strip("F") or not offset[:check].isdigit() or validation.count("N") != 1:
            raise Refused("15")
        pin = decode_pin(pek, block, code, account)
        if len(pin) < check:
            raise Refused("01")
        data = validation.replace("N", account[-5:]).rstrip("F")
        whole = psec.pin.generate_ibm3624_offset(pvk, table, pin, data, 0, len(data), "F")
        _same(whole[-check:], offset[:check])
        raise Refused("02")  # the PVK is of double length: a warning, the PIN is right

    return verify


def _translate(key_type: str) -> Callable[[Request], bytes]:
    def translate(request: Request) -> bytes:
        source, target = request.key(key_type, "P0"), request.key(_ZONE, "P0", "11")
        request.expect(b"12")
        block, read, written = request.hex(16), request.text(2), request.text(2)
        account = request.digits(12)
        pin = decode_pin(source, block, read, account)
        anew = encode_pin(target, pin, written, account)
        return f"{len(pin):02d}{anew.hex().upper()}{written}".encode()

    return translate


def _verify_arqc_kq(request: Request) -> bytes:
    mode, scheme = request.text(1), request.text(1)
    master = request.key("109", "E0")
    card, atc, number = request.take(8).hex(), request.take(2), request.take(4)
    card_key = kd.derive_icc_mk_a(master, card[:-2], card[-2:])
    key = card_key
    if scheme == "1":
        key = kd.derive_common_sk(card_key, atc + bytes(2) + number)
    elif scheme != "0":
        raise Refused("05")
    arqc = _compared_arqc(request, key, mode)
    if mode == "0":
        return b""
    return bytes(ac.generate_arpc_1(card_key, arqc, request.take(2)))


def _verify_arqc_kw(request: Request) -> bytes:
    mode, scheme = request.text(1), request.text(1)
    master = request.key("109", "E0")
    if scheme == "2":
        card = request.take(8).hex()
        card_key = kd.derive_icc_mk_a(master, card[:-2], card[-2:])
    elif scheme == "3":
        card = request.take(int(request.digits(2))).hex()
        request.expect(b";")
        card_key = kd.derive_icc_mk_b(master, card[:-2].lstrip("0"), card[-2:])
    else:
        raise Refused("05")
    key = kd.derive_common_sk(card_key, request.take(2) + bytes(6))
    arqc = _compared_arqc(request, key, mode)
    match mode:
        case "0":
            return b""
        case "1" | "2":
            return bytes(ac.generate_arpc_1(key, arqc, request.take(2)))
        case "3" | "4":
            csu = request.take(4)
            proprietary = request.take(int(request.text(1), 16))
            return bytes(ac.generate_arpc_2(key, arqc, csu, proprietary)) + bytes(4)
    raise Refused("04")


def _compared_arqc(request: Request, key: bytes, mode: str) -> bytes:
    """Take data and ARQC; in the modes that only answer, the ARQC alone."""
    if mode in "24":
        return request.take(8)
    data = request.take(int(request.text(2), 16))
    request.expect(b";")
    arqc = request.take(8)
    if not hmac.compare_digest(ac.generate_ac(key, data, ac.PaddingType.VISA), arqc):
        raise Refused("01")
    return arqc


def _mac(request: Request) -> tuple[bytes, int]:
    request.expect(b"00")
    size = {"0": 4, "1": 8}[request.text(1)]
    algorithm = request.text(1)
    request.expect(b"1")
    key = request.key(request.text(3), "M1 M3")
    data = request.take(int(request.text(4), 16))
    match algorithm:
        case "1":
            whole = psec.mac.generate_cbc_mac(key, data, 1)
        case "3":
            whole = psec.mac.generate_retail_mac(key[:8], key[8:], data, 1)
        case _:
            raise Refused("04")
    return bytes(whole[:size]), size


def _generate_mac(request: Request) -> bytes:
    return _mac(request)[0].hex().upper().encode()


def _verify_mac(request: Request) -> bytes:
    mac, size = _mac(request)
    return _same(mac.hex().upper(), request.text(2 * size))


def _same(expected: str, given: str) -> bytes:
    if expected != given:
        raise Refused("01")
    return b""


#: By command code.
ANSWERS: dict[str, Callable[[Request], bytes]] = {
    "B2": _echo,
    "BU": _key_check_value,
    "CA": _translate(_TERMINAL),
    "CC": _translate(_ZONE),
    "CY": _verify_cvv,
    "DA": _verify_offset(_TERMINAL),
    "DC": _verify_pvv(_TERMINAL),
    "EA": _verify_offset(_ZONE),
    "EC": _verify_pvv(_ZONE),
    "KQ": _verify_arqc_kq,
    "KW": _verify_arqc_kw,
    "M6": _generate_mac,
    "M8": _verify_mac,
}
