"""What happened: shown to people, and published by a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import click
import orjson

from switch import prepare
from switch.commands.base import Refusal, config_option, main, settings_of, to_the_end
from switch.commands.schema import check_schema
from switch.events.publisher import Publisher
from switch.events.sinks import check_sink, sink_of
from switch.ledger.outbox import SESSION, Outbox, OutboxRow
from switch.ledger.primary import connect
from switch.log import configure, get_logger
from switch.log_events import level_of
from switch.settings import Settings
from switch.wire.currency import CURRENCIES

#: Events that are shown where nobody says how many.
LINES = 20
#: How often more are looked for, in seconds, and how many are read at once.
POLL_SECONDS, READ_MAX = 0.5, 500
_STDERR = 2


@main.group()
def events() -> None:
    """What happened to accounts, cards and keys, as it is told to others.

    Example: switch events tail
    """


def _account(_: Any, __: Any, given: str) -> int | None:
    if given and not given.removeprefix("-").isdecimal():
        raise click.BadParameter("our number of it, as in an event's account")
    return int(given) if given else None


@events.command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens.")
@click.option("-n", "--lines", type=click.IntRange(0), default=LINES, show_default=True,
              help="The last so many that match.")  # fmt: skip
@click.option("--account", default="", callback=_account, help="Our number of an account.")
@click.option("--type", "type_", default="", help="A type, or how it begins: authorization, card.")
@click.option("--json", "is_json", is_flag=True, help="Events as they are published.")
@config_option
def tail(
    *, follow: bool, lines: int, account: int | None, type_: str, is_json: bool,
    config: Path | None,
) -> None:  # fmt: skip
    """Show the last events, whether they are published or not.

    Example: switch events tail --follow --type authorization
    """
    settings = settings_of(config)

    async def work() -> None:
        async with prepare.database(settings, prepare=check_schema) as url:
            try:
                async for rows in _rows(url, follow, lines, account, type_):
                    for row in rows:
                        click.echo(row.body if is_json else line_of(row))
            except BrokenPipeError:
                # Nobody reads; Python would try to write the rest once more, and complain.
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise Refusal(f"the database broke it off: {type(error).__name__}") from None

    to_the_end(work())


async def _rows(
    url: str, follow: bool, lines: int, account: int | None, type_: str
) -> AsyncIterator[list[OutboxRow]]:
    """The last events, then those that follow."""
    session = dict(SESSION) | {"application_name": "switch events tail"}
    connection = await connect(url, server_settings=session)
    try:
        outbox = Outbox(connection)
        last = await outbox.last()
        shown = last if lines == 0 else await outbox.before_last(last, lines, account, type_)
        while True:
            # Who follows is shown all of them, so waits for what is still under way.
            to = await outbox.settled() if follow else last
            rows = await outbox.stretch(shown, to, READ_MAX, account_id=account, type_=type_)
            yield rows
            shown = rows[-1].number if rows else max(shown, to)
            if not rows and not follow:
                return
            if not rows:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()


def line_of(row: OutboxRow) -> str:
    """An event for people: when, its number, its type, the account, what it moved, and why."""
    event = orjson.loads(row.body)
    card, message, money = (event.get(name, {}) for name in ("card", "message", "money"))
    words = [
        event["occurred_at"][11:23], f"{row.number:>16}", f"{row.type:<22}", f"{row.account:>10}",
        f"*{card['last_four']}" if card else "     ",
    ]  # fmt: skip
    if message:
        words.append(f"{message['mti']} {_amount(message['amount_minor'], money)}")
    changes = {name: money.get(f"{name}_change_minor") for name in ("posted", "held")}
    words += [f"{name} {_amount(minor, money, '+')}" for name, minor in changes.items() if minor]
    words += [str(value) for value in (message.get("reason"), _detail(event)) if value]
    return " ".join(words)


def _amount(minor: int, money: dict[str, Any], sign: str = "") -> str:
    currency = CURRENCIES.get(money.get("currency", ""))
    if currency is None:
        return f"{minor:{sign}}"
    major = Decimal(minor).scaleb(-currency.exponent)
    return f"{major:{sign}.{currency.exponent}f} {currency.alpha}"


def _detail(event: dict[str, Any]) -> str:
    details = event.get("details", {})
    names = ("action", "effect", "outcome", "reason")
    return next((details[name] for name in names if name in details), "")


@events.command()
@config_option
def publish(config: Path | None) -> None:
    """Publish events until Ctrl-C or SIGTERM, instead of the switch (events.publisher = "apart").

    Several may run: one publishes, the others wait to take its place.

    Example: switch events publish --config switch.toml
    """
    settings = settings_of(config)
    if settings.event_sink == "none":
        raise Refusal(
            str(settings.refusal("events.sink", "goes nowhere: name file, stdout or sqs"))
        )
    to_the_end(_publish(settings))


async def _publish(settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    # Its log goes where events do not.
    writer = configure(settings.log.level, settings.log.queue_max, _STDERR)
    log = get_logger("events")

    def on_event(name: str, /, **fields: Any) -> None:
        getattr(log, level_of(name))(name, **fields)

    try:
        await check_sink(settings)
        async with prepare.database(settings, prepare=check_schema) as url:
            sink = sink_of(settings, on_event=on_event)
            assert sink is not None  # noqa: S101 - for mypy: the command refuses it
            publisher = Publisher(url, sink, batch_max=settings.events.batch_max, on_event=on_event)
            publishing = asyncio.create_task(publisher.run())
            log.info("started", url=settings.database.url_public)
            await stopping.wait()
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        log.info("stopped")
    finally:
        writer.stop()
