"""The `switch` command: what people type."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, TextIO

import asyncpg
import click
import orjson
import uvloop

from specs.spec import SpecError
from specs.spec import load as load_spec
from switch import app
from switch.demo import loader
from switch.ledger.migrate import migrate as migrate_database
from switch.operate.replay import Player, ReplayError, read_capture, read_scenario
from switch.settings import Settings, SettingsError
from switch.wire.describe import as_json
from switch.wire.describe import describe as in_words
from switch.wire.message import MessageError, decode

#: The key that makes the PIN values of cards for load tests.
PIN_KEY = "pvk"
EXIT_REFUSED, EXIT_DIFFERENT, EXIT_INTERRUPTED = 1, 2, 130


class _Refusal(click.ClickException):
    """One line that says what to do."""


class _Commands(click.Group):
    """A group whose every refusal, click's own included, is one line and an exit code."""

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = EXIT_REFUSED
        except click.ClickException as error:
            click.echo(f"switch: {' '.join(error.format_message().split())}", err=True)
            code = EXIT_REFUSED
        except click.Abort:
            code = EXIT_INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; a refusal is one line and an exit code, never a traceback."""
    try:
        return uvloop.run(work)
    except (*app.REFUSALS, app.StartError, ReplayError) as error:
        raise _Refusal(str(error)) from None
    except KeyboardInterrupt:
        raise click.Abort from None


def _settings(config: Path | None) -> Settings:
    try:
        return Settings.load(config)
    except SettingsError as error:
        raise _Refusal(str(error)) from None


_config = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="SWITCH_CONFIG",
    help="Settings file; without one, the demo's settings.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """An ISO 8583 authorization switch for card issuers.

    Example: switch run
    """


@main.command()
@_config
def run(config: Path | None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Example: switch run --config switch.toml
    """
    _run(app.run(_settings(config)))


@main.command()
@_config
def migrate(config: Path | None) -> None:
    """Bring the database's schema up to date. Running it twice changes nothing.

    Example: SWITCH_DATABASE__URL=postgresql://switch@db/switch switch migrate
    """

    async def apply(url: str) -> None:
        for name in await migrate_database(url):
            click.echo(f"applied {name}")

    async def work() -> None:
        async with app.database(_settings(config), prepare=apply):
            click.echo("the database is up to date")

    _run(work())


@main.group()
def demo() -> None:
    """The demo program: 22 published cards, and as many more as a load test wants.

    Example: switch demo reset
    """


@demo.command()
@_config
def reset(config: Path | None) -> None:
    """Forget everything in the database and load the demo's 22 cards.

    Example: switch demo reset
    """
    settings = _settings(config)

    async def work() -> int:
        async with app.database(settings, prepare=app.make_ready) as url:
            connection = await asyncpg.connect(url)
            try:
                return await loader.reset(
                    connection, app.vault_of(settings, app.read_keys(settings))
                )
            finally:
                await connection.close()

    click.echo(f"{_run(work())} demo cards are loaded")


@demo.command()
@click.option("--count", type=click.IntRange(1, 8_000_000), required=True, help="How many to add.")
@_config
def cards(count: int, config: Path | None) -> None:
    """Add cards for load tests, each on an account of its own, after those that are there.

    PAN 47617390 + a serial of seven digits from 1000001 + check digit, expiry 3012,
    service code 201, PIN 1234, 1,000,000.00 EUR, no limits.

    Example: switch demo cards --count 100000
    """
    settings = _settings(config)

    async def work(progress: Any) -> int:
        keys = app.read_keys(settings)
        if PIN_KEY not in keys:
            raise settings.refusal("hsm.keys", f"has no {PIN_KEY!r}, which the cards' PINs need")
        vault = app.vault_of(settings, keys)
        async with app.database(settings, prepare=app.make_ready) as url:
            connection = await asyncpg.connect(url)
            try:
                if await loader.is_empty(connection):  # their program is the demo's
                    await loader.reset(connection, vault)
                return await loader.add_load_cards(
                    connection, vault, keys[PIN_KEY], count, progress=progress
                )
            finally:
                await connection.close()

    with click.progressbar(
        length=count, label="cards", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        first = _run(work(lambda done: bar.update(done - bar.pos)))
    click.echo(f"{count} cards are added after {first}")


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
        raise _Refusal(str(error)) from None
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
@click.option("--timeout", default=5.0, show_default=True, help="Seconds to wait for an answer.")
@click.option("--mti", multiple=True, help="Compare only these (may be given several times).")
@click.option("--expect", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="With a capture: the scenario that says what is expected.")  # fmt: skip
def replay(
    file: Path, address: str, dialect: str, framing: str, timeout: float,
    mti: tuple[str, ...], expect: Path | None,
) -> None:  # fmt: skip
    """Play a scenario (.jsonl) or a capture (.pcap) against a link and say what was right.

    Example: switch replay scenario.jsonl
    """
    try:
        spec = load_spec(dialect)
        if file.suffix == ".jsonl":
            steps = read_scenario(file, spec)
        else:
            steps = read_capture(file, spec, framing, expect)
        player = Player(address, spec, framing, timeout=timeout)
    except (SpecError, ReplayError) as error:
        raise _Refusal(str(error)) from None
    result = _run(player.play(steps, only=mti))
    for line in result.lines:
        click.echo(line)
    click.echo(result.summary)
    if steps and mti and not result.right + result.different:
        raise _Refusal(f"nothing of {', '.join(mti)} is in {file}")
    if result.different:
        sys.exit(EXIT_DIFFERENT)
