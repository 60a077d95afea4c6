"""
What an application cryptogram was made over, by its version number.

Visa's versions as its public chip card specification has them, and as AWS Payment
Cryptography's user guide and pyemv repeat them: 10 takes the card verification
results from the issuer application data, 18 takes all of it.
"""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from keys.hsm import Cryptogram
from keys.padding import pad_method_1, pad_method_2
from switch.rules.checks import Case

#: Amount, other amount, terminal country, TVR, currency, date, type, unpredictable number,
#: AIP, ATC: what every version signs, in this order.
_SIGNED = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
_ISSUER_APPLICATION_DATA = "9F10"
_ARQC = "9F26"
_ATC = "9F36"
#: Issuer application data: length, key index, cryptogram version, then the CVR with its length.
_VERSION_AT, _CVR_AT = 2, 3


@dataclass(frozen=True, slots=True)
class _Version:
    """How one cryptogram version ends its data."""

    signed_iad: Callable[[bytes], bytes]
    pad: Callable[[bytes], bytes]


def _cvr(iad: bytes) -> bytes:
    return iad[_CVR_AT : _CVR_AT + 1 + iad[_CVR_AT]]


def _whole(iad: bytes) -> bytes:
    return iad


_VERSIONS: Mapping[int, _Version] = {
    10: _Version(_cvr, pad_method_1),
    18: _Version(_whole, pad_method_2),
}


class CryptogramError(ValueError):
    """Chip data from which no cryptogram can be verified: it counts as a mismatch."""


def brings_cryptogram(case: Case) -> bool:
    """Whether the message brings a cryptogram at all."""
    return _ARQC in case.request.icc


def cryptogram(case: Case) -> Cryptogram:
    """The cryptogram of a message and what it was made over.

    Raises `CryptogramError` where a signed element is missing or malformed, or the
    program does not know the cryptogram's version.
    """
    icc = case.request.icc
    try:
        iad = unhexlify(icc[_ISSUER_APPLICATION_DATA])
        number = iad[_VERSION_AT]
        scheme, version = case.program.cryptograms[number], _VERSIONS[number]
        data = unhexlify("".join(icc[tag] for tag in _SIGNED)) + version.signed_iad(iad)
        atc, arqc = unhexlify(icc[_ATC]), unhexlify(icc[_ARQC])
    except (KeyError, IndexError):
        raise CryptogramError("a signed element is missing, or the version unknown") from None
    if len(atc) != 2 or len(arqc) != 8 or not case.request.pan_sequence_number.isdecimal():
        raise CryptogramError("the ATC, the cryptogram or the PAN sequence number is malformed")
    return Cryptogram(
        scheme=scheme,
        pan=case.request.pan,
        pan_sequence_number=case.request.pan_sequence_number,
        atc=atc,
        data=version.pad(data),
        arqc=arqc,
    )
