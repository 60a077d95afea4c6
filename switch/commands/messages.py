"""Messages: in words, and played against a link."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click
import orjson

from specs.spec import SpecError
from specs.spec import load as load_spec
from switch.commands.base import EXIT_DIFFERENT, EXIT_REFUSED, Refusal, main, to_the_end
from switch.operate.replay import ReplayError
from switch.operate.replay.one_by_one import Player
from switch.operate.replay.scenario import form_of, read_capture, read_scenario
from switch.wire.describe import as_json
from switch.wire.describe import describe as in_words
from switch.wire.header import KINDS
from switch.wire.message import MessageError, decode


@main.command()
@click.argument("file", type=click.File("r", errors="replace"), default="-")
@click.option(
    "--dialect", default="iso87-ascii", show_default=True, help="How the bytes are laid out."
)
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
@click.option("--clear", is_flag=True, help="Show PANs and secrets: for test data only.")
def describe(file: TextIO, dialect: str, is_json: bool, clear: bool) -> None:
    """Say in words what messages are: lines of hex, without their frame header.

    Example: echo 3038303082200000… | switch describe
    """
    try:
        spec = load_spec(dialect)
    except SpecError as error:
        raise Refusal(str(error)) from None
    failed = 0
    for number, line in _lines(file):
        try:
            message = decode(bytes.fromhex(line), spec)
        except ValueError:
            problem = "not hex"
        except MessageError as error:
            problem = str(error)
        else:
            if is_json:
                click.echo(orjson.dumps(as_json(message, spec=spec, clear=clear)))
            else:
                click.echo(in_words(message, spec, clear=clear))
            continue
        failed += 1
        click.echo(f"switch: line {number}: {problem}", err=True)
    if failed:
        sys.exit(EXIT_REFUSED)


def _lines(file: TextIO) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(file, start=1):
        if stripped := line.strip():
            yield number, stripped


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--to", "address", default="127.0.0.1:8583", show_default=True, help="The link.")
@click.option("--dialect", default="iso87-ascii", show_default=True)
@click.option("--framing", default="2-byte", show_default=True)
@click.option(
    "--header",
    type=click.Choice(KINDS),
    default="none",
    show_default=True,
    help="What stands before each message; a capture has it too.",
)
@click.option("--header-hex", default="", help="Its bytes: ours, of a fixed header or a TPDU.")
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--mti", multiple=True, help="Compare only these (may be given several times).")
@click.option("--expect", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="With a capture: the scenario that says what is expected.")  # fmt: skip
def replay(
    file: Path, address: str, dialect: str, framing: str, header: str, header_hex: str,
    timeout: float,
    mti: tuple[str, ...], expect: Path | None,
) -> None:  # fmt: skip
    """Play a scenario (.jsonl) or a capture (.pcap) against a link and say what was right.

    Example: switch replay scenario.jsonl
    """
    try:
        spec, form = load_spec(dialect), form_of(framing, header, header_hex)
        if file.suffix == ".jsonl":
            steps = read_scenario(file, spec)
        else:
            steps = read_capture(file, spec, form, expect)
        player = Player(address, spec, form, timeout=timeout)
    except (SpecError, ReplayError) as error:
        raise Refusal(str(error)) from None
    result = to_the_end(player.play(steps, only=mti))
    for line in result.lines:
        click.echo(line)
    click.echo(result.summary)
    if steps and mti and not result.right + result.different:
        raise Refusal(f"nothing of {', '.join(mti)} is in {file}")
    if result.different:
        sys.exit(EXIT_DIFFERENT)
