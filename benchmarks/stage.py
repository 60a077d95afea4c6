"""
What every bench stands on: the rig, the generator, pgbench, and the proof that figures count.

A program opens a `stage`, loads what stands on it, and gets no further than the end of it
unless all that is said in README.md under "What is proved" holds.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import click
import orjson
import uvloop

from benchmarks import honesty
from benchmarks.load import PATIENCE_SECONDS, Generator, Result
from benchmarks.rig import ANSWER_WITHIN_MS, CONNECTIONS_MAX, BenchError, Rig, rig
from benchmarks.traffic import Traffic, make_traffic
from benchmarks.yardstick import WITHIN, Yardstick
from switch.ledger.embedded_files import EmbeddedError

#: pgbench's clients. One thread serves them: a second one was not seen to make it faster.
CLIENTS, THREADS = 16, 1

#: In flight on the link beyond which it sheds; a little over what the generator keeps there.
SPARE_IN_FLIGHT = 16

#: Cards whose messages are made: of more, so many that are spread evenly over them.
MESSAGES_MADE = 200_000

#: Files of the server's log that stand ready, of 16 MB each.
LOG_FILES = 32


@dataclass(slots=True)
class Tally:
    """What all loads on a stage came to."""

    messages: int = 0
    unanswered: int = 0
    not_approved: dict[str, int] = field(default_factory=dict)
    approved: array[int] = field(default_factory=lambda: array("q"))
    pgbench_transactions: int = 0

    def took(self, result: Result) -> Result:
        """Count what one load sent and got."""
        self.messages += result.sent
        self.unanswered += result.unanswered
        for code, count in result.others.items():
            self.not_approved[code] = self.not_approved.get(code, 0) + count
        self.approved.extend(result.approved)
        return result


@dataclass(slots=True)
class Stage:
    """What stands, and the ways of loading it."""

    folder: Path
    rig: Rig
    traffic: Traffic
    generator: Generator
    yardstick: Yardstick
    connection: asyncpg.Connection
    settings: dict[str, str]  #: of durability
    tally: Tally = field(default_factory=Tally)
    log_lines_lost: int = 0  #: known at the end

    async def closed(self, in_flight: int, seconds: float) -> Result:
        """So many in flight at the switch, always."""
        load = self.generator
        return self.tally.took(
            await in_thread(load, lambda: load.closed_loop(in_flight=in_flight, seconds=seconds))
        )

    async def open(self, per_second: float, seconds: float) -> Result:
        """So many a second for the switch, whatever it answers. Raises `BenchError` for none."""
        if not per_second:
            raise BenchError("the switch approved nothing: there is no share of its rate")
        load = self.generator
        return self.tally.took(
            await in_thread(load, lambda: load.open_loop(per_second=per_second, seconds=seconds))
        )

    async def rows(self, seconds: float) -> float:
        """The approvals a second of pgbench."""
        run = await self.yardstick.throughput(clients=CLIENTS, seconds=seconds)
        self.tally.pgbench_transactions += run.transactions
        return run.per_s

    async def one_row_ms(self, seconds: float, per_second: float | None = None) -> float:
        """The median of pgbench with one client, in milliseconds."""
        run, median = await self.yardstick.latency_ms(
            seconds=seconds, folder=self.folder, per_second=per_second
        )
        self.tally.pgbench_transactions += run.transactions
        return median

    async def checkpoint(self) -> None:
        """After a checkpoint a page's first change is logged whole: all begin from there."""
        await self.connection.execute("CHECKPOINT")


@asynccontextmanager
async def stage(
    folder: Path,
    *,
    cards: int,
    in_flight: int,
    switches: int = 1,
    used_cards: int = 0,
    answer_within_ms: int = ANSWER_WITHIN_MS,
    connections_max: int = CONNECTIONS_MAX,
    rows_within: str = WITHIN,
    database: str = "",
) -> AsyncIterator[Stage]:
    """Stand everything up; prove what was measured; take everything down.

    Of the cards, the first `used_cards` are used, where that is not 0. `database` is what else
    stands in that section of the settings. Raises `BenchError` where something does not stand, or
    does not hold.
    """
    say(f"making {cards:,} cards in {folder}")
    traffic = make_traffic(used_cards or cards, at_most=MESSAGES_MADE)
    async with (
        rig(
            folder,
            cards=cards,
            in_flight_max=in_flight + SPARE_IN_FLIGHT,
            switches=switches,
            answer_within_ms=answer_within_ms,
            connections_max=connections_max,
            database=database,
        ) as stand,
        _connected(stand.database.url) as connection,
    ):
        settings = await honesty.durability(connection)
        say(", ".join(f"{name} {value}" for name, value in settings.items()))
        yardstick = Yardstick(
            stand.database, cards=used_cards or cards, threads=THREADS, within=rows_within
        )
        await yardstick.prepare()
        await log_files_ready(connection)
        patience = PATIENCE_SECONDS - ANSWER_WITHIN_MS / 1000 + answer_within_ms / 1000
        generator = Generator(stand.addresses, traffic, patience=patience)
        here = Stage(folder, stand, traffic, generator, yardstick, connection, settings)
        try:
            yield here
        finally:
            generator.close()
        await honesty.check_received(connection, "bench", here.tally.approved)
        await honesty.check_yardstick(connection, here.tally.pgbench_transactions)
        await honesty.check_books(stand.database.url)
    logs = [switch.log for switch in stand.switches]
    here.log_lines_lost = honesty.check_logs(logs, here.tally.messages)
    say(
        f"proved: {len(here.tally.approved)} approvals received, each with its row; the audit "
        f"finds nothing; a log line for each of {here.tally.messages} messages"
    )


async def log_files_ready(connection: asyncpg.Connection) -> None:
    """Have the server as one is that has run for a while: the files of its log are used again.

    A new server makes each of them, 16 MB of zeros, while all who commit wait for some 60 ms.
    """
    for _ in range(LOG_FILES):
        await connection.execute("SELECT pg_logical_emit_message(true, 'bench', '')")
        await connection.execute("SELECT pg_switch_wal()")
    await connection.execute("CHECKPOINT")


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def in_thread(generator: Generator, load: Callable[[], Result]) -> Result:
    """A load beside the event loop; cancelled, it is stopped and waited for."""
    running = asyncio.ensure_future(asyncio.to_thread(load))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        generator.stop()
        await asyncio.wait({running})
        raise


def exceptions(result: Result) -> str:
    """What was not an approval, where there was such a thing."""
    told = [f"{count} answered {code}" for code, count in result.others.items()]
    told += [f"{result.unanswered} unanswered"] if result.unanswered else []
    return f" ({', '.join(told)})" if told else ""


def say(line: str) -> None:
    """Tell whoever watches."""
    click.echo(line)


def perform(work: Callable[[Path], Awaitable[dict[str, object]]]) -> dict[str, object]:
    """Do a bench in a temporary folder, print its JSON line and give it; or say in a line why
    not, and exit with 1. SIGTERM ends it as Ctrl-C does.
    """
    began = time.monotonic()
    try:
        result = uvloop.run(_until_done(work))
    except (BenchError, EmbeddedError, OSError) as error:
        sys.exit(f"bench: {error}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("bench: stopped")
    result["took_seconds"] = round(time.monotonic() - began, 1)
    click.echo(orjson.dumps(result))
    return result


async def _until_done(work: Callable[[Path], Awaitable[dict[str, object]]]) -> dict[str, object]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    folder = Path(tempfile.mkdtemp(prefix="switch-bench-"))
    try:
        return await work(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
