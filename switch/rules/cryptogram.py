"""What an application cryptogram was made over, by its program's layout and its version."""

from __future__ import annotations

from binascii import unhexlify

from keys.hsm import Cryptogram, SessionKeyDerivation
from switch.rules.checks import Case
from switch.rules.iad import VERSIONS, version_of

#: Amount, other amount, terminal country, TVR, currency, date, type, unpredictable number,
#: AIP, ATC: what every version signs, in this order.
SIGNED = ("9F02", "9F03", "9F1A", "95", "5F2A", "9A", "9C", "9F37", "82", "9F36")
_ISSUER_APPLICATION_DATA = "9F10"
_ARQC = "9F26"
_ATC = "9F36"
_UNPREDICTABLE_NUMBER = "9F37"


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
    icc, program = case.request.icc, case.program
    try:
        iad = unhexlify(icc[_ISSUER_APPLICATION_DATA])
        number = version_of(iad, program.iad)
        scheme, version = program.cryptograms[number], VERSIONS[program.iad][number]
        data = unhexlify("".join(icc[tag] for tag in SIGNED)) + version.signed(iad)
        atc, arqc = unhexlify(icc[_ATC]), unhexlify(icc[_ARQC])
        random = b""
        if scheme.session_key is SessionKeyDerivation.MASTERCARD:
            random = unhexlify(icc[_UNPREDICTABLE_NUMBER])
    except (KeyError, ValueError):
        raise CryptogramError("a signed element is missing, or the version unknown") from None
    if len(atc) != 2 or len(arqc) != 8 or not case.request.pan_sequence_number.isdecimal():
        raise CryptogramError("the ATC, the cryptogram or the PAN sequence number is malformed")
    if scheme.session_key is SessionKeyDerivation.MASTERCARD and len(random) != 4:
        raise CryptogramError("the unpredictable number is malformed")
    return Cryptogram(
        scheme=scheme,
        pan=case.request.pan,
        pan_sequence_number=case.request.pan_sequence_number,
        atc=atc,
        data=version.pad(data),
        arqc=arqc,
        unpredictable_number=random,
    )
