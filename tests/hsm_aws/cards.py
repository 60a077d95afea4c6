"""One card's right answers, by psec and pyemv."""

from __future__ import annotations

from keys.hsm import (
    AmexCsc,
    ArpcMethod,
    CardCode,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    Ibm3624,
    PinBlockFormat,
    PinReference,
    SessionKeyDerivation,
    VisaPvv,
)
from keys.software.key import AES
from tests.contract.keys import KEYS, REFS
from tests.hsm_aws import formulas

PAN = "4000123456789017"
AMEX_PAN = "371449635398431"
PIN = "4271"
TABLE = "0123456789012345"
ATC = bytes.fromhex("0032")
UN = bytes.fromhex("89ABCDEF")
TRACK = bytes.fromhex("5413339000001513D2512201")
DATA = bytes.fromhex("0000000012340000000000000840000000000008402611270012345678") + bytes(3)
CSU = bytes.fromhex("00820000")
ARC = b"00"


def material(name: str) -> bytes:
    """A key in clear."""
    return KEYS[name].material


#: name → key, what is asked of, PAN, the right code
CODES: dict[str, tuple[str, CardCode, str, str]] = {
    "cvv": (
        "cvk",
        CardVerificationValue("2912", "201"),
        PAN,
        formulas.cvv(material("cvk"), PAN, "2912", "201"),
    ),
    "icvv": (
        "cvk",
        CardVerificationValue("2912", "999"),
        PAN,
        formulas.cvv(material("cvk"), PAN, "2912", "999"),
    ),
    "cvv2": (
        "cvk",
        CardVerificationValue("1229", "000"),
        PAN,
        formulas.cvv(material("cvk"), PAN, "1229", "000"),
    ),
    "csc-1 of five": (
        "csck",
        AmexCsc(1, "2912"),
        AMEX_PAN,
        formulas.csc_1(material("csck"), AMEX_PAN, "2912")[5],
    ),
    "csc-1 of four": (
        "csck",
        AmexCsc(1, "2912"),
        AMEX_PAN,
        formulas.csc_1(material("csck"), AMEX_PAN, "2912")[4],
    ),
    "csc-2 of three": (
        "csck",
        AmexCsc(2, "2912", "999"),
        AMEX_PAN,
        formulas.csc_2(material("csck"), AMEX_PAN, "2912", "999")[3],
    ),
    "dcvv": (
        "imk_dcvv",
        DynamicCvv("01", "2912", "201", "0050"),
        PAN,
        formulas.dcvv(material("imk_dcvv"), PAN, "01", "2912", "201", 50),
    ),
    "cvc3": (
        "imk_cvc3",
        Cvc3("01", ATC, UN, TRACK),
        PAN,
        formulas.cvc3(material("imk_cvc3"), PAN, "01", TRACK, ATC, UN),
    ),
    "cvc3 of three": (
        "imk_cvc3",
        Cvc3("01", ATC, UN, TRACK),
        PAN,
        formulas.cvc3(material("imk_cvc3"), PAN, "01", TRACK, ATC, UN)[-3:],
    ),
}

SCHEMES = [
    CryptogramScheme(card_key, session_key, arpc)
    for card_key in CardKeyDerivation
    for session_key in SessionKeyDerivation
    for arpc in ArpcMethod
]

_SESSION_KEYS = {
    SessionKeyDerivation.NONE: "Visa",
    SessionKeyDerivation.COMMON: "EmvCommon",
    SessionKeyDerivation.MASTERCARD: "Mastercard",
    SessionKeyDerivation.EMV_2000: "Emv2000",
}


def changed(code: str) -> str:
    """The same with another last digit."""
    return f"{code[:-1]}{(int(code[-1]) + 1) % 10}"


def pin_block(
    pin_block_format: PinBlockFormat, pin: str = PIN, *, pan: str = PAN, zone: str = ""
) -> bytes:
    """A PIN block under a zone key."""
    key = material(zone or zone_of(pin_block_format))
    return formulas.encipher_pin_block(key, pin_block_format.value[-1], pin, pan)


def zone_of(pin_block_format: PinBlockFormat) -> str:
    """The zone key for the format's cipher."""
    zones = {KEYS[name].algorithm: name for name in ("zpk", "zpk_aes")}
    return zones[AES if pin_block_format is PinBlockFormat.ISO_4 else "T"]


def visa_reference(pin: str = PIN) -> PinReference:
    """The PVV of a PIN."""
    return VisaPvv(REFS["pvk"], "1", formulas.visa_pvv(material("pvk"), PAN, 1, pin))


def ibm_reference(pin: str = PIN, data: str = PAN, length: int = 0) -> PinReference:
    """The offset of a PIN, or its last digits."""
    digits = data.rstrip("ABCDEF")
    pad = data[-1] if digits != data else "F"
    offset = formulas.ibm_3624_offset(material("pvk_ibm"), TABLE, digits, pad, pin)
    return Ibm3624(REFS["pvk_ibm"], offset[-length:] if length else offset, TABLE, data)


def cryptogram(scheme: CryptogramScheme, pan: str = PAN) -> tuple[Cryptogram, bytes, bytes]:
    """A cryptogram, what its answer is made over, and the answer."""
    option = scheme.card_key.value[-1].upper()
    card_key = formulas.card_key(material("imk_ac"), option, pan, "01")
    key, answering = formulas.session_keys(_SESSION_KEYS[scheme.session_key], card_key, ATC, UN)
    arqc = formulas.application_cryptogram(key, DATA)
    made = Cryptogram(scheme, pan, "01", ATC, DATA, arqc, UN)
    if scheme.arpc is ArpcMethod.METHOD_1:
        return made, ARC, formulas.arpc_1(answering, arqc, ARC)
    return made, CSU + b"\x01\x02", formulas.arpc_2(answering, arqc, CSU, b"\x01\x02")
