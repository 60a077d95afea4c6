"""What an application cryptogram was made over, by its program's layout and its version."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Mapping
from typing import NamedTuple

from keys.hsm import Cryptogram, CryptogramScheme, SessionKeyDerivation
from switch.rules.checks import Case
from switch.rules.iad import VERSIONS, version_of
from switch.rules.program import Program

#: Amount, other amount, terminal country, TVR, currency, date, type, unpredictable number,
#: AIP, ATC: what every version signs, in this order.
_SIGNED = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
_ISSUER_APPLICATION_DATA = "9F10"
_ARQC = "9F26"
_ATC = "9F36"
_UNPREDICTABLE_NUMBER = "9F37"


class Signed(NamedTuple):
    """What a cryptogram is made over, and how."""

    scheme: CryptogramScheme
    atc: bytes
    data: bytes  #: padded
    unpredictable_number: bytes  #: empty where the session key needs none


class CryptogramError(ValueError):
    """Chip data from which no cryptogram can be verified: it counts as a mismatch."""


def brings_cryptogram(case: Case) -> bool:
    """Whether the message brings a cryptogram at all."""
    return _ARQC in case.request.icc


def signed(icc: Mapping[str, str], program: Program) -> Signed:
    """What the chip data (tag → hex) says that its cryptogram was made over.

    Raises `CryptogramError` where a signed element is missing or malformed, or the
    program does not know the cryptogram's version.
    """
    try:
        iad = unhexlify(icc[_ISSUER_APPLICATION_DATA])
        number = version_of(iad, program.iad)
        scheme, version = program.cryptograms[number], VERSIONS[program.iad][number]
        data = unhexlify("".join(icc[tag] for tag in _SIGNED)) + version.signed(iad)
        atc, random = unhexlify(icc[_ATC]), b""
        if scheme.session_key is SessionKeyDerivation.MASTERCARD:
            random = unhexlify(icc[_UNPREDICTABLE_NUMBER])
    except (KeyError, ValueError):
        raise CryptogramError("a signed element is missing, or the version unknown") from None
    if len(atc) != 2:
        raise CryptogramError("the ATC is malformed")
    if scheme.session_key is SessionKeyDerivation.MASTERCARD and len(random) != 4:
        raise CryptogramError("the unpredictable number is malformed")
    return Signed(scheme, atc, version.pad(data), random)


def cryptogram(case: Case) -> Cryptogram:
    """The cryptogram of a message and what it was made over; raises as `signed` does."""
    request = case.request
    over = signed(request.icc, case.program)
    try:
        arqc = unhexlify(request.icc[_ARQC])
    except (KeyError, ValueError):
        raise CryptogramError("the cryptogram is missing or malformed") from None
    if len(arqc) != 8 or not request.pan_sequence_number.isdecimal():
        raise CryptogramError("the cryptogram or the PAN sequence number is malformed")
    return Cryptogram(
        scheme=over.scheme,
        pan=request.pan,
        pan_sequence_number=request.pan_sequence_number,
        atc=over.atc,
        data=over.data,
        arqc=arqc,
        unpredictable_number=over.unpredictable_number,
    )
