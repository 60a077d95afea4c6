"""Why one message was answered as it was."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import asyncpg
import click
import orjson

from switch import prepare
from switch.commands.base import Refusal, config_option, main, settings_of, to_the_end
from switch.commands.schema import check_schema
from switch.ledger.history import SESSION, STATEMENT_SECONDS
from switch.ledger.primary import connect
from switch.operate.why import (
    Explanation,
    Found,
    NotRecorded,
    QueryError,
    explain,
    search,
)
from switch.operate.why.line import logged, steps_in
from switch.operate.why.page import log_table, page, table
from switch.operate.why.search import spellings

#: Messages that a list shows.
LISTED = 20
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"([1-9][0-9]{0,3})([mhdw])")


def _span(context: Any, parameter: Any, given: str) -> timedelta:
    span = _SPAN.fullmatch(given)
    if span is None:
        raise click.BadParameter("a number and m, h, d or w: 90m, 12h, 2d, 6w")
    return timedelta(**{_UNITS[span[2]]: int(span[1])})


def _digits(context: Any, parameter: Any, given: str | None) -> str | None:
    if given is not None and re.fullmatch(r"[0-9]{4}", given) is None:
        raise click.BadParameter("four digits")
    return given


@main.command()
@click.argument("number", metavar="RRN|STAN|CODE|LAST-FOUR")
@click.option("--last-four", callback=_digits, help="Only of cards that end so.")
@click.option("--since", "span", default="2d", show_default=True, callback=_span,
              help="How far back: 90m, 12h, 2d, 6w.")  # fmt: skip
@click.option("--log", type=click.File("rb"),
              help="The switch's log, - for standard input: where the time went.")  # fmt: skip
@click.option("--nth", type=click.IntRange(1, LISTED), help="Which one of several.")
@click.option("--json", "is_json", is_flag=True, help="The same for machines.")
@config_option
def why(
    number: str, last_four: str | None, span: timedelta, log: BinaryIO | None, nth: int | None,
    is_json: bool, config: Path | None,
) -> None:  # fmt: skip
    """Explain one message: what came, what was asked in policy order, who refused, what followed.

    It is found by its RRN, STAN, authorization code, or the last four digits of its card.

    Example: switch why 632608000003 --log switch.log
    """
    settings = settings_of(config)
    since = datetime.now(UTC) - span

    async def work() -> Explanation | list[Found]:
        async with prepare.database(settings, prepare=check_schema) as url:
            with _refusing():
                connection = await connect(url, server_settings=SESSION)
                try:
                    found = await search(connection, number, since, LISTED, last_four=last_four)
                    found = found if nth is None else found[nth - 1 : nth]
                    if len(found) != 1:
                        return found
                    return await explain(connection, found[0].place)
                finally:
                    await connection.close()

    told: Explanation | list[Found] = to_the_end(work())
    if not told and log is not None and (lines := logged(log, spellings(number.strip()))):
        _from_log(lines, is_json)
        return
    if isinstance(told, list):
        _several(told, since, is_json)
        return
    if log is not None:
        told = told.with_steps(steps_in(log, told.message, told.received_at))
    click.echo(orjson.dumps(told.as_json()) if is_json else "\n".join(page(told)))


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except (QueryError, NotRecorded) as error:
        raise Refusal(str(error)) from None
    except asyncpg.QueryCanceledError:
        raise Refusal(
            f"the search took longer than {STATEMENT_SECONDS:.0f}s and was ended: look less far "
            "back, with --since, by the RRN, or with --last-four"
        ) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Refusal(f"the database does not answer: {reason}") from None


def _from_log(lines: list[Mapping[str, Any]], is_json: bool) -> None:
    """What the log has where nothing is recorded."""
    if is_json:
        click.echo(orjson.dumps(lines))
        return
    for line in log_table(lines):
        click.echo(line)
    click.echo("only the log has it: 30, 63, 91 and 96 are no decisions, and nothing is recorded")


def _several(found: list[Found], since: datetime, is_json: bool) -> None:
    """A list to choose from; what answers to nothing is refused."""
    if not found:
        raise Refusal(
            f"nothing since {since:%Y-%m-%d %H:%M}Z, neither among the messages of our cards and "
            "of suspense accounts nor among those refused for an unknown card: look further "
            "back with --since, or, as 30, 63, 91 and 96 are not recorded, in the log with --log"
        )
    if is_json:
        click.echo(orjson.dumps([one.as_json() for one in found]))
        return
    for number, line in enumerate(table(found), start=1):
        click.echo(f"{number:>3}  {line}")
    more = ", or more" if len(found) == LISTED else ""
    click.echo(
        f"{len(found)}{more} messages: choose one with --nth, or by RRN, --last-four, --since"
    )
