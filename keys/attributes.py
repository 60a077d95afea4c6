"""
What a key may be: TR-31 usages, algorithms and modes of use by name, and how strong each is.

Source of the codes: ANSI X9.143, tables 6 to 8 (key usage, algorithm, mode of use). Strengths are
those of NIST SP 800-57 part 1, table 2: a TDES key of two parts is worth 80 bits, of three 112.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keys.software.key import AES, HMAC, TDES
from keys.software.parity import is_degenerate

__all__ = [
    "ALGORITHMS",
    "EXPORTABILITY",
    "KEY_ENCRYPTION",
    "USAGES",
    "Algorithm",
    "AttributeProblem",
    "Usage",
    "algorithm_of",
    "mode_for",
    "require_protection",
    "require_sound",
    "strength",
]


class AttributeProblem(ValueError):
    """A key cannot have these attributes: one line, never material."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """An algorithm with a key length, as people name it."""

    code: str  #: T, A or H
    size: int  #: bytes


@dataclass(frozen=True, slots=True)
class Usage:
    """One key usage."""

    words: str
    algorithms: str  #: codes of the algorithms that it is made for here
    modes: str  #: modes of use that it may have; the first is the least that the switch needs


ALGORITHMS: Mapping[str, Algorithm] = {
    "TDES": Algorithm(TDES, 16),
    "TDES-3KEY": Algorithm(TDES, 24),
    "AES-128": Algorithm(AES, 16),
    "AES-192": Algorithm(AES, 24),
    "AES-256": Algorithm(AES, 32),
    "HMAC-SHA-256": Algorithm(HMAC, 32),
}

USAGES: Mapping[str, Usage] = {
    "C0": Usage("card verification", TDES, "VCGN"),
    "D0": Usage("data encryption", TDES + AES, "BDEN"),
    "E0": Usage("EMV issuer master key: application cryptograms", TDES + AES, "XN"),
    "E4": Usage("EMV issuer master key: dynamic numbers", TDES + AES, "XN"),
    "E6": Usage("EMV issuer master key: other", TDES + AES, "XN"),
    "K0": Usage("key encryption or wrapping", TDES + AES, "BDEN"),
    "K1": Usage("TR-31 key block protection", TDES + AES, "BDEN"),
    "M1": Usage("MAC, ISO 9797-1 algorithm 1", TDES, "CGVN"),
    "M3": Usage("MAC, ISO 9797-1 algorithm 3", TDES, "CGVN"),
    "M6": Usage("MAC, CMAC", TDES + AES, "CGVN"),
    "M7": Usage("HMAC", HMAC, "CGVN"),
    "P0": Usage("PIN encryption", TDES + AES, "BDEN"),
    "V1": Usage("PIN verification, IBM 3624", TDES, "VCGN"),
    "V2": Usage("PIN verification, Visa PVV", TDES, "VCGN"),
}

#: Usages of keys under which other keys travel.
KEY_ENCRYPTION = ("K0", "K1")

#: What a header says of taking the key out (X9.143, 6.1.6).
EXPORTABILITY: Mapping[str, str] = {
    "E": "exportable",
    "S": "sensitive",
    "N": "non-exportable",
}

_STRENGTHS = {(TDES, 16): 80, (TDES, 24): 112}


def algorithm_of(code: str, size: int) -> str:
    """An algorithm and a key's length in bytes as people name them: TDES, AES-256."""
    for name, algorithm in ALGORITHMS.items():
        if (algorithm.code, algorithm.size) == (code, size):
            return name
    return f"HMAC, {size} bytes"


def mode_for(usage: str, algorithm: str, mode: str | None = None) -> str:
    """The mode of use of a new key: the one asked for, else the least that the switch needs.

    `algorithm` is a code. Raises `AttributeProblem` for a combination that does not exist.
    """
    known = USAGES.get(usage)
    if known is None:
        raise AttributeProblem(f"usage: must be one of {', '.join(USAGES)}")
    if algorithm not in known.algorithms:
        raise AttributeProblem(f"algorithm: not one for {usage}, {known.words}")
    if mode is None:
        return known.modes[0]
    if len(mode) != 1 or mode not in known.modes:
        raise AttributeProblem(f"mode: must be one of {', '.join(known.modes)} for {usage}")
    return mode


def strength(algorithm: str, size: int) -> int:
    """How many bits a key of an algorithm's code and some bytes is worth."""
    return _STRENGTHS.get((algorithm, size)) or min(size * 8, 256)


def require_sound(algorithm: str, material: bytes | bytearray) -> None:
    """Raise `AttributeProblem` for a TDES key that is no better than DES, and one of zeros."""
    if not any(material):
        raise AttributeProblem("the key is all zeros")
    if algorithm == TDES and is_degenerate(material):
        raise AttributeProblem("two parts of the key are the same: it would be no better than DES")


def require_protection(what: str, by: tuple[str, int], of: tuple[str, int]) -> None:
    """Raise `AttributeProblem` where a key would travel or lie under a weaker one.

    Both are algorithm code and bytes; PCI PIN 18-3 and X9.24-1 want at least the same strength.
    """
    if strength(*by) < strength(*of):
        raise AttributeProblem(f"{what} is weaker than the key that it would protect")
