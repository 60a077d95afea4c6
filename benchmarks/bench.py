"""
`make bench`: the switch against pgbench on one machine, one server, in one run.

Read README.md beside this file for what is measured and how to read it. The last
line of the output is one JSON object; everything before it is for people.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import click
import orjson
import uvloop

from benchmarks import history, honesty
from benchmarks.findings import CLIENTS, LIGHT_PER_S, Findings, Plan, Rates, report
from benchmarks.load import Generator, Result
from benchmarks.rig import BenchError, Rig, rig
from benchmarks.traffic import Traffic, make_traffic
from benchmarks.yardstick import Yardstick
from switch.ledger.embedded_files import EmbeddedError

#: One thread serves pgbench's clients: a second one was not seen to make it faster.
THREADS = 1

#: In flight on the link beyond which it sheds; a little over what the generator keeps there.
SPARE_IN_FLIGHT = 16

WARM_UP_SECONDS = 2.0

#: Cards, and with a history more of them; messages of a history.
CARDS, FILLED_CARDS, HISTORY = 20_000, 100_000, 1_000_000


class Bench:
    """The phases of one run, over what stands."""

    def __init__(
        self, plan: Plan, stand: Rig, generator: Generator, connection: asyncpg.Connection
    ) -> None:
        self._plan = plan
        self._stand = stand
        self._generator = generator
        self._connection = connection
        self._yardstick = Yardstick(stand.database, cards=plan.cards, threads=THREADS)
        self._found = Findings()

    async def run(self, folder: Path) -> Findings:
        """Measure everything, switch and pgbench in turns so that both have the same weather."""
        plan, found = self._plan, self._found
        await self._yardstick.prepare()
        await self._rounds(found.empty)
        rates = found.empty
        if plan.history:
            say(f"filling in a history of {plan.history:,} messages")
            await history.fill(self._stand.database, messages=plan.history)
            rates = found.filled
            await self._rounds(rates)
        found.light = await self._open("light load", LIGHT_PER_S)
        found.half = await self._open("half load", rates.medians()[0] / 2)
        one, found.pgbench_one_client_ms = await self._yardstick.latency_ms(
            seconds=plan.seconds, folder=folder
        )
        found.pgbench_transactions += one.transactions
        say(f"pgbench, one client: {one.per_s:.0f} a second, p50 {found.pgbench_one_client_ms} ms")
        return found

    async def _rounds(self, rates: Rates) -> None:
        """Switch and pgbench in turns."""
        say(f"warming up, {WARM_UP_SECONDS:.0f} s each")
        await self._closed(WARM_UP_SECONDS)
        await self._rows(WARM_UP_SECONDS)
        for number in range(1, self._plan.rounds + 1):
            rates.switch_per_s.append(await self._switch_round(number))
            rates.pgbench_per_s.append(await self._pgbench_round(number))
        switch, pgbench, ratio = rates.medians()
        say(f"medians: switch {switch:.0f} ÷ pgbench {pgbench:.0f} = {ratio}")

    async def _switch_round(self, number: int) -> float:
        await self._checkpoint()
        before = self._stand.switch_cpu_seconds()
        result = await self._closed(self._plan.seconds)
        cpu_us = (self._stand.switch_cpu_seconds() - before) / result.sent * 1e6
        self._found.switch_cpu_us.append(cpu_us)
        self._found.generator_cpu_us.append(result.cpu_seconds / result.sent * 1e6)
        say(
            f"round {number}: switch  {result.approved_per_s:6.0f} approvals a second, "
            f"p50 {result.quantile_ms(0.5)} ms, p99 {result.quantile_ms(0.99)} ms, "
            f"{cpu_us:.0f} µs of processor a message{exceptions(result)}"
        )
        return result.approved_per_s

    async def _pgbench_round(self, number: int) -> float:
        await self._checkpoint()
        per_s = await self._rows(self._plan.seconds)
        say(
            f"round {number}: pgbench {per_s:6.0f} approvals a second, {CLIENTS} clients, "
            f"mean {CLIENTS / per_s * 1000:.3f} ms"
        )
        return per_s

    async def _closed(self, seconds: float) -> Result:
        in_flight = self._plan.in_flight
        return self._found.took(
            await self._in_thread(
                lambda: self._generator.closed_loop(in_flight=in_flight, seconds=seconds)
            )
        )

    async def _open(self, name: str, per_second: float) -> Result:
        await self._checkpoint()
        seconds = self._plan.seconds
        result = self._found.took(
            await self._in_thread(
                lambda: self._generator.open_loop(per_second=per_second, seconds=seconds)
            )
        )
        say(
            f"{name}: {per_second:.0f} a second, p50 {result.quantile_ms(0.5)} ms, "
            f"p99 {result.quantile_ms(0.99)} ms{exceptions(result)}"
        )
        return result

    async def _rows(self, seconds: float) -> float:
        run = await self._yardstick.throughput(clients=CLIENTS, seconds=seconds)
        self._found.pgbench_transactions += run.transactions
        return run.per_s

    async def _in_thread(self, load: Callable[[], Result]) -> Result:
        running = asyncio.ensure_future(asyncio.to_thread(load))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self._generator.stop()
            await asyncio.wait({running})
            raise

    async def _checkpoint(self) -> None:
        """After a checkpoint a page's first change is logged whole: all begin from there."""
        await self._connection.execute("CHECKPOINT")


@asynccontextmanager
async def connected(
    stand: Rig, traffic: Traffic
) -> AsyncIterator[tuple[Generator, asyncpg.Connection]]:
    """The generator on the link, and a connection to the database to look with."""
    connection = await asyncpg.connect(stand.database.url)
    try:
        generator = Generator(stand.address, traffic)
        try:
            yield generator, connection
        finally:
            generator.close()
    finally:
        await connection.close()


async def bench(plan: Plan, folder: Path) -> dict[str, object]:
    """Stand everything up, measure, prove, take everything down; the JSON line's object."""
    say(f"making {plan.cards} cards in {folder}")
    traffic = make_traffic(plan.cards)
    async with (
        rig(folder, cards=plan.cards, in_flight_max=plan.in_flight + SPARE_IN_FLIGHT) as stand,
        connected(stand, traffic) as (generator, connection),
    ):
        settings = await honesty.durability(connection)
        say(", ".join(f"{name} {value}" for name, value in settings.items()))
        found = await Bench(plan, stand, generator, connection).run(folder)
        await honesty.check_rows(connection, found.approved, found.pgbench_transactions)
        await honesty.check_books(stand.database.url)
    lost = honesty.check_log(folder / "switch.log", found.messages)
    say(
        f"proved: {len(found.approved)} approvals received, each with its row; the audit finds "
        f"nothing; a log line for each of {found.messages} messages"
    )
    return report(plan, found, settings, lost)


def exceptions(result: Result) -> str:
    """What was not an approval, where there was such a thing."""
    told = [f"{count} answered {code}" for code, count in result.others.items()]
    told += [f"{result.unanswered} unanswered"] if result.unanswered else []
    return f" ({', '.join(told)})" if told else ""


def say(line: str) -> None:
    """Tell whoever watches."""
    click.echo(line)


async def until_done(plan: Plan) -> dict[str, object]:
    """The bench in a temporary folder; SIGTERM ends it as Ctrl-C does."""
    work = asyncio.current_task()
    assert work is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    folder = Path(tempfile.mkdtemp(prefix="switch-bench-"))
    try:
        return await bench(plan, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@click.command()
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True,
              help="How long each measurement takes.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="How often switch and pgbench take turns.")  # fmt: skip
@click.option(
    "--cards",
    type=click.IntRange(1),
    help=f"Of an account each.  [default: {CARDS:,}, with a history {FILLED_CARDS:,}]",
)
@click.option(
    "--history",
    type=click.IntRange(2),
    is_flag=False,
    flag_value=HISTORY,
    default=None,
    help=f"Measure again over so many messages of the past; {HISTORY:,} without a number.",
)
@click.option("--in-flight", type=click.IntRange(1), default=128, show_default=True,
              help="Messages in flight at once.")  # fmt: skip
def main(
    seconds: float, rounds: int, cards: int | None, history: int | None, in_flight: int
) -> None:
    """Measure the switch against pgbench, with everything on one machine.

    Example: python -m benchmarks.bench --history
    """
    cards = cards or (FILLED_CARDS if history else CARDS)
    try:
        result = uvloop.run(until_done(Plan(seconds, rounds, cards, in_flight, history or 0)))
    except (BenchError, EmbeddedError, OSError) as error:
        sys.exit(f"bench: {error}")
    except (asyncio.CancelledError, KeyboardInterrupt):
        sys.exit("bench: stopped")
    click.echo(orjson.dumps(result))


if __name__ == "__main__":
    main()
