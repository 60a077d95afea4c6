"""
Keys on their way in and out: random ones, components of several persons, blocks under another key.

Material is kept in `bytearray`s, which `wipe` overwrites. That goes only as far as Python does:
cipher libraries take copies of a key that nobody can reach, and a process's memory may have been
written to disk. Who needs more does the ceremony in an HSM.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from keys.attributes import (
    ALGORITHMS,
    EXPORTABILITY,
    KEY_ENCRYPTION,
    AttributeProblem,
    algorithm_of,
    mode_for,
    require_protection,
    require_sound,
)
from keys.keyfile import Kbpk
from keys.software.key import AES, HMAC, TDES, Key, check_values
from keys.software.keyblock import Header, KeyBlockError, read_header, unwrap, wrap
from keys.software.parity import set_odd_parity

#: Block versions that are written, by the algorithm of the key that they are under.
BLOCK_VERSIONS = {"B": TDES, "D": AES}

#: A version number of a key, two characters.
_VERSION = re.compile(r"[0-9A-Za-z]{2}", re.ASCII)
_KCV = re.compile(r"[0-9A-F]{6}(?:[0-9A-F]{4})?", re.ASCII)

#: The hash of an HMAC key is bound to it: 21 is SHA-256 (X9.143, table 13).
_HMAC_SHA_256 = (("HM", "21"),)
#: Optional block that only fills: the writer makes its own.
_PADDING = "PB"


class CeremonyRefused(ValueError):
    """It is not done: one line that says why, never material. Nothing was written."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a new key is to be."""

    usage: str
    algorithm: str  #: one of `ALGORITHMS`
    mode: str | None = None  #: none: the least that the switch needs
    is_exportable: bool = False
    version: str = "00"

    def header(self) -> Header:
        """The header of its block. Raises `CeremonyRefused` for what does not go together."""
        algorithm = ALGORITHMS[self.algorithm]
        if _VERSION.fullmatch(self.version) is None:
            raise CeremonyRefused("version: two letters or digits are needed")
        with _refusing():
            mode = mode_for(self.usage, algorithm.code, self.mode)
        return Header(
            version="D",
            usage=self.usage,
            algorithm=algorithm.code,
            mode_of_use=mode,
            key_version=self.version,
            exportability="E" if self.is_exportable else "N",
            optional=_HMAC_SHA_256 if algorithm.code == HMAC else (),
        )


@dataclass(frozen=True, slots=True)
class Made:
    """A key as the key file takes it, and what may be told of it."""

    block: str = field(repr=False)  #: under the key block protection key
    kcv: str
    header: Header
    algorithm: str  #: with its length, as people name it
    check_values: frozenset[str] = frozenset()  #: all that may be pinned: for AES also ten digits

    @property
    def told(self) -> dict[str, str]:
        """What a record of it may say."""
        return {
            "kcv": self.kcv,
            "usage": self.header.usage,
            "algorithm": self.algorithm,
            "mode_of_use": self.header.mode_of_use,
            "version": self.header.key_version,
            "exportability": EXPORTABILITY[self.header.exportability],
        }


def wipe(*secret: bytearray) -> None:
    """Overwrite with zeros."""
    for one in secret:
        one[:] = bytes(len(one))


def kcv_of(algorithm: str, material: bytes | bytearray) -> str:
    """The check value of a key or a component, six hex digits. `algorithm` is a code."""
    return min(check_values(algorithm, bytes(material)), key=len)


def is_kcv(algorithm: str, material: bytes | bytearray, told: str) -> bool:
    """Whether a check value that somebody tells is that of a key: six digits, of AES also ten."""
    given = told.strip().upper()
    if _KCV.fullmatch(given) is None:
        return False
    values = check_values(algorithm, bytes(material))
    return any(hmac.compare_digest(value, given) for value in values)


def generate(wanted: Wanted, kbpk: Kbpk) -> Made:
    """A random key; one of TDES has odd parity. Raises `CeremonyRefused`."""
    header = wanted.header()
    material = bytearray(secrets.token_bytes(ALGORITHMS[wanted.algorithm].size))
    try:
        if header.algorithm == TDES:
            set_odd_parity(material)
        return sealed(material, header, kbpk)
    finally:
        wipe(material)


def require_another(custodian: str, earlier: Sequence[str]) -> None:
    """Raise `CeremonyRefused` for somebody who has given a component already."""
    if " ".join(custodian.split()).casefold() in {
        " ".join(name.split()).casefold() for name in earlier
    }:
        raise CeremonyRefused("the same person may not give two components")


def require_component(component: bytearray, algorithm: str, earlier: Sequence[bytearray]) -> None:
    """Raise `CeremonyRefused` for a component that adds nothing: zeros, or one given before.

    `algorithm` is one of `ALGORITHMS`; a component is as long as the key.
    """
    if len(component) != ALGORITHMS[algorithm].size:
        raise CeremonyRefused(
            f"a component of {algorithm} has {ALGORITHMS[algorithm].size * 2} hexadecimal digits"
        )
    if not any(component):
        raise CeremonyRefused("a component of zeros is none")
    if any(hmac.compare_digest(component, one) for one in earlier):
        raise CeremonyRefused("this component was given already")


def combine(components: Sequence[bytearray], algorithm: str) -> bytearray:
    """The key that components make, by exclusive or. A TDES key gets odd parity.

    Raises `CeremonyRefused` for fewer than two, and for a key that is none.
    """
    if len(components) < 2:
        raise CeremonyRefused("at least two components are needed")
    key = bytearray(ALGORITHMS[algorithm].size)
    for component in components:
        for index, byte in enumerate(component):
            key[index] ^= byte
    code = ALGORITHMS[algorithm].code
    try:
        with _refusing():
            require_sound(code, key)
    except CeremonyRefused:
        wipe(key)
        raise
    if code == TDES:
        set_odd_parity(key)
    return key


def sealed(material: bytearray, header: Header, kbpk: Kbpk) -> Made:
    """A key as the key file takes it. Raises `CeremonyRefused`."""
    with _refusing():
        require_sound(header.algorithm, material)
        require_protection(
            "the key block protection key",
            (AES, len(kbpk.material)),
            (header.algorithm, len(material)),
        )
        block = wrap(kbpk.material, header, bytes(material))
    return Made(
        block,
        kcv_of(header.algorithm, material),
        header,
        algorithm_of(header.algorithm, len(material)),
        check_values(header.algorithm, bytes(material)),
    )


def import_block(block: str, under: Key, kbpk: Kbpk) -> Made:
    """
    A key that came as a TR-31 block under a key encryption key, as the key file takes it.

    It stays what its header says: usage, mode of use, version, exportability, optional blocks.
    Raises `CeremonyRefused`.
    """
    _require_key_encryption(under, "DBN")
    with _refusing():
        key = unwrap(under.material, block)
    theirs = read_header(block)
    kept = tuple(one for one in theirs.optional if one[0] != _PADDING)
    material = bytearray(key.material)
    try:
        return sealed(material, replace(theirs, version="D", optional=kept), kbpk)
    finally:
        wipe(material)


def export_block(block: str, under: Key, kbpk: Kbpk, *, version: str) -> Made:
    """
    A key of the key file as a TR-31 block, version B or D, under a key encryption key.

    Raises `CeremonyRefused`: a key whose header says that it stays, a key encryption key of
    another cipher, or a weaker one.
    """
    _require_key_encryption(under, "EBN")
    header = read_header(block)
    if header.exportability == "N":
        raise CeremonyRefused("its header says that it is not exportable")
    if under.algorithm != BLOCK_VERSIONS[version]:
        cipher = "TDES" if version == "B" else "AES"
        raise CeremonyRefused(f"a block of version {version} is under a key of {cipher}")
    with _refusing():
        key = unwrap(kbpk.material, block)
        require_protection(
            "the key encryption key",
            (under.algorithm, len(under.material)),
            (key.algorithm, len(key.material)),
        )
        kept = tuple(one for one in header.optional if one[0] != _PADDING)
        out = replace(header, version=version, optional=kept)
        exported = wrap(under.material, out, key.material)
    return Made(
        exported, key.kcv, out, algorithm_of(key.algorithm, len(key.material)), key.check_values
    )


def _require_key_encryption(under: Key, modes: str) -> None:
    if under.usage not in KEY_ENCRYPTION:
        raise CeremonyRefused(f"the key above must be {' or '.join(KEY_ENCRYPTION)}")
    if under.mode_of_use not in modes:
        raise CeremonyRefused("the mode of use of the key above does not allow it")


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (KeyBlockError, AttributeProblem) as error:
        raise CeremonyRefused(str(error)) from None
