"""Rules: what a period would have been under others."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson

from switch import prepare
from switch.commands.base import Refusal, main, to_the_end
from switch.commands.operator import checked, looking, progress
from switch.commands.schema import check_schema
from switch.operate.issuing_values import ValueProblem
from switch.operate.trial import (
    Outcome,
    Period,
    Rules,
    TrialError,
    as_json,
    read_rules,
    report,
    scratch_database,
    try_rules,
)
from switch.operate.trial.trial import Progress
from switch.settings import Settings

_EXAMPLES_MOST = 1_000_000
#: Nothing was recorded before; much earlier there are no moments to count back from.
_YEAR_LEAST = 1970


def _moment(text: str) -> datetime:
    """A moment: ISO 8601; a date is its first moment; UTC, unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueProblem("must be like 2026-11-22, or 2026-11-22T18:00+01:00") from None
    if moment.year < _YEAR_LEAST:
        raise ValueProblem(f"must be in {_YEAR_LEAST} or later")
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@main.group()
def rules() -> None:
    """Rules: try limits and controls on what was recorded, before cards have them.

    Example: switch rules try lower-cash.toml --from 2026-11-22 --to 2026-11-23
    """


@rules.command("try")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--from",
    "begin",
    required=True,
    callback=checked(_moment),
    help="When the period begins: 2026-11-22, 2026-11-22T18:00+01:00. UTC without a zone.",
)
@click.option("--to", "end", callback=checked(_moment),
              help="Before when it ends; now where it is not given.")  # fmt: skip
@click.option(
    "--examples",
    type=click.IntRange(0, _EXAMPLES_MOST),
    default=20,
    show_default=True,
    help="How many that differ are listed.",
)
@click.option("--json", "is_json", is_flag=True, help="One JSON object instead of a page.")
@click.option(
    "--scratch",
    metavar="URL",
    help="An empty Postgres database to play in, which is "
    "left as it is afterwards; else a server of its own is started, and goes.",
)
@looking
def try_(
    settings: Settings, path: Path, begin: datetime, end: datetime | None, examples: int,
    is_json: bool, scratch: str | None,
) -> None:  # fmt: skip
    """Tell what a period would have been under other limits and controls.

    The recorded messages are played again in a scratch database, by the same functions that decide.
    The live database is only read, in one snapshot. FILE is TOML: docs/rules.md.

    Example: switch rules try lower-cash.toml --from 2026-11-22 --to 2026-11-23
    """
    now = datetime.now(UTC)
    period = Period(begin, now if end is None else end)
    if period.end > now:
        raise Refusal("--to: lies in the future")
    if period.begin >= period.end:
        raise Refusal("--from: must be before --to")

    tried = _read(path)

    async def work() -> Outcome:
        with _ended_as_by_ctrl_c():
            return await play()

    async def play() -> Outcome:
        async with (
            prepare.database(settings, prepare=check_schema) as url,
            scratch_database(scratch) as playing,
        ):
            with _telling() as tell:
                return await try_rules(
                    url, playing, period, tried, examples=examples, progress=tell
                )

    try:
        outcome: Outcome = to_the_end(work())
    except TrialError as error:
        raise Refusal(str(error)) from None
    if is_json:
        click.echo(orjson.dumps(as_json(outcome), option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(report(outcome, tried)))


def _read(path: Path) -> Rules:
    try:
        return read_rules(path)
    except TrialError as error:
        raise Refusal(str(error)) from None


@contextmanager
def _ended_as_by_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end it in good order: nothing is left behind."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    is_ended = False

    def end() -> None:
        nonlocal is_ended
        if task is not None and not is_ended:  # once: a second must not cut short the end itself
            is_ended = task.cancel()

    # nohup means that a hang-up is to be ignored.
    heeded = [number for number in (signal.SIGTERM, signal.SIGHUP)
              if signal.getsignal(number) is not signal.SIG_IGN]  # fmt: skip
    for number in heeded:
        loop.add_signal_handler(number, end)
    try:
        yield
    except asyncio.CancelledError:
        if is_ended:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)


@contextmanager
def _telling() -> Iterator[Progress]:
    """How far it is: one bar after the other, each for what is being done."""
    with ExitStack() as stack:
        what, advance = "", None

        def tell(doing: str, things: str, done: int, of: int) -> None:
            nonlocal what, advance
            if doing != what:
                stack.close()
                what, advance = doing, stack.enter_context(progress(doing, of, things))
            assert advance is not None  # noqa: S101 - it is that of what is being done
            advance(done)

        yield tell
