"""The log, for people: of a file, of standard input, of a running switch."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click

from switch.commands.base import FiniteRange, Refusal, config_option, main, settings_of
from switch.operate.tail.files import READ_MAX, Followed, backwards, whole_until
from switch.operate.tail.layout import HEADER, layout
from switch.operate.tail.lines import Entry, Lines, parse
from switch.operate.tail.remote import Place, Remote, RemoteError
from switch.operate.tail.wanted import DECLINED, LEVELS, Wanted
from switch.rules.reason import Reason

#: How often a file that is followed is looked at, in seconds.
POLL_S = 0.1
#: How long a switch that went away is left alone before it is tried again, in seconds.
AGAIN_S = 1.0
#: Lines that are shown of a file, where nobody says how many.
LINES = 10
STANDARD_INPUT = "-"
_LAST_FOUR = 4

#: Lines as they come, some at a time: what came together is shown together.
Batches = Iterator[Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Shown:
    """How lines are shown."""

    is_wide: bool
    is_json: bool
    has_colour: bool


def _reasons(_: Any, __: Any, given: Sequence[str]) -> frozenset[str]:
    unknown = set(given) - {"approved", DECLINED, *Reason}
    if unknown:
        raise click.BadParameter("it is none of docs/logs.md; approved and declined are two")
    return frozenset(given)


def _last_four(_: Any, __: Any, given: str) -> str:
    if given and not (len(given) == _LAST_FOUR and given.isascii() and given.isdigit()):
        raise click.BadParameter("the last four digits, and no more of a card")
    return given


@main.command()
@click.argument("source", metavar="[FILE|-|URL]", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is added to the file.")
@click.option("-n", "--lines", type=click.IntRange(0), default=LINES, show_default=True,
              help="The last so many of a file that match.")  # fmt: skip
@click.option("--link", "links", multiple=True, help="Only this link (may be given several times).")
@click.option("--reason", "reasons", multiple=True, callback=_reasons,
              help="Only this reason; 'declined' is any refusal (several times).")  # fmt: skip
@click.option("--card", "last_four", default="", callback=_last_four, help="Its last four digits.")
@click.option("--rrn", default="", help="DE37.")
@click.option("--stan", default="", help="DE11.")
@click.option("--slower-than", "slower_ms", type=FiniteRange(0),
              help="Messages that took more milliseconds.")  # fmt: skip
@click.option("--level", type=click.Choice(LEVELS), help="This one and above.")
@click.option("--messages", "kind", flag_value="messages", help="Messages only.")
@click.option("--events", "kind", flag_value="events", help="Events only.")
@click.option("--compact", "is_wide", flag_value=False, type=bool, default=False,
              help="A hundred columns, which is the default.")  # fmt: skip
@click.option("--wide", "is_wide", flag_value=True, type=bool, help="All that a line has.")
@click.option("--json", "is_json", is_flag=True, help="The lines that match, as they are.")
@click.option("--color", "--colour", "colour", type=click.Choice(("auto", "always", "never")),
              default="auto", help="auto: on a terminal, unless NO_COLOR is set.")  # fmt: skip
@click.option("--token-file", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              envvar="SWITCH_ADMIN__TOKEN_FILE", help="The token of the admin port.")  # fmt: skip
@click.option("--ca", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="Who vouches for the admin port's certificate.")  # fmt: skip
@config_option
def tail(
    source: str | None, *, follow: bool, lines: int, links: Sequence[str],
    reasons: frozenset[str], last_four: str, rrn: str, stan: str, slower_ms: float | None,
    level: str | None, kind: str | None, is_wide: bool, is_json: bool, colour: str,
    token_file: Path | None, ca: Path | None, config: Path | None,
) -> None:  # fmt: skip
    """Show a log for people: a file's last lines, standard input, or a running switch.

    Without a source it is standard input where something is piped in, else the switch on this
    machine, by its admin.listen. What a running switch wrote before is not shown.

    Example: switch tail -f switch.log --reason declined

    Example: switch tail http://127.0.0.1:8580 --slower-than 50
    """
    wanted = Wanted(
        frozenset(links), reasons, last_four, rrn, stan, slower_ms, level or "", kind or ""
    )
    is_terminal = sys.stdout.isatty()
    has_colour = colour == "always" or (
        colour == "auto" and is_terminal and "NO_COLOR" not in os.environ
    )
    source = source or _source_of(config)
    if "://" in source:
        batches = _of_switch(source, token_file, ca)
    elif source == STANDARD_INPUT:
        batches = _of_stream(cast("BufferedReader", sys.stdin.buffer).read1)
    else:
        batches = _of_file(Path(source), wanted, lines, is_followed=follow)
    if is_terminal and not is_wide and not is_json:
        click.echo(HEADER)
    _show(batches, wanted, Shown(is_wide, is_json, has_colour))


def _source_of(config: Path | None) -> str:
    if sys.stdin and not sys.stdin.isatty():
        return STANDARD_INPUT
    admin = settings_of(config).admin
    if admin.listen is None:
        raise Refusal("admin.listen is off: name a file, or pipe the log in")
    return f"{'http' if admin.tls.certificate is None else 'https'}://{admin.listen}"


def _show(batches: Batches, wanted: Wanted, how: Shown) -> None:
    """Write what is wanted, each batch at once. A reader that goes ends it."""
    line_of = layout(is_wide=how.is_wide, has_colour=how.has_colour)
    out = sys.stdout.buffer
    try:
        for batch in batches:
            entries = [entry for entry in map(parse, batch) if wanted.matches(entry)]
            shown = _as_json(entries) if how.is_json else [line_of(e).encode() for e in entries]
            if shown:
                out.write(b"\n".join(shown) + b"\n")
                out.flush()
    except BrokenPipeError:
        # Nobody reads; Python would try to write the rest once more, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
    except KeyboardInterrupt:
        raise click.Abort from None


def _as_json(entries: Iterable[Entry]) -> list[bytes]:
    return [entry.raw for entry in entries if entry.fields is not None]


def _of_stream(read: Callable[[int], bytes]) -> Batches:
    """What can be read once, to its end."""
    lines = Lines()
    while data := read(READ_MAX):
        yield lines.feed(data)
    yield [half] if (half := lines.end()) else []


def _of_file(path: Path, wanted: Wanted, count: int, *, is_followed: bool) -> Batches:
    """The last lines that are wanted, then those that are added."""
    try:
        followed = Followed(path)
    except OSError as error:
        raise Refusal(f"{path}: {error.strerror}") from None
    try:
        file = followed.file
        if not file.seekable():
            yield from _of_stream(file.read)
            return
        whole = whole_until(file)
        end = whole if is_followed else file.seek(0, os.SEEK_END)
        matching = (line for line in backwards(file, end) if wanted.matches(parse(line)))
        yield reversed(list(islice(matching, count)))
        file.seek(whole)
        while is_followed:
            lines = followed.more()
            yield lines
            if not lines:
                time.sleep(POLL_S)
    finally:
        followed.close()


def _of_switch(url: str, token_file: Path | None, ca: Path | None) -> Batches:
    """The lines of a running switch; one that goes away is waited for."""
    try:
        token = token_file.read_text().strip() if token_file else ""
        place = Place.parse(url)
        remote = Remote(place, token=token, ca=ca)
        yield from remote.lines()
        while True:
            click.echo(f"switch: {place} has ended its log; trying again", err=True)
            yield from _once_it_is_back(remote)
    except (RemoteError, OSError) as error:
        raise Refusal(str(error)) from None


def _once_it_is_back(remote: Remote) -> Batches:
    while True:
        time.sleep(AGAIN_S)
        try:
            yield from remote.lines()
        except RemoteError:
            continue
        return
