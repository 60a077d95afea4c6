"""
Changes one table of a key file and leaves everything else as it stands: comments, order, spaces.

The text is edited by lines and then read again: where anything but the one table would read
differently, nothing is written. What is written is a new file that takes the old one's place in one
step, so that a reader sees the one or the other, and a crash leaves one of both.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from keys.keyfile import KeyFileError, read_entries

_HEADER = re.compile(r"[ \t]*\[(?!\[)[ \t]*([^\]]+?)[ \t]*\][ \t]*(?:#.*)?", re.ASCII)
#: What a value is written as: a basic string needs no escapes for these characters.
_PLAIN = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")
_BY_HAND = "cannot be edited by lines: change it by hand"
_BARE = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@contextlib.contextmanager
def locked(path: str | Path) -> Iterator[Path]:
    """Nobody else who uses this changes the file meanwhile. Gives what its links lead to.

    Raises `KeyFileError` where its folder cannot be opened.
    """
    real = Path(path).resolve()
    try:
        folder = os.open(real.parent, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be changed: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield real
    finally:
        os.close(folder)  # the lock goes with it


def put(path: Path, name: str, table: Mapping[str, str], *, replace: bool = False) -> None:
    """
    Add a key's table to a key file, or with `replace` put it in an old one's place.

    The caller holds `locked`. Raises `KeyFileError`: a name that is there, a file that cannot be
    edited or written. It is as it was then.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise KeyFileError(f"{path}: cannot be changed: {reason}") from None
    changed = edited(text, name, table, replace=replace, where=f"{path}")
    _write(path, changed.encode(), check=read_entries)


def edited(
    text: str,
    name: str,
    table: Mapping[str, str],
    *,
    replace: bool = False,
    where: str = "key file",
) -> str:
    """
    The text of a key file with a key's table added or put in an old one's place.

    Raises `KeyFileError` where the name is there already, and where the text does not let itself
    be edited by lines (a table written as `key = {…}`, strings over several lines).
    """
    before = _parsed(text, where)
    if name in before and not replace:
        raise KeyFileError(f"{where}: {name}: is there already")
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.splitlines(keepends=True)
    block = _written(name, table, newline)
    if name in before:
        start, end = _place(lines, name, where)
        changed = "".join([*lines[:start], block, *lines[end:]])
    else:
        gap = "" if not text else newline if text.endswith("\n") else newline * 2
        changed = f"{text}{gap}{block}"
    try:
        is_right = tomllib.loads(changed) == {**before, name: dict(table)}
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise KeyFileError(f"{where}: {name}: {_BY_HAND}")
    return changed


def _parsed(text: str, where: str) -> dict[str, object]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        raise KeyFileError(f"{where}: not TOML") from None


def _place(lines: list[str], name: str, where: str) -> tuple[int, int]:
    """From which line to before which one a table stands. Comments and blanks before the next
    table belong to that one.
    """
    headers = [
        (number, found[1])
        for number, line in enumerate(lines)
        if (found := _HEADER.fullmatch(line.rstrip("\r\n")))
    ]
    for index, (start, title) in enumerate(headers):
        if title.strip("\"'") == name:
            end = headers[index + 1][0] if index + 1 < len(headers) else len(lines)
            while end > start + 1 and (
                not lines[end - 1].strip() or lines[end - 1].lstrip()[0] == "#"
            ):
                end -= 1
            return start, end
    raise KeyFileError(f"{where}: {name}: {_BY_HAND}")


def _written(name: str, table: Mapping[str, str], newline: str) -> str:
    title = name if _BARE.fullmatch(name) else f'"{name}"'
    for field, value in table.items():
        if _PLAIN.fullmatch(value) is None:
            raise KeyFileError(
                f'{name}: {field}: only printing ASCII without " and \\ may stand in it'
            )
    rows = [f"[{title}]", *(f'{field} = "{value}"' for field, value in table.items())]
    return "".join(f"{row}{newline}" for row in rows)


def _write(path: Path, data: bytes, *, check: Callable[[Path], object]) -> None:
    """A new file takes the old one's place, with its mode and owner, once it is on the disk."""
    temporary: Path | None = None
    try:
        old = path.stat()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), old.st_mode & 0o7777)
            if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            os.fsync(file.fileno())
        check(temporary)
        temporary.replace(path)
        temporary = None
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
