"""
A page of documentation as steps that can be taken, in the order of the page.

    ```console      commands, each after "$ ", and under it what it prints
    ```sh           one script; what it prints stands in a ```text fence right after it
    ```toml         where its first line is "# NAME": that file, with this text

Before a fence a comment that the rendered page does not show may say what else it is:

    <!-- walk: terminal NAME until TEXT -->   runs in a terminal of its own; goes on at TEXT there
    <!-- walk: NAME says -->                  what that terminal comes to show, in this order
    <!-- walk: not here, WHY -->              is for reading

and without a fence `<!-- walk: Ctrl-C NAME -->` interrupts a terminal and waits for its end. All
other fences are for reading. In what is printed, "…" stands for any text of a line, and a line of
its own for any lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

PROMPT = "$ "

_HEADING = re.compile(r"#{1,6} +(?P<text>.+)")
_FENCE = re.compile(r"(?P<ticks>```+)(?P<language>[a-z0-9]*)\s*")
_MARK = re.compile(r"<!-- walk: (?P<text>.+) -->")
_NAMES_FILE = re.compile(r"# (?P<path>[\w./-]*\w\.\w+)")
_TERMINAL = re.compile(r"terminal (?P<name>\w+) until (?P<until>.+)")
_SAYS = re.compile(r"(?P<name>\w+) says")
_INTERRUPT = re.compile(r"Ctrl-C (?P<name>\w+)")
_NOT_HERE = re.compile(r"not here, .+")


class PageError(ValueError):
    """A page cannot be walked through: one line that names where."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do, at a line of the page, under a heading of it."""

    section: str
    line: int


@dataclass(frozen=True, slots=True)
class Command(Step):
    """Type this, and see that printed."""

    text: str
    printed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Write(Step):
    """Write a file."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Open(Step):
    """Type this in a terminal of its own, where it runs on; wait for a text there."""

    name: str
    text: str
    until: str


@dataclass(frozen=True, slots=True)
class Says(Step):
    """See these lines come in a terminal."""

    name: str
    printed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Interrupt(Step):
    """Press Ctrl-C in a terminal."""

    name: str


@dataclass(frozen=True, slots=True)
class _Fence:
    """A fenced block, with the mark before it."""

    section: str
    line: int
    language: str
    body: tuple[str, ...]
    mark: str = ""
    is_next: bool = False  # nothing but blank lines stands between the fence before and this one


def steps_of(page: str) -> list[Step]:
    """The steps of a page in Markdown. Raises `PageError` for what cannot be one."""
    steps: list[Step] = []
    script: Command | None = None  # whose output may be in the fence that follows
    for piece in _pieces(page):
        if isinstance(piece, Interrupt):
            steps.append(piece)
            continue
        if script is not None and piece.is_next and piece.language == "text" and not piece.mark:
            steps[-1] = Command(script.section, script.line, script.text, piece.body)
            script = None
            continue
        found = list(_steps_of_fence(piece))
        steps += found
        script = None
        if piece.language == "sh":
            script = next((step for step in found if isinstance(step, Command)), None)
    return steps


def _pieces(page: str) -> Iterator[_Fence | Interrupt]:
    """The fences of a page, with their marks, and the marks that stand alone."""
    section, mark, marked_at, is_next = "", "", 0, False
    lines = enumerate(page.splitlines(), start=1)
    for number, line in lines:
        if fence := _FENCE.fullmatch(line):
            body = []
            for _, inner in lines:
                if inner.rstrip() == fence["ticks"]:
                    break
                body.append(inner.rstrip())
            else:
                raise PageError(f"line {number}: the fence is not closed")
            yield _Fence(section, number, fence["language"], tuple(body), mark, is_next)
            mark, is_next = "", True
        elif found := _MARK.fullmatch(line.strip()):
            if interrupt := _INTERRUPT.fullmatch(found["text"]):
                yield Interrupt(section, number, interrupt["name"])
            else:
                mark, marked_at = found["text"], number
            is_next = False
        elif line.strip():
            if mark:
                raise PageError(f"line {marked_at}: no fence follows the mark")
            if heading := _HEADING.fullmatch(line):
                section = heading["text"]
            is_next = False
    if mark:
        raise PageError(f"line {marked_at}: no fence follows the mark")


def _steps_of_fence(fence: _Fence) -> Iterator[Step]:
    place = fence.section, fence.line
    if terminal := _TERMINAL.fullmatch(fence.mark):
        yield Open(*place, terminal["name"], _typed(fence), terminal["until"])
    elif says := _SAYS.fullmatch(fence.mark):
        yield Says(*place, says["name"], fence.body)
    elif _NOT_HERE.fullmatch(fence.mark):
        return
    elif fence.mark:
        raise PageError(f"line {fence.line}: there is no mark “{fence.mark}”")
    elif fence.language == "console":
        yield from _commands(fence)
    elif fence.language == "sh":
        yield Command(*place, "\n".join(fence.body))
    elif fence.body and (named := _NAMES_FILE.fullmatch(fence.body[0])):
        yield Write(*place, named["path"], "\n".join(fence.body) + "\n")


def _typed(fence: _Fence) -> str:
    """What is typed into a terminal of its own: a script, or one command after a prompt."""
    if fence.language != "console":
        return "\n".join(fence.body)
    commands = list(_commands(fence))
    if len(commands) != 1 or commands[0].printed:
        raise PageError(f"line {fence.line}: a terminal of its own takes one command")
    return commands[0].text


def _commands(fence: _Fence) -> Iterator[Command]:
    """The commands of a console: one ends where its line does not end with a backslash."""
    at, text, printed = 0, "", list[str]()
    for number, line in enumerate(fence.body, start=fence.line + 1):
        if text.endswith("\\"):
            text += f"\n{line}"
        elif line.startswith(PROMPT):
            if text:
                yield Command(fence.section, at, text, tuple(printed))
            at, text, printed = number, line.removeprefix(PROMPT), []
        elif text:
            printed.append(line)
        else:
            raise PageError(f"line {number}: a console begins with “{PROMPT}”")
    if not text:
        raise PageError(f"line {fence.line}: a console begins with “{PROMPT}”")
    yield Command(fence.section, at, text, tuple(printed))
