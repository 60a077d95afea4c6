"""
What the page costs the switch: processor time under a steady load, without and with viewers.

    python -m benchmarks.page
    python -m benchmarks.page --viewers 3 --per-second 500 --rounds 4 --seconds 15
    python -m benchmarks.page --plain

Viewers are Chromium, each a browser of its own with the page open; with `--plain` they only read
what the page reads, and take next to nothing of a core that the switch needs. They come and go by
turns, so that a machine that slows down slows both. Processor time is the process's own, as the
kernel counts it. The last line is one JSON object; the exit code is 1 where a page complained,
asked anybody else, or did not follow.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.load import Generator
from benchmarks.rig import HOST, BenchError, Rig, free_port, rig
from benchmarks.stage import in_thread, perform, say
from benchmarks.traffic import make_traffic
from tests.operate.page import browser
from tests.operate.page.browser import Browser

CARDS, IN_FLIGHT = 2_000, 256
#: Until a page is loaded and drawn, and what went before is forgotten.
SETTLE_SECONDS = 4.0

#: Counts how often the page told another second.
_COUNT_BEATS = """
window.beats = 0;
new MutationObserver(() => beats++).observe(
  document.querySelector("header time"), {childList: true, characterData: true, subtree: true});
"""


#: Says how many seconds each viewer was told so far.
Beats = Callable[[], list[int]]


async def page(
    folder: Path, viewers: int, per_second: float, rounds: int, seconds: float, *, is_plain: bool
) -> dict[str, object]:
    """Take turns without and with viewers."""
    if not is_plain and (reason := browser.missing()):
        raise BenchError(reason)
    look = readers if is_plain else browsers
    port = free_port()
    async with rig(
        folder, cards=CARDS, in_flight_max=IN_FLIGHT, admin_listen=f"{HOST}:{port}"
    ) as here:
        generator = Generator(here.addresses, make_traffic(CARDS, at_most=CARDS))
        load = asyncio.ensure_future(
            in_thread(generator, lambda: generator.open_loop(per_second=per_second, seconds=86_400))
        )
        try:
            without, watched, beats = await _turns(
                here, lambda: look(port, viewers), rounds, seconds
            )
        finally:
            generator.stop()
            result = await load
            generator.close()
    alone, with_them = statistics.median(without), statistics.median(watched)
    return {
        "viewers": viewers,
        "plain": is_plain,
        "per_s": per_second,
        "messages": result.sent,
        "unanswered": result.unanswered,
        "not_approved": result.others,
        "seconds": seconds,
        "cpu_without": [round(share, 4) for share in without],
        "cpu_with": [round(share, 4) for share in watched],
        "viewers_cost": round(with_them - alone, 4),
        "beats_least": min(beats),
    }


async def _turns(
    here: Rig,
    look: Callable[[], contextlib.AbstractAsyncContextManager[Beats]],
    rounds: int,
    seconds: float,
) -> tuple[list[float], list[float], list[int]]:
    """Cores that the switch took, turn by turn, and each viewer's seconds in every turn."""
    without: list[float] = []
    watched: list[float] = []
    beats: list[int] = []
    for _ in range(rounds):
        without.append(await _cores(here, seconds))
        async with look() as told:
            before = told()
            watched.append(await _cores(here, seconds))
            beats += [after - one for after, one in zip(told(), before, strict=True)]
        say(f"without viewers {without[-1]:.2%} of a core, with them {watched[-1]:.2%}")
    return without, watched, beats


@contextlib.asynccontextmanager
async def browsers(port: int, viewers: int) -> AsyncIterator[Beats]:
    """So many Chromiums with the page open, which complain of nothing and ask nobody else."""
    with ExitStack() as stack:
        pages = [stack.enter_context(browser.opened()) for _ in range(viewers)]
        for one in pages:
            await asyncio.to_thread(_open, one, port)
        await asyncio.sleep(SETTLE_SECONDS)
        for one in pages:
            one.run(_COUNT_BEATS)
        yield lambda: [int(one.run("return beats")) for one in pages]
        for one in pages:
            _check(one, port)


@contextlib.asynccontextmanager
async def readers(port: int, viewers: int) -> AsyncIterator[Beats]:
    """So many that read what the page reads."""
    told = [0] * viewers

    async def read(place: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        with contextlib.closing(writer):
            writer.write(f"GET /api/live HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            async for line in reader:
                told[place] += line.startswith(b"data:")

    tasks = [asyncio.create_task(read(place)) for place in range(viewers)]
    try:
        await asyncio.sleep(SETTLE_SECONDS)
        yield lambda: list(told)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _cores(here: Rig, seconds: float) -> float:
    loop = asyncio.get_running_loop()
    began, before = loop.time(), here.switch_cpu_seconds()
    await asyncio.sleep(seconds)
    return (here.switch_cpu_seconds() - before) / (loop.time() - began)


def _open(one: Browser, port: int) -> None:
    one.size(*browser.WIDE)
    one.driver.get(f"http://{HOST}:{port}/")
    one.until(lambda: one.text("#state") == "serving", "serving")


def _check(one: Browser, port: int) -> None:
    if complaints := one.complaints():
        raise BenchError(f"the page complained: {complaints[0]}")
    if others := one.asked() - {f"{HOST}:{port}"}:
        raise BenchError(f"the page asked others: {', '.join(sorted(others))}")


@click.command()
@click.option("--viewers", type=click.IntRange(1), default=3, show_default=True)
@click.option("--per-second", type=click.FloatRange(1), default=500.0, show_default=True)
@click.option("--rounds", type=click.IntRange(1), default=4, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=15.0, show_default=True,
              help="Of each turn.")  # fmt: skip
@click.option("--plain", is_flag=True, help="Viewers that only read what the page reads.")
def main(viewers: int, per_second: float, rounds: int, seconds: float, plain: bool) -> None:
    """What viewers of the page cost the switch."""
    told = perform(
        lambda folder: page(folder, viewers, per_second, rounds, seconds, is_plain=plain)
    )
    least = told["beats_least"]
    assert isinstance(least, int)
    if least < seconds - 1.5:
        sys.exit(f"page: it told {least} seconds of {seconds:g}")


if __name__ == "__main__":
    main()
