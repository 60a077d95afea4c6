"""
What becomes of the figures as things grow, each case alone or some after the other:

    python -m benchmarks.growth --cards 1000000      # against 1,000 cards
    python -m benchmarks.growth --history 10000000   # against none
    python -m benchmarks.growth --links 1000         # idle connections, against none
    python -m benchmarks.growth --hot                # every message on one account
    python -m benchmarks.growth --in-flight 2000     # memory a message in flight

Switch and pgbench take turns in each, so that what both pay is no growth of ours: a case's figure
is how much of its ratio is left. The last line is one JSON object.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import history
from benchmarks.rig import BenchError
from benchmarks.stage import Stage, exceptions, perform, say, stage

#: In flight at the switch, and cards, where a case is not about them; cards with a history.
IN_FLIGHT, CARDS, HISTORY_CARDS = 128, 20_000, 100_000

#: In flight at one hot account: its messages are decided one after the other, and more of them than
#: are decided within a deadline would be answered 91, and sent again at once by a closed loop.
HOT_IN_FLIGHT = 32

#: What many cards are compared with.
FEW_CARDS = 1_000

#: What a process has in flight before it is filled, and how long an answer may then take.
FEW_IN_FLIGHT, ANSWER_WITHIN_MS = 16, 30_000

#: The share of a core under which a switch has read all the cards that it keeps.
KEEPING_SHARE = 0.1

#: How long the switch is looked at while its links are idle.
IDLE_SECONDS = 10.0

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How long everything takes."""

    seconds: float  #: of each measurement
    rounds: int


async def turns(here: Stage, size: Size, name: str, *, in_flight: int = IN_FLIGHT) -> Told:
    """Switch and pgbench in turns; the medians and their ratio."""
    await here.closed(in_flight, 1)
    await here.rows(1)
    switch, pgbench = [], []
    for _ in range(size.rounds):
        await here.checkpoint()
        result = await here.closed(in_flight, size.seconds)
        switch.append(result.approved_per_s)
        await here.checkpoint()
        pgbench.append(await here.rows(size.seconds))
        say(f"{name}: switch {switch[-1]:.0f}, pgbench {pgbench[-1]:.0f}{exceptions(result)}")
    ours, theirs = statistics.median(switch), statistics.median(pgbench)
    return {
        "switch_per_s": round(ours),
        "pgbench_per_s": round(theirs),
        "ratio": round(ours / theirs, 3),
    }


def left(before: Told, after: Told) -> Told:
    """Both, and how much of the ratio is left."""
    return {"before": before, "after": after, "left": round(after["ratio"] / before["ratio"], 3)}


async def grow_cards(folder: Path, size: Size, cards: int, kept: int | None = None) -> Told:
    """Few cards and many, each in a database of its own; all are kept in memory, or so many."""
    measured = []
    for count in (FEW_CARDS, cards):
        began = time.monotonic()
        async with stage(
            _own(folder, f"cards-{count}"),
            cards=count,
            in_flight=IN_FLIGHT,
            database=f"cards_kept = {cards if kept is None else kept}",
        ) as here:
            loaded = time.monotonic() - began
            while await idle(here, seconds=2.0) > KEEPING_SHARE:
                pass  # it is still reading the cards that it keeps
            rss = here.rig.switch_rss()
            measured.append(await turns(here, size, f"{count:,} cards"))
            measured[-1] |= {
                "cards": count, "loading_seconds": round(loaded), "rss_mb": round(rss / 1e6)
            }  # fmt: skip
    return left(*measured)


async def grow_history(folder: Path, size: Size, messages: int) -> Told:
    """The same database without and with years of messages."""
    async with stage(_own(folder, "history"), cards=HISTORY_CARDS, in_flight=IN_FLIGHT) as here:
        before = await turns(here, size, "no history")
        began = time.monotonic()
        await history.fill(here.rig.database, messages=messages)
        filled = time.monotonic() - began
        say(f"{messages:,} messages filled in within {filled:.0f} s")
        after = await turns(here, size, f"{messages:,} messages")
        stored = await here.connection.fetchval("SELECT pg_database_size(current_database())")
    told = {"messages": messages, "filling_seconds": round(filled)}
    return left(before, after) | told | {"database_mb": round(stored / 1e6)}


async def grow_links(folder: Path, size: Size, links: int) -> Told:
    """Connections on which nothing is said: what they cost while idle, and others under load.

    They come before any load: memory that a load has given back would hide theirs.
    """
    async with stage(
        _own(folder, "links"), cards=CARDS, in_flight=IN_FLIGHT, connections_max=links + 16
    ) as here:
        idle_before, rss = await idle(here), here.rig.switch_rss()
        async with connections(here.rig.addresses[0], links):
            await asyncio.sleep(1)  # what accepting them costs is not idleness
            idle_after, grown = await idle(here), here.rig.switch_rss() - rss
            after = await turns(here, size, f"{links:,} idle links")
        before = await turns(here, size, "none")
    share = idle_after - idle_before
    say(f"{links:,} idle links: {grown / 1e6:.1f} MB, {share:.2%} of a core")
    return left(before, after) | {
        "links": links,
        "rss_mb": round(grown / 1e6, 1),
        "rss_kb_a_link": round(grown / 1e3 / links, 1),
        "core_share": round(share, 4),
        "core_share_idle_without": round(idle_before, 4),
    }


async def idle(here: Stage, *, seconds: float = IDLE_SECONDS) -> float:
    """The share of a core that the switch takes while nobody asks."""
    before, began = here.rig.switch_cpu_seconds(), time.monotonic()
    await asyncio.sleep(seconds)
    return (here.rig.switch_cpu_seconds() - before) / (time.monotonic() - began)


@contextlib.asynccontextmanager
async def connections(address: tuple[str, int], count: int) -> AsyncIterator[None]:
    """So many, that say nothing. Raises `BenchError` where the switch did not keep all of them."""
    opened = []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(*address)
            opened.append((reader, writer))
        yield
        if gone := sum(reader.at_eof() for reader, _ in opened):
            raise BenchError(f"{gone} of {count} idle connections were closed")
    finally:
        for _, writer in opened:
            writer.close()


async def heat(folder: Path, size: Size) -> Told:
    """Every message on one account, and every call of pgbench on one row.

    pgbench may wait for the row as long as it likes: it counts calls that came too late too.
    """
    async with stage(
        _own(folder, "hot"),
        cards=FEW_CARDS,
        in_flight=IN_FLIGHT,
        used_cards=1,
        rows_within="1 hour",
    ) as here:
        return await turns(here, size, "one account", in_flight=HOT_IN_FLIGHT)


async def grow_in_flight(folder: Path, size: Size, in_flight: int) -> Told:
    """Memory with few in flight and with many, which a long deadline lets wait."""
    async with stage(
        _own(folder, "in-flight"),
        cards=CARDS,
        in_flight=in_flight,
        answer_within_ms=ANSWER_WITHIN_MS,
    ) as here:
        await here.closed(FEW_IN_FLIGHT, size.seconds)
        before = await most_rss(here, FEW_IN_FLIGHT, size.seconds)
        after = await most_rss(here, in_flight, size.seconds)
    say(f"{in_flight:,} in flight: {(after - before) / 1e6:.1f} MB more than {FEW_IN_FLIGHT}")
    return {
        "in_flight": in_flight,
        "rss_mb_few": round(before / 1e6, 1),
        "rss_mb_many": round(after / 1e6, 1),
        "rss_kb_a_message": round((after - before) / 1e3 / (in_flight - FEW_IN_FLIGHT), 2),
    }


async def most_rss(here: Stage, in_flight: int, seconds: float) -> int:
    """The most memory that the switch has while so many are in flight."""
    load = asyncio.ensure_future(here.closed(in_flight, seconds))
    most = here.rig.switch_rss()
    try:
        while not load.done():
            await asyncio.wait({load}, timeout=0.05)
            most = max(most, here.rig.switch_rss())
    except asyncio.CancelledError:
        load.cancel()
        await asyncio.wait({load})
        raise
    await load
    return most


def _own(folder: Path, name: str) -> Path:
    """A folder of a case's own."""
    path = folder / name
    path.mkdir()
    return path


Case = Callable[[Path], Coroutine[Any, Any, Told]]


async def grow(folder: Path, cases: dict[str, Case]) -> dict[str, object]:
    """Every case that was asked for, one after the other."""
    return {name: await case(folder) for name, case in cases.items()}


@click.command()
@click.option("--cards", type=click.IntRange(FEW_CARDS + 1), help="So many cards.")
@click.option("--cards-kept", type=click.IntRange(0), help="Of the cards, so many; else all.")
@click.option("--history", "messages", type=click.IntRange(2), help="So many messages of the past.")
@click.option("--links", type=click.IntRange(1), help="So many idle connections.")
@click.option("--hot", is_flag=True, help="Every message on one account.")
@click.option("--in-flight", type=click.IntRange(FEW_IN_FLIGHT + 1), help="So many in flight.")
@click.option("--seconds", type=click.FloatRange(1), default=5.0, show_default=True,
              help="How long each measurement takes.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="How often switch and pgbench take turns.")  # fmt: skip
def main(
    cards: int | None,
    cards_kept: int | None,
    messages: int | None,
    links: int | None,
    hot: bool,
    in_flight: int | None,
    seconds: float,
    rounds: int,
) -> None:
    """Measure what growth costs: name one case or more.

    Example: python -m benchmarks.growth --links 1000 --hot
    """
    size = Size(seconds, rounds)
    cases: dict[str, Case] = {}
    if cards:
        cases["cards"] = lambda folder: grow_cards(folder, size, cards, cards_kept)
    if messages:
        cases["history"] = lambda folder: grow_history(folder, size, messages)
    if links:
        cases["links"] = lambda folder: grow_links(folder, size, links)
    if hot:
        cases["hot"] = lambda folder: heat(folder, size)
    if in_flight:
        cases["in_flight"] = lambda folder: grow_in_flight(folder, size, in_flight)
    if not cases:
        raise click.UsageError("name a case: --cards, --history, --links, --hot or --in-flight")
    perform(lambda folder: grow(folder, cases))


if __name__ == "__main__":
    main()
