"""What a page says is printed, held against what was."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

ANY = "…"


def is_as_told(told: Sequence[str], printed: str) -> bool:
    """Whether a text has these lines and no others; blanks at their ends count for nothing."""
    text = "".join(f"{line}\n" for line in lines_of(printed))
    return re.fullmatch("".join(map(_pattern, told)), text) is not None


def place_of(told: Sequence[str], lines: Sequence[str]) -> int | None:
    """Where these lines have all come, in this order among others; None where they have not."""
    at = 0
    for wanted in told:
        while at < len(lines) and not _fits(wanted, lines[at]):
            at += 1
        if at == len(lines):
            return None
        at += 1
    return at


def difference(told: Sequence[str], printed: str) -> Iterator[str]:
    """Lines that say what is other than told: "-" is missing, "+" was not told."""
    open_lines = [line for line in told if ANY in line.strip() and line.strip() != ANY]
    # What an open line allows is told as that line, so that it does not show as a difference.
    shown = [
        next((line for line in open_lines if _fits(line, found)), found)
        for found in lines_of(printed)
    ]
    yield from (line for line in difflib.ndiff(list(told), shown) if not line.startswith("?"))


def lines_of(text: str) -> list[str]:
    """A text's lines without the blanks at their ends, and without empty lines at its own."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _pattern(told: str) -> str:
    if told.strip() == ANY:
        return r"(?:[^\n]*\n)*?"
    return "[^\n]*?".join(map(re.escape, told.rstrip().split(ANY))) + "\n"


def _fits(told: str, line: str) -> bool:
    return re.fullmatch(_pattern(told), f"{line.rstrip()}\n") is not None
