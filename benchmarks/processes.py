"""
Several switch processes on one Postgres, and what a message costs there: processor, WAL, disk.

    python -m benchmarks.processes               # one, two and three processes in turns
    python -m benchmarks.processes --by-account  # each call to the database about one account

As many messages are in flight as with one process, spread over those that take part. All are up
meanwhile. The last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import statistics
from functools import partial
from pathlib import Path

import asyncpg
import click

from benchmarks import honesty
from benchmarks.load import Generator, Result
from benchmarks.rig import Rig, cpu_seconds, rig
from benchmarks.stage import SPARE_IN_FLIGHT, in_thread, perform, say
from benchmarks.traffic import Traffic, make_traffic

CARDS, IN_FLIGHT, IN_FLIGHT_MOST = 20_000, 128, 1_024
#: Numbers that one generator has to itself: messages are known by them.
_NUMBERS = 100_000_000

_SIZE = """
    SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""
#: What makes each call one about one account.
_BY_ACCOUNT = "one_account_per_call = true\ncards_kept = 0"
_WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"


class Turns:
    """Loads of so many of the processes, and what they found."""

    def __init__(self, stand: Rig, traffic: Traffic, postmaster: int) -> None:
        self.postmaster = postmaster
        self.generators = [
            Generator([address], traffic, first=place * _NUMBERS)
            for place, address in enumerate(stand.addresses)
        ]
        self.approved: list[int] = []

    async def take(self, processes: int, seconds: float, in_flight: int) -> tuple[float, float]:
        """Approvals a second, and the processor time that Postgres took for each."""
        before = self._postgres_seconds()
        closed = [
            partial(one.closed_loop, in_flight=in_flight // processes, seconds=seconds)
            for one in self.generators[:processes]
        ]
        results: list[Result] = await asyncio.gather(*map(in_thread, self.generators, closed))
        taken = self._postgres_seconds() - before
        for result in results:
            self.approved.extend(result.approved)
        approved = sum(len(result.approved) for result in results)
        return sum(result.approved_per_s for result in results), taken / approved

    def close(self) -> None:
        for generator in self.generators:
            generator.close()

    def _postgres_seconds(self) -> float:
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children")
        return sum(cpu_seconds(int(pid)) for pid in children.read_text().split())


async def compare(
    folder: Path, most: int, seconds: float, rounds: int, in_flight: int, *, by_account: bool
) -> dict[str, object]:
    """One process up to `most`, in turns."""
    traffic = make_traffic(CARDS)
    async with rig(
        folder,
        cards=CARDS,
        in_flight_max=IN_FLIGHT_MOST + SPARE_IN_FLIGHT,
        switches=most,
        database=_BY_ACCOUNT if by_account else "",
    ) as stand:
        connection = await asyncpg.connect(stand.database.url)
        settings = await honesty.durability(connection)
        data = Path(await connection.fetchval("SHOW data_directory"))
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        turns = Turns(stand, traffic, postmaster)
        rates: dict[int, list[float]] = {n: [] for n in range(1, most + 1)}
        micros: dict[int, list[float]] = {n: [] for n in range(1, most + 1)}
        await turns.take(most, seconds, in_flight)
        wal, size, before = await _measures(connection, turns)
        for _ in range(rounds):
            for processes in rates:
                rate, cost = await turns.take(processes, seconds, in_flight)
                rates[processes].append(rate)
                micros[processes].append(cost * 1e6)
                say(f"{processes} at once: {rate:.0f} a second, Postgres {cost * 1e6:.0f} µs each")
        wal_after, size_after, after = await _measures(connection, turns)
        turns.close()
        await honesty.check_received(connection, "bench", turns.approved)
        await honesty.check_books(stand.database.url)
        await connection.close()
    return {
        "per_s": {str(n): round(statistics.median(found)) for n, found in rates.items()},
        "postgres_us": {str(n): round(statistics.median(found)) for n, found in micros.items()},
        "wal_bytes": round((wal_after - wal) / (after - before)),
        "disk_bytes": round((size_after - size) / (after - before)),
        "in_flight": in_flight,
        "by_account": by_account,
        **settings,
    }


async def _measures(connection: asyncpg.Connection, turns: Turns) -> tuple[int, int, int]:
    return await connection.fetchval(_WAL), await connection.fetchval(_SIZE), len(turns.approved)


@click.command()
@click.option("--processes", type=click.IntRange(1, 8), default=3, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=5.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--in-flight", type=click.IntRange(8, IN_FLIGHT_MOST), default=IN_FLIGHT,
              show_default=True)  # fmt: skip
@click.option("--by-account", is_flag=True, help="Each call to the database about one account.")
def main(processes: int, seconds: float, rounds: int, in_flight: int, by_account: bool) -> None:
    """Compare one process with several on one Postgres."""
    perform(
        lambda folder: compare(folder, processes, seconds, rounds, in_flight, by_account=by_account)
    )


if __name__ == "__main__":
    main()
