"""
Secrets that somebody types: read from the terminal byte by byte, unseen, into memory that is wiped.

No text of it is ever made: Python's strings cannot be overwritten. What the terminal's driver and
the screen's own program keep is theirs.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager

import click

from keys.ceremony import wipe
from switch.commands.base import Refusal

_ENTER, _BACKSPACE, _ERASE_LINE, _END = b"\r\n", b"\b\x7f", b"\x15", b"\x04"
_SPACES = b" -"


def require_terminal() -> None:
    """Refuse where nobody sits: a component is typed, and comes from no file or pipe."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Refusal("components are typed by persons at a terminal: there is none here")


def read_hex(label: str, size: int) -> bytearray | None:
    """So many bytes as hexadecimal digits, typed unseen; none for anything else.

    Blanks and hyphens between digits are nothing. The caller wipes what it gets.
    """
    digits = bytearray(2 * size)  # it never grows: growing would leave a copy behind
    count = 0
    try:
        with _unseen(sys.stdin.fileno()) as keys:
            click.echo(f"{label}: ", err=True, nl=False)  # not before nothing is echoed any more
            for key in keys:
                if key in _ENTER:
                    break
                if key in _END:
                    raise click.Abort
                if key in _BACKSPACE:
                    count = max(count - 1, 0)
                elif key in _ERASE_LINE:
                    count = 0
                elif key not in _SPACES:
                    if count < len(digits):
                        digits[count] = key[0]
                    count += 1
        return _bytes_of(digits) if count == len(digits) else None
    finally:
        wipe(digits)
        click.echo(err=True)


def _bytes_of(digits: bytearray) -> bytearray | None:
    value = bytearray(len(digits) // 2)
    for index, digit in enumerate(digits):
        nibble = b"0123456789ABCDEF".find(bytes([digit]).upper())
        if nibble < 0:
            wipe(value)
            return None
        value[index // 2] = value[index // 2] << 4 | nibble
    return value


@contextmanager
def _unseen(terminal: int) -> Iterator[Iterator[bytes]]:
    """The keys that are pressed, one at a time; nothing is echoed, and no line is kept."""
    before = termios.tcgetattr(terminal)
    silent = termios.tcgetattr(terminal)
    silent[3] &= ~(termios.ECHO | termios.ICANON)  # signals stay: Ctrl-C ends it
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        yield iter(lambda: os.read(terminal, 1) or _END, None)
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
