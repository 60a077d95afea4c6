"""Serving, the schema, the demo."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from switch import app, prepare
from switch.commands.base import Refusal, config_option, main, settings_of, to_the_end
from switch.demo import loader
from switch.ledger.migrate import migrate as migrate_database
from switch.ledger.primary import connect
from switch.ledger.queries import QUERIES

#: The key that makes the PIN values of cards for load tests.
PIN_KEY = "pvk"


@main.command()
@config_option
def run(config: Path | None) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Example: switch run --config switch.toml
    """
    to_the_end(app.run(settings_of(config)))


@main.command()
@config_option
def check(config: Path | None) -> None:
    """Look whether settings, keys, dialects and certificates can be served, and touch nothing.

    Where the database answers it is told which programs approve without it.

    Example: switch check --config new.toml
    """
    settings = settings_of(config)
    to_the_end(app.check(settings))
    for link in settings.links:
        where = f"listens on {link.listen}" if link.listen else f"dials {link.connect}"
        click.echo(f"link {link.name}: {link.dialect}, {where}")
    for program in to_the_end(prepare.programs_there(settings)):
        if (lends := program.stand_in) is not None:
            click.echo(
                f"program {program.name}: approves without database, a process up to "
                f"{lends.total_minor} minor units, a card {lends.card_minor} in {lends.card_count}"
            )
    click.echo("this can be served, as far as it tells without database and HSM")


@main.command()
@config_option
def migrate(config: Path | None) -> None:
    """Bring the database's schema up to date. Running it twice changes nothing.

    Example: SWITCH_DATABASE__URL=postgresql://switch@db/switch switch migrate
    """

    async def apply(url: str) -> None:
        for name in await migrate_database(url):
            click.echo(f"applied {name}")

    async def work() -> None:
        async with prepare.database(settings_of(config), prepare=apply):
            click.echo("the database is up to date")

    to_the_end(work())


@main.group()
def demo() -> None:
    """The demo program: 22 published cards, and as many more as a load test wants.

    Example: switch demo reset
    """


@demo.command()
@click.option("--all", "is_all", is_flag=True, help="Also what operators did here.")
@config_option
def reset(config: Path | None, is_all: bool) -> None:
    """Forget everything in the database and load the demo's 22 cards. What operators created,
    imported or changed there keeps it from that, but for --all.

    Example: switch demo reset
    """
    settings = settings_of(config)

    async def work() -> int:
        vault = await prepare.vault_of(settings, prepare.read_keys(settings))
        async with prepare.database(settings, prepare=prepare.make_ready) as url:
            connection = await connect(url)
            try:
                if not is_all and await connection.fetchval(QUERIES["operators_worked"]):
                    raise Refusal("operators have worked in this database: --all forgets that too")
                return await loader.reset(connection, vault)
            finally:
                await connection.close()

    click.echo(f"{to_the_end(work())} demo cards are loaded")


@demo.command()
@click.option("--count", type=click.IntRange(1, 8_000_000), required=True, help="How many to add.")
@config_option
def cards(count: int, config: Path | None) -> None:
    """Add cards for load tests, each on an account of its own, after those that are there.

    PAN 47617390 + a serial of seven digits from 1000001 + check digit, expiry 3012,
    service code 201, PIN 1234, 1,000,000.00 EUR, no limits.

    Example: switch demo cards --count 100000
    """
    settings = settings_of(config)

    async def work(progress: Any) -> int:
        keys = prepare.read_keys(settings)
        if PIN_KEY not in keys:
            raise settings.refusal("hsm.keys", f"has no {PIN_KEY!r}, which the cards' PINs need")
        vault = await prepare.vault_of(settings, keys)
        pin_key = prepare.open_blocks(settings, keys, PIN_KEY)[PIN_KEY]
        async with prepare.database(settings, prepare=prepare.make_ready) as url:
            connection = await connect(url)
            try:
                if await loader.is_empty(connection):  # their program is the demo's
                    await loader.load(connection, vault)
                return await loader.add_load_cards(
                    connection, vault, pin_key, count, progress=progress
                )
            finally:
                await connection.close()

    with click.progressbar(
        length=count, label="cards", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        first = to_the_end(work(lambda done: bar.update(done - bar.pos)))
    click.echo(f"{count} cards are added after {first}")
