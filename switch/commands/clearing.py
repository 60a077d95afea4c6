"""Clearing: files of presentments come in, and what became of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import click

from switch.commands.base import Refusal, main
from switch.commands.operator import (
    at_desk,
    checked,
    line_count,
    looking,
    progress,
    refusing_files,
    vault_of,
)
from switch.ledger.clearing import import_clearing
from switch.ledger.clearing_views import FileView, clearing_files, view_clearing_file
from switch.ledger.operators import Operators
from switch.operate import issuing_values as values
from switch.operate.clearing_csv import file_id_of, read_clearing
from switch.operate.issuing_csv import FileError
from switch.settings import OPERATOR_VARIABLE, Settings
from switch.wire.currency import in_units

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
#: Records that are listed at the end of an import.
_LISTED = 20
#: Digits of a file's number that are shown, and the fewest that name one.
_SHOWN, _FEWEST = 12, 6
_NUMBER = re.compile(rf"[0-9a-f]{{{_FEWEST},64}}")


def _who(context: Any, parameter: Any, given: str) -> str:
    if not given.strip():
        raise Refusal(f"say who does it: --by, or the variable {OPERATOR_VARIABLE}")
    who: str = checked(values.words)(context, parameter, given)
    return who


@main.group()
def clearing() -> None:
    """Clearing: import the files of presentments that schemes send, and look at what came of them.

    Example: switch clearing import 2026-05-31.csv
    """


@clearing.command("import")
@click.argument("path", metavar="FILE", type=_FILE)
@click.option(
    "--by", "operator", envvar=[OPERATOR_VARIABLE, "USER"], default="", show_default=False,
    callback=_who, help="Who does it; else $SWITCH_OPERATOR, else $USER.",
)  # fmt: skip
@looking
def import_(settings: Settings, path: Path, operator: str) -> None:
    """Post the presentments of a CSV file. A file with a wrong line is refused whole.

    What was imported before, in this file or in another, is not posted again: an import that was
    stopped goes on where it was. No value of the file is shown, only lines and columns.

    Columns: kind, pan, scheme, reference, processing_code, amount, currency, and where they are
    known billing_amount, billing_currency, sequence, scheme_transaction_id, authorization_code,
    rrn, acquirer, terminal, merchant, merchant_name, mcc, country, transacted_at.

    Example: switch clearing import 2026-05-31.csv
    """
    vault = vault_of(settings)
    with refusing_files(path), progress("reading", line_count(path)) as tell:
        file = read_clearing(path, vault, progress=tell)
    with progress("posting", len(file.records)) as tell:

        async def work(desk: Operators) -> tuple[int, FileView]:
            booked = await import_clearing(desk.connection, file, operator=operator, progress=tell)
            view = await view_clearing_file(desk.connection, file.file_id, most=_LISTED)
            return booked, view

        booked, view = at_desk(settings, work, vault=vault)
    before = len(file.records) - booked
    rest = f", {before} had been before" if before else ""
    click.echo(f"{view.name}: {booked} records are imported{rest}")
    click.echo("\n".join(_page(view)))


@clearing.command()
@click.argument("file", metavar="FILE|ID")
@click.option("--most", type=click.IntRange(1), default=1_000, show_default=True,
              help="Records that are listed.")  # fmt: skip
@looking
def show(settings: Settings, file: str, most: int) -> None:
    """Show what became of a file: sums by outcome, and the records that somebody should look at.

    ID is its number, or how that begins, as import and list tell it.

    Example: switch clearing show 2026-05-31.csv
    """

    async def work(desk: Operators) -> FileView:
        return await view_clearing_file(desk.connection, _file_of(file), most=most)

    click.echo("\n".join(_page(at_desk(settings, work))))


@clearing.command("list")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True,
              help="Files that are listed.")  # fmt: skip
@looking
def list_(settings: Settings, most: int) -> None:
    """List the files that were imported, the newest first.

    Example: switch clearing list
    """

    async def work(desk: Operators) -> list[asyncpg.Record]:
        return await clearing_files(desk.connection, most)

    for row in at_desk(settings, work):
        click.echo(f"{row['file_id'].hex()[:_SHOWN]}  {_state(row)}  {row['name']}")


def _file_of(text: str) -> bytes | str:
    """The number of a file that is here; else how the number of one begins."""
    if os.path.lexists(text):
        try:
            return file_id_of(Path(text))
        except FileError as error:
            raise Refusal(str(error)) from None
    if not _NUMBER.fullmatch(text):
        raise Refusal(
            f"FILE|ID: there is no such file here; of a number that `switch clearing list` tells, "
            f"give the first {_FEWEST} digits or more"
        )
    return text


def _page(view: FileView) -> Iterator[str]:
    yield f"file         {view.name} ({view.file_id.hex()[:_SHOWN]})"
    yield f"imported     {_state(view.row)}, by {view.row['operator']}"
    for row in view.outcomes:
        moved = in_units(row["moved_minor"], row["currency"])
        yield f"{row['kind']:<18} {row['outcome']:<14} {row['count']:>8}  moved {moved}"
    if view.exceptions:
        yield "to be looked at"
    for row in view.exceptions:
        yield _exception(row)
    if view.more:
        yield f"  and {view.more} more: see `switch clearing show --most`"


def _exception(row: Any) -> str:
    asked = ""
    if row["transaction_minor"] is not None:
        asked = in_units(row["transaction_minor"], row["transaction_currency"])
    moved = in_units(row["moved_minor"], row["currency"])
    card = f" …{row['pan_last_four']}" if row["pan_last_four"] else ""
    return (
        f"  line {row['line']}: {row['kind']} {row['outcome']}: {asked}, moved {moved}, "
        f"{row['account']}{card}, reference {row['reference']}"
    )


def _state(row: Any) -> str:
    began = f"{row['began_at']:%Y-%m-%d %H:%M:%S} UTC"
    if row["finished_at"] is not None:
        return f"{began}, {row['lines']} records"
    return f"{began}, {row['settled']} of {row['lines']} records: import it again"
