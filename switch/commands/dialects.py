"""Dialects: which there are, and whether one's own makes sense."""

from __future__ import annotations

from pathlib import Path

import click

from specs.spec import Spec, SpecError, known
from specs.spec import load as load_spec
from specs.where import line_of
from switch.commands.base import Refusal, main
from switch.rules.reason import Reason
from switch.wire.mti import VERSIONS


@main.group(invoke_without_command=True)
@click.pass_context
def dialects(context: click.Context) -> None:
    """List the dialects that a link, `describe` and `replay` may name.

    Example: switch dialects
    """
    if context.invoked_subcommand is None:
        for name in known():
            click.echo(in_a_line(load_spec(name)))


@dialects.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path) -> None:
    """Say whether a dialect of your own makes sense, and if not, why and in which line.

    Example: switch dialects check mine.toml
    """
    if file.suffix != ".toml":
        raise Refusal(f"{file}: a dialect is a .toml file")
    try:
        spec = load_spec(str(file))
    except SpecError as error:
        if (line := line_of(file, str(error))) is None:
            raise Refusal(str(error)) from None
        reason = str(error).removeprefix(f"{file}: ")
        raise Refusal(f"{file}, line {line}: {reason}") from None
    if missing := sorted({reason.value for reason in Reason} - spec.response_codes.rows.keys()):
        raise Refusal(f"{file}: response_codes: {', '.join(missing)} missing: no link can use it")
    click.echo(in_a_line(spec))


def in_a_line(spec: Spec) -> str:
    """A dialect's name, its version of the standard, and how it begins on the wire."""
    how = {"b": "packed", "ascii": "ASCII"}
    mti, bitmap = (spec.codec[key]["data_enc"] for key in "tp")
    bitmaps = "raw" if bitmap == "b" else "hex"
    return (
        f"{spec.name:<18} ISO 8583:{VERSIONS.get(spec.version, '?')}  "
        f"{len(spec.fields)} fields, MTI {how.get(mti, 'EBCDIC')}, bitmaps {bitmaps}, "
        f"DE39 of {spec.fields[39].length}"
    )
