"""
This tree's switch against another tree's: what a change is worth on a machine that wobbles.

    git worktree add ../before main
    python -m benchmarks.against ../before

Both run on one database, under this tree's Python and its packages, and are loaded in turns, so
that a slow minute is both's. The schema must be the same. The last line is one JSON object.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import asyncpg
import click

from benchmarks import honesty
from benchmarks.load import Generator, Result
from benchmarks.rig import Serving, cpu_seconds, rig
from benchmarks.stage import SPARE_IN_FLIGHT, in_thread, log_files_ready, perform, say
from benchmarks.traffic import make_traffic

CARDS, IN_FLIGHT = 10_000, 128
#: Numbers that one generator has to itself: messages are known by them.
_NUMBERS = 100_000_000

Load = Callable[[Generator, float], Result]


def _closed(in_flight: int) -> Load:
    return lambda load, seconds: load.closed_loop(in_flight=in_flight, seconds=seconds)


def _open(per_second: float) -> Load:
    return lambda load, seconds: load.open_loop(per_second=per_second, seconds=seconds)


LOADS: dict[str, Load] = {
    "one in flight": _closed(1),
    "200 a second": _open(200.0),
    "1,000 a second": _open(1_000.0),
    "saturation": _closed(IN_FLIGHT),
}


@dataclass(slots=True)
class Side:
    """One of the two switches, its generator, and what its loads came to."""

    name: str
    serving: Serving
    generator: Generator
    approved: list[int] = field(default_factory=list)
    figures: dict[str, list[tuple[float, float, float, float]]] = field(default_factory=dict)

    async def take(self, load: str, seconds: float) -> None:
        """One turn of one load."""
        before = cpu_seconds(self.serving.pid)
        result = await in_thread(self.generator, partial(LOADS[load], self.generator, seconds))
        cpu_us = (cpu_seconds(self.serving.pid) - before) / result.sent * 1e6
        self.approved.extend(result.approved)
        self.figures.setdefault(load, []).append(
            (result.quantile_ms(0.5), result.quantile_ms(0.99), result.approved_per_s, cpu_us)
        )

    def told(self, load: str) -> dict[str, float]:
        """The medians of a load's turns."""
        p50, p99, per_s, cpu_us = map(statistics.median, zip(*self.figures[load], strict=True))
        return {
            "p50_ms": round(p50, 3),
            "p99_ms": round(p99, 3),
            "per_s": round(per_s),
            "switch_cpu_us": round(cpu_us),
        }


async def compare(folder: Path, other: Path, seconds: float, rounds: int) -> dict[str, object]:
    """Both sides under every load, in turns; who goes first changes with the round."""
    traffic = make_traffic(CARDS)
    async with rig(
        folder,
        cards=CARDS,
        in_flight_max=IN_FLIGHT + SPARE_IN_FLIGHT,
        switches=2,
        database="connections = 1",
        trees=[other],
    ) as stand:
        connection = await asyncpg.connect(stand.database.url)
        settings = await honesty.durability(connection)
        await log_files_ready(connection)
        sides = [
            Side(name, serving, Generator([serving.address], traffic, first=place * _NUMBERS))
            for place, (name, serving) in enumerate(
                zip(("other", "this"), stand.switches, strict=True)
            )
        ]
        for side in sides:  # code, plans and caches warm up
            await side.take("saturation", seconds)
            side.figures.clear()
        for turn in range(rounds):
            for load in LOADS:
                for side in sides if turn % 2 else sides[::-1]:
                    await side.take(load, seconds)
        for side in sides:
            side.generator.close()
            for load in LOADS:
                say(f"{side.name}, {load}: {side.told(load)}")
        approved = [number for side in sides for number in side.approved]
        await honesty.check_received(connection, "bench", approved)
        await honesty.check_books(stand.database.url)
        await connection.close()
    return {
        **{side.name: {load: side.told(load) for load in LOADS} for side in sides},
        "rounds": rounds,
        **settings,
    }


@click.command()
@click.argument("other", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seconds", type=click.FloatRange(0.1), default=2.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
def main(other: Path, seconds: float, rounds: int) -> None:
    """Compare this tree's switch with that of OTHER, a folder with `switch`, `specs` and `keys`."""
    perform(lambda folder: compare(folder, other.resolve(), seconds, rounds))


if __name__ == "__main__":
    main()
