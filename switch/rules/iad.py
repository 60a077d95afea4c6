"""
Issuer application data (tag 9F10): how a program's chips lay them out, and what of them is signed.

Visa's forms as its public contactless specification has them, and as AWS Payment
Cryptography's user guide and pyemv repeat them: length, key index, version, CVR with its
length; the form of version 22 (hex) is length, version, key index, and is signed whole.
M/Chip's as pyemv and emv-utils have it: key index, version, CVR of six bytes, two bytes of
DAC or ICC dynamic number, counters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from keys.padding import pad_method_1, pad_method_2


class Layout(StrEnum):
    """Whose form a program's issuer application data have."""

    VISA = "visa"
    MCHIP = "mchip"


@dataclass(frozen=True, slots=True)
class Version:
    """How one cryptogram version ends its data."""

    signed: Callable[[bytes], bytes]  #: of the issuer application data
    pad: Callable[[bytes], bytes]


_VISA_VERSION_AT, _VISA_CVR_AT = 2, 3
_VISA_LONG, _VISA_LONG_LENGTH, _VISA_LONG_VERSION_AT = 0x1F, 32, 1
_MCHIP_VERSION_AT, _MCHIP_CVR, _MCHIP_COUNTERS_AT = 1, slice(2, 8), 10
#: M/Chip 4 and Advance, without and with the ATC of the last online transaction.
_MCHIP_LENGTHS = (18, 20, 26, 28)
#: Only of these do public sources tell what of the counters is signed.
_MCHIP_COUNTED_LENGTHS = (18, 26)


def version_of(iad: bytes, layout: Layout) -> int:
    """The version by the name that the trade has for it: 10, 18, 22 are bytes 0A, 12, 22.

    Raises `ValueError` where the data have not the layout's form.
    """
    if layout is Layout.MCHIP:
        if len(iad) not in _MCHIP_LENGTHS:
            raise ValueError("not as long as M/Chip's are")
        return iad[_MCHIP_VERSION_AT]
    if len(iad) == _VISA_LONG_LENGTH and iad[0] == _VISA_LONG:
        if iad[_VISA_LONG_VERSION_AT] != 0x22:
            raise ValueError("another version of the long form")
        return 22
    if len(iad) <= _VISA_CVR_AT or iad[_VISA_VERSION_AT] not in (10, 18):
        raise ValueError("neither form of Visa's")
    return iad[_VISA_VERSION_AT]


def _visa_cvr(iad: bytes) -> bytes:
    return iad[_VISA_CVR_AT : _VISA_CVR_AT + 1 + iad[_VISA_CVR_AT]]


def _whole(iad: bytes) -> bytes:
    return iad


def _mchip_cvr(iad: bytes) -> bytes:
    return iad[_MCHIP_CVR]


def _mchip_cvr_and_counters(iad: bytes) -> bytes:
    """The counters must be in the clear: of enciphered ones the chip signed something else."""
    if len(iad) not in _MCHIP_COUNTED_LENGTHS:
        raise ValueError("nothing public tells which of these counters are signed")
    return iad[_MCHIP_CVR] + iad[_MCHIP_COUNTERS_AT:]


#: The versions that are known of each layout.
VERSIONS: Mapping[Layout, Mapping[int, Version]] = {
    Layout.VISA: {
        10: Version(_visa_cvr, pad_method_1),
        18: Version(_whole, pad_method_2),
        22: Version(_whole, pad_method_2),
    },
    Layout.MCHIP: {
        16: Version(_mchip_cvr, pad_method_2),
        17: Version(_mchip_cvr_and_counters, pad_method_2),
        20: Version(_mchip_cvr, pad_method_2),
        21: Version(_mchip_cvr_and_counters, pad_method_2),
    },
}
