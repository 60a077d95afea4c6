"""
What the page costs the switch: processor time under a steady load, without and with viewers.

    python -m benchmarks.page
    python -m benchmarks.page --viewers 3 --per-second 500 --rounds 4 --seconds 15

Viewers are Chromium, each a browser of its own with the page open. They come and go by turns, so
that a machine that slows down slows both. Processor time is the process's own, as the kernel
counts it. The last line is one JSON object; the exit code is 1 where a page complained, asked
anybody else, or did not follow.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
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


async def page(
    folder: Path, viewers: int, per_second: float, rounds: int, seconds: float
) -> dict[str, object]:
    """Take turns without and with viewers."""
    if reason := browser.missing():
        raise BenchError(reason)
    port = free_port()
    async with rig(
        folder, cards=CARDS, in_flight_max=IN_FLIGHT, admin_listen=f"{HOST}:{port}"
    ) as here:
        generator = Generator(here.address, make_traffic(CARDS, at_most=CARDS))
        load = asyncio.ensure_future(
            in_thread(generator, lambda: generator.open_loop(per_second=per_second, seconds=86_400))
        )
        try:
            without, watched, beats = await _turns(here, port, viewers, rounds, seconds)
        finally:
            generator.stop()
            result = await load
            generator.close()
    alone, with_them = statistics.median(without), statistics.median(watched)
    return {
        "viewers": viewers,
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
    here: Rig, port: int, viewers: int, rounds: int, seconds: float
) -> tuple[list[float], list[float], list[int]]:
    """Cores that the switch took, turn by turn, and each viewer's seconds in the last one."""
    without: list[float] = []
    watched: list[float] = []
    beats: list[int] = []
    for _ in range(rounds):
        without.append(await _cores(here, seconds))
        with ExitStack() as stack:
            pages = [stack.enter_context(browser.opened()) for _ in range(viewers)]
            for one in pages:
                await asyncio.to_thread(_open, one, port)
            await asyncio.sleep(SETTLE_SECONDS)
            for one in pages:
                one.run(_COUNT_BEATS)
            watched.append(await _cores(here, seconds))
            beats += [int(one.run("return beats")) for one in pages]
            for one in pages:
                _check(one, port)
        say(f"without {without[-1]:.2%} of a core, with {viewers} viewers {watched[-1]:.2%}")
    return without, watched, beats


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
def main(viewers: int, per_second: float, rounds: int, seconds: float) -> None:
    """What viewers of the page cost the switch."""
    told = perform(lambda folder: page(folder, viewers, per_second, rounds, seconds))
    least = told["beats_least"]
    assert isinstance(least, int)
    if least < seconds - 1.5:
        sys.exit(f"page: it told {least} seconds of {seconds:g}")


if __name__ == "__main__":
    main()
