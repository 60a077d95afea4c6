"""Which payShield command verifies a cryptogram, by its scheme's three choices."""

from __future__ import annotations

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    Cryptogram,
    HsmRejected,
    SessionKeyDerivation,
)
from keys.padding import DES_BLOCK
from keys.payshield import commands as commands
from keys.payshield.frame import Command
from keys.software.digits import require_digits, require_pan

#: Bytes of the ARPC's data: ARC, or CSU and up to eight bytes more.
_ARPC_DATA_SIZES = {ArpcMethod.METHOD_1: (2, 2), ArpcMethod.METHOD_2: (4, 12)}
_CSU_SIZE = 4

#: KQ and KW have one byte for the length of their data.
_DATA_MAX = 255

#: Option B differs from option A only above this many digits of the PAN (EMV Book 2, A1.4.2).
_OPTION_A_DIGITS = 16

#: KQ takes an unpredictable number always, and does not look at it in Visa's scheme.
_NO_NUMBER = bytes(4)


def arqc_command(key: str, cryptogram: Cryptogram, arpc_data: bytes) -> Command[ArqcAnswer]:
    """
    Give the command that verifies a cryptogram and answers it.

    Card key alone and M/Chip's session key: KQ, schemes 0 and 1, where the ARPC is under the card's
    key in both. EMV common session key: KW, schemes 2 and 3. Raises `HsmRejected` naming what is
    malformed, and for choices that no command has together.
    """
    _require_cryptogram(cryptogram, arpc_data)
    match cryptogram.scheme.session_key:
        case SessionKeyDerivation.NONE:
            return _kq(key, "0", _NO_NUMBER, cryptogram, arpc_data)
        case SessionKeyDerivation.MASTERCARD:
            number = cryptogram.unpredictable_number
            if len(number) != 4:
                raise HsmRejected("unpredictable_number: four bytes are needed")
            return _kq(key, "1", number, cryptogram, arpc_data)
        case SessionKeyDerivation.COMMON:
            return _kw(key, cryptogram, arpc_data)
    raise HsmRejected("session_key: the payShield backend has no command for this derivation")


def _kq(
    key: str, scheme: str, unpredictable_number: bytes, cryptogram: Cryptogram, arc: bytes
) -> Command[ArqcAnswer]:
    if cryptogram.scheme.arpc is not ArpcMethod.METHOD_1:
        raise HsmRejected("arpc: KQ makes method 1 alone")
    if _is_option_b(cryptogram):
        raise HsmRejected("card_key: KQ derives card keys by option A alone")
    return commands.verify_arqc_kq(
        key,
        scheme=scheme,
        pan=cryptogram.pan,
        pan_sequence_number=cryptogram.pan_sequence_number,
        atc=cryptogram.atc,
        unpredictable_number=unpredictable_number,
        data=cryptogram.data,
        arqc=cryptogram.arqc,
        arc=arc,
    )


def _kw(key: str, cryptogram: Cryptogram, arpc_data: bytes) -> Command[ArqcAnswer]:
    method_1 = cryptogram.scheme.arpc is ArpcMethod.METHOD_1
    return commands.verify_arqc_kw(
        key,
        option_b=_is_option_b(cryptogram),
        pan=cryptogram.pan,
        pan_sequence_number=cryptogram.pan_sequence_number,
        atc=cryptogram.atc,
        data=cryptogram.data,
        arqc=cryptogram.arqc,
        arc=arpc_data if method_1 else None,
        csu=None if method_1 else arpc_data[:_CSU_SIZE],
        proprietary=b"" if method_1 else arpc_data[_CSU_SIZE:],
    )


def _is_option_b(cryptogram: Cryptogram) -> bool:
    """Whether option B gives another card key than option A, whose layout is the better known."""
    option_b = cryptogram.scheme.card_key is CardKeyDerivation.OPTION_B
    return option_b and len(cryptogram.pan) > _OPTION_A_DIGITS


def _require_cryptogram(cryptogram: Cryptogram, arpc_data: bytes) -> None:
    """Raise `HsmRejected` naming the field whose shape the commands cannot take."""
    require_pan(cryptogram.pan)
    require_digits("pan_sequence_number", cryptogram.pan_sequence_number, 2, 2)
    if len(cryptogram.atc) != 2:
        raise HsmRejected("atc: two bytes are needed")
    if not cryptogram.data or len(cryptogram.data) % DES_BLOCK:
        raise HsmRejected("data: it must be padded to whole blocks of eight bytes")
    if len(cryptogram.data) > _DATA_MAX:
        raise HsmRejected(f"data: a payShield takes {_DATA_MAX} bytes at most")
    low, high = _ARPC_DATA_SIZES[cryptogram.scheme.arpc]
    if not low <= len(arpc_data) <= high:
        raise HsmRejected("arpc_data: its length is not one of the scheme's ARPC method")
