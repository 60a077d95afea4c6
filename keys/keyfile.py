"""
The key file: which keys there are, the check value each must have, and where a backend has it.

    [cvk]
    block = "D0144C0TV00N0000…"   # a TR-31 key block: for the software HSM, and for the vault
    aws = "alias/cvk"             # of AWS Payment Cryptography
    payshield = "U479D7519…"      # under the payShield's own LMK
    pkcs11 = "cvk"                # the label in the token
    usage = "C0"                  # TR-31; a block says it itself
    algorithm = "T"
    kcv = "BA6A21"
    note = "card verification"

A table a logical name; a backend takes those that name a place in it. The check value is pinned,
so that a wrong key is found at start and not by the first cardholder. Blocks are under a key block
protection key, a file of its own, hex on one line; in production it belongs into an HSM.
"""

from __future__ import annotations

import hmac
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from keys.hsm import KeyRef
from keys.software.key import Key
from keys.software.keyblock import KEY_SIZES, KeyBlockError, read_header, unwrap

__all__ = [
    "PLACES",
    "Kbpk",
    "Key",
    "KeyEntry",
    "KeyFileError",
    "is_development",
    "is_key_name",
    "load",
    "read_entries",
    "read_kbpk",
    "unwrap_entries",
]

#: Where a key can be: the setting's name, and which backend looks there. `kms` is the vault's.
PLACES = ("block", "aws", "payshield", "pkcs11", "kms")

#: What the first line of a protection key's file says where the key is published.
DEVELOPMENT_MARK = "DEVELOPMENT KEY"

#: SHA-256 of the protection key in keys/dev/kbpk.dev: it stays known where its first line is lost.
PUBLISHED_KBPK_SHA256 = "2ca605b19ba71a1b7b8dd709cb0c7dce5623b4323f70a39fafd31bd73f5acb87"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_KCV = re.compile(r"[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{4})?", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_KBPK_SIZES = (16, 24, 32)
_USAGE = re.compile(r"[A-Z0-9]{2}", re.ASCII)
_VERSION = re.compile(r"[0-9A-Za-z]{2}", re.ASCII)
_FIELDS = {*PLACES, "kcv", "note", "usage", "algorithm", "version"}


class KeyFileError(ValueError):
    """A key file cannot be used: one line that names the file and the key, never material."""


class Kbpk:
    """A key block protection key. Its text never shows the material."""

    __slots__ = ("development", "material")

    def __init__(self, material: bytes, *, development: bool = False) -> None:
        fingerprint = sha256(material).hexdigest()
        self.material = material
        self.development = development or hmac.compare_digest(fingerprint, PUBLISHED_KBPK_SHA256)

    def __repr__(self) -> str:
        return f"Kbpk(development={self.development})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key cannot be copied or pickled")


def is_key_name(text: str) -> bool:
    """Whether a key of a key file may be called so."""
    return _NAME.fullmatch(text) is not None


def is_development(kbpk: Kbpk) -> bool:
    """Whether the key is a published one: its file says so, or it is that of keys/dev."""
    return kbpk.development


def read_kbpk(path: str | Path) -> Kbpk:
    """
    Read a protection key: hex of 16, 24 or 32 bytes on a line; lines with `#` are comments.

    Raises `KeyFileError` naming the file.
    """
    lines = _read(Path(path)).splitlines()
    keys = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    try:
        (line,) = keys
        material = bytes.fromhex(line)
    except ValueError:
        raise KeyFileError(f"{path}: one line of hexadecimal is needed, and no other") from None
    if len(material) not in _KBPK_SIZES:
        raise KeyFileError(f"{path}: a protection key has 16, 24 or 32 bytes")
    return Kbpk(material, development=DEVELOPMENT_MARK in lines[0])


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A key of the key file, before any backend has looked at it."""

    name: str
    kcv: str  #: pinned: six hexadecimal digits, for AES also ten
    usage: str  #: two characters of TR-31: C0, V2, P0 …
    algorithm: str  #: T, A or H
    version: str  #: key version number, two characters; 00 where keys of this name have none
    places: Mapping[str, str] = field(repr=False)  #: by `PLACES`: where it is
    note: str = ""

    @property
    def ref(self) -> KeyRef:
        """The key as the switch asks for it."""
        return KeyRef(self.name, self.kcv)


def read_entries(path: str | Path) -> dict[str, KeyEntry]:
    """
    Read what a key file says of every key, by logical name. Nothing is deciphered.

    Raises `KeyFileError`, in one line: a missing file, bad TOML, an unknown
    setting, a key without a place, a block whose header is none.
    """
    try:
        tables = tomllib.loads(_read(Path(path)))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line \d+, column \d+", str(error))
        raise KeyFileError(f"{path}: not TOML at {where[0] if where else 'its end'}") from None
    except RecursionError:
        raise KeyFileError(f"{path}: not TOML: nested too deep") from None
    return {name: _entry(f"{path}", name, table) for name, table in tables.items()}


def unwrap_entries(path: str | Path, entries: Mapping[str, KeyEntry], kbpk: Kbpk) -> dict[str, Key]:
    """
    Open the key blocks of those entries that have one, by logical name.

    Raises `KeyFileError` for a block that does not unwrap and a check value that differs.
    """
    return {
        name: _unwrapped(f"{path}: {name}", entry, kbpk)
        for name, entry in entries.items()
        if "block" in entry.places
    }


def load(path: str | Path, kbpk: Kbpk) -> dict[str, Key]:
    """Read every key block of a key file, by logical name. Raises `KeyFileError`."""
    return unwrap_entries(path, read_entries(path), kbpk)


def _entry(path: str, name: str, table: object) -> KeyEntry:
    if _NAME.fullmatch(name) is None:
        raise KeyFileError(f"{path}: a key's name is made of letters, digits, '_', '.' and '-'")
    where = f"{path}: {name}"
    if not isinstance(table, Mapping):
        raise KeyFileError(f"{where}: a table with block and kcv is needed")
    for unknown in table.keys() - _FIELDS:
        shown = f" {unknown!r}" if _NAME.fullmatch(unknown) else ""
        known = ", ".join(sorted(_FIELDS))
        raise KeyFileError(f"{where}: unknown setting{shown}; there are {known}")
    places = {place: _text(where, table, place) for place in PLACES if place in table}
    if not places:
        raise KeyFileError(f"{where}: one of {', '.join(PLACES)} is needed")
    pinned = _text(where, table, "kcv")
    if _KCV.fullmatch(pinned) is None:
        raise KeyFileError(f"{where}: kcv: 6 hexadecimal digits are needed (10 may stand for AES)")
    note = _text(where, {"note": "", **table}, "note")
    usage, algorithm, version = _attributes(where, table, places.get("block"))
    return KeyEntry(name, pinned.upper(), usage, algorithm, version, places, note)


def _attributes(where: str, table: Mapping[str, object], block: str | None) -> tuple[str, str, str]:
    """Usage, algorithm and version: as the block's header has them, else as the file says."""
    told = {"version": "00", **table} if block is None else dict(table)
    if block is not None:
        try:
            header = read_header(block)
        except KeyBlockError as error:
            raise KeyFileError(f"{where}: {error}") from None
        of_block = {
            "usage": header.usage,
            "algorithm": header.algorithm,
            "version": header.key_version,
        }
        for attribute, value in of_block.items():
            if table.get(attribute, value) != value:
                raise KeyFileError(f"{where}: {attribute}: is not what its block says")
        told |= of_block
    usage, algorithm, version = (_text(where, told, a) for a in ("usage", "algorithm", "version"))
    if _USAGE.fullmatch(usage) is None:
        raise KeyFileError(f"{where}: usage: two characters of TR-31 are needed, as C0 or P0")
    if algorithm not in KEY_SIZES:
        raise KeyFileError(f"{where}: algorithm: must be T, A or H")
    if _VERSION.fullmatch(version) is None:
        raise KeyFileError(f"{where}: version: two letters or digits are needed")
    return usage, algorithm, version


def _unwrapped(where: str, entry: KeyEntry, kbpk: Kbpk) -> Key:
    try:
        key = unwrap(kbpk.material, entry.places["block"])
    except KeyBlockError as error:
        raise KeyFileError(f"{where}: {error}") from None
    if not key.has_check_value(entry.kcv):
        raise KeyFileError(f"{where}: kcv is {key.kcv}, but {entry.kcv} is pinned")
    return key


def _text(where: str, table: Mapping[str, object], field: str) -> str:
    """Take a string that prints; anything else is refused without being shown."""
    value = table.get(field)
    if not isinstance(value, str):
        raise KeyFileError(f"{where}: {field}: a string is needed")
    if _PRINTABLE.fullmatch(value) is None:
        raise KeyFileError(f"{where}: {field}: only printing ASCII characters may stand in it")
    return value


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: not a text file") from None
