"""Messages in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TextIO

import click
import orjson

from specs.spec import SpecError
from specs.spec import load as load_spec
from switch.commands.base import EXIT_REFUSED, Refusal, main
from switch.wire.describe import as_json
from switch.wire.describe import describe as in_words
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
