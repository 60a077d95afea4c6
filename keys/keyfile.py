"""
Key material at rest: TR-31 key blocks in a file, under a key block protection key.

    [cvk]
    block = "D0144C0TV00N0000…"
    kcv = "BA6A21"
    note = "card verification"

A table a logical name. The check value is pinned, so that a wrong block is
found at start and not by the first cardholder. The protection key is a file of
its own, hex on one line; in production it belongs into an HSM.
"""

from __future__ import annotations

import hmac
import re
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from keys.software.key import Key
from keys.software.keyblock import KeyBlockError, unwrap

__all__ = ["Kbpk", "Key", "KeyFileError", "is_development", "load", "read_kbpk"]

#: What the first line of a protection key's file says where the key is published.
DEVELOPMENT_MARK = "DEVELOPMENT KEY"

#: SHA-256 of the protection key in keys/dev/kbpk.dev: it stays known where its first line is lost.
PUBLISHED_KBPK_SHA256 = "2ca605b19ba71a1b7b8dd709cb0c7dce5623b4323f70a39fafd31bd73f5acb87"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)
_KCV = re.compile(r"[0-9A-Fa-f]{6}(?:[0-9A-Fa-f]{4})?", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_KBPK_SIZES = (16, 24, 32)
_FIELDS = {"block", "kcv", "note"}


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


def load(path: str | Path, kbpk: Kbpk) -> dict[str, Key]:
    """
    Read every key of a key file, by logical name.

    Raises `KeyFileError`, in one line: a missing file, bad TOML, an unknown
    setting, a block that does not unwrap, a check value that differs.
    """
    try:
        tables = tomllib.loads(_read(Path(path)))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line \d+, column \d+", str(error))
        raise KeyFileError(f"{path}: not TOML at {where[0] if where else 'its end'}") from None
    except RecursionError:
        raise KeyFileError(f"{path}: not TOML: nested too deep") from None
    return {name: _load_key(f"{path}", name, table, kbpk) for name, table in tables.items()}


def _load_key(path: str, name: str, table: object, kbpk: Kbpk) -> Key:
    if _NAME.fullmatch(name) is None:
        raise KeyFileError(f"{path}: a key's name is made of letters, digits, '_', '.' and '-'")
    where = f"{path}: {name}"
    if not isinstance(table, Mapping):
        raise KeyFileError(f"{where}: a table with block and kcv is needed")
    for field in table.keys() - _FIELDS:
        shown = f" {field!r}" if _NAME.fullmatch(field) else ""
        raise KeyFileError(f"{where}: unknown setting{shown}; there are block, kcv and note")
    block, pinned = _text(where, table, "block"), _text(where, table, "kcv")
    _text(where, {"note": "", **table}, "note")
    if _KCV.fullmatch(pinned) is None:
        raise KeyFileError(f"{where}: kcv: 6 hexadecimal digits are needed (10 may stand for AES)")
    try:
        key = unwrap(kbpk.material, block)
    except KeyBlockError as error:
        raise KeyFileError(f"{where}: {error}") from None
    if not key.has_check_value(pinned):
        raise KeyFileError(f"{where}: kcv is {key.kcv}, but {pinned.upper()} is pinned")
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
