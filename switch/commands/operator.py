"""What the operator's commands share: who and why, a connection, progress, a PAN that is typed."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import click

from keys.vault import Vault
from switch import prepare
from switch.commands.base import Refusal, config_option, settings_of, to_the_end
from switch.commands.schema import check_schema
from switch.ledger.imports import FileRefused, Progress
from switch.ledger.ledger import PARTITION_MONTHS_AHEAD
from switch.ledger.operators import Actor, OperatorRefusal, Operators, operators
from switch.ledger.primary import connect
from switch.ledger.queries import QUERIES
from switch.operate import issuing_values as values
from switch.operate.issuing_csv import FileError
from switch.operate.issuing_values import ValueProblem
from switch.settings import OPERATOR_VARIABLE, Settings
from switch.wire.major_units import AmountError, to_minor

T = TypeVar("T")

#: Lines of a file between two lines of progress, where nobody looks at a bar.
TOLD_EVERY = 10_000


def checked(parse: Callable[[str], T]) -> Callable[[Any, Any, Any], Any]:
    """A callback of click that reads an option's text, or each of its texts."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueProblem as error:
            raise click.BadParameter(str(error)) from None

    def callback(context: Any, parameter: Any, given: Any) -> Any:
        if isinstance(given, tuple):
            return tuple(read(text) for text in given)
        return None if given is None else read(given)

    return callback


def _who(context: Any, parameter: Any, given: str) -> str:
    if not given.strip():
        raise Refusal(f"say who does it: --by, or the variable {OPERATOR_VARIABLE}")
    who: str = checked(values.words)(context, parameter, given)
    return who


def looking(function: Callable[..., None]) -> Callable[..., None]:
    """A command that reads: it gets `settings`."""

    @config_option
    @functools.wraps(function)
    def command(*, config: Path | None, **options: Any) -> None:
        function(settings=settings_of(config), **options)

    return command


def changing(function: Callable[..., None]) -> Callable[..., None]:
    """A command that changes something: it gets `settings`, and as `actor` who does it and why."""

    @click.option(
        "--by", "operator", envvar=[OPERATOR_VARIABLE, "USER"], default="", show_default=False,
        callback=_who, help="Who does it; else $SWITCH_OPERATOR, else $USER.",
    )  # fmt: skip
    @click.option(
        "--reason", required=True, callback=checked(values.words),
        help="Why: it is recorded with the change.",
    )  # fmt: skip
    @looking
    @functools.wraps(function)
    def command(*, operator: str, reason: str, **options: Any) -> None:
        function(actor=Actor(operator, reason), **options)

    return command


def vault_of(settings: Settings) -> Vault:
    """The vault of the settings' keys. Where KMS has some and does not answer, that is refused."""

    async def work() -> Vault:
        return await prepare.vault_of(settings, prepare.read_keys(settings))

    vault: Vault = to_the_end(work())
    return vault


def at_desk(
    settings: Settings, work: Callable[[Operators], Awaitable[T]], *, vault: Vault | None = None
) -> T:
    """Do something with the ledger, beside a running switch or without one.

    With a vault, one that is not that of the ledger's cards is refused first.
    """

    async def run() -> T:
        async with prepare.database(settings, prepare=_prepare) as url:
            if vault is not None:
                await prepare.check_vault(url, vault)
            try:
                async with operators(url) as desk:
                    return await work(desk)
            except (OperatorRefusal, FileError) as error:
                raise Refusal(str(error)) from None

    done: T = to_the_end(run())
    return done


async def _prepare(url: str) -> None:
    """A schema that is behind is refused; this month has its partitions, and events numbers that
    none ever had, switch or no switch.
    """
    await check_schema(url)
    connection = await connect(url)
    try:
        await connection.execute(QUERIES["renumber_events"])
        # Behind a long reader: a month that is missing is then told by the posting itself.
        with contextlib.suppress(asyncpg.LockNotAvailableError):
            await connection.execute(QUERIES["make_partitions"], PARTITION_MONTHS_AHEAD)
    finally:
        await connection.close()


def read_pan() -> str:
    """A PAN from a prompt without echo, or from standard input: never from the command line."""
    if sys.stdin.isatty():
        text = str(click.prompt("PAN", hide_input=True, err=True))
    else:
        text = sys.stdin.buffer.readline().decode("ascii", "replace")
    try:
        return values.pan(text.strip().replace(" ", ""))
    except ValueProblem as error:
        raise Refusal(f"PAN: {error}") from None


def minor(text: str, currency: str) -> int:
    """An amount as it was typed, in minor units of an account's currency."""
    try:
        return to_minor(text, currency)
    except AmountError as error:
        raise Refusal(f"amount: {error}") from None


@contextlib.contextmanager
def progress(label: str, length: int, things: str = "lines") -> Iterator[Progress]:
    """How far a long work is: a bar on a terminal, else a line now and then."""
    if sys.stderr.isatty():
        with click.progressbar(
            length=length, label=label, file=sys.stderr, update_min_steps=1_000
        ) as bar:
            yield lambda done: bar.update(done - bar.pos)
        return
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done - told >= TOLD_EVERY:
            told = done
            click.echo(f"{label}: {done} of {length} {things}", err=True)

    yield tell


@contextlib.contextmanager
def refusing_files(path: Path) -> Iterator[None]:
    """Tell what is wrong with a file, a line each, and refuse it whole."""
    try:
        yield
    except FileError as error:
        raise Refusal(str(error)) from None
    except FileRefused as error:
        problems = error.problems
        for problem in problems.shown:
            click.echo(f"switch: {path}: {problem}", err=True)
        more = problems.of_all - len(problems.shown)
        and_more = f", of which {more} are not shown" if more else ""
        raise Refusal(
            f"{path}: {problems.of_all} problems{and_more}: nothing is imported"
        ) from None


def line_count(path: Path) -> int:
    """How many lines a file has."""
    try:
        with path.open("rb") as file:
            return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    except OSError as error:
        raise Refusal(f"{path}: cannot be read: {error.strerror}") from None
