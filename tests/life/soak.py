"""
The stateful test for as long as one likes: `python -m tests.life.soak --minutes 5`.

Each round has a seed of its own. A failure is shrunk, printed and ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyFailure

from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.migrate import migrate
from switch.operate.audit import audit
from tests.flows.support import House, open_house
from tests.ledger.support import Books, ledger_on
from tests.life.driver import Disagreement, arrange, replay, shorten
from tests.life.steps import Step, sequences

PIECES = 10
EXAMPLES_A_ROUND = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Run rounds until the time is over; 1 where the model and the ledger disagree."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.life.soak",
        description="Drive the model and the ledger with random messages and compare them.",
        epilog="example: python -m tests.life.soak --minutes 5 --seed 42",
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="how long (default: 5)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first round")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="switch-soak-") as folder:
        return asyncio.Runner().run(_soak(Path(folder), chosen.minutes * 60, chosen.seed))


async def _soak(folder: Path, seconds: float, first_seed: int) -> int:
    server = EmbeddedPostgres(folder / "postgres")
    await server.start()
    try:
        await migrate(server.url)
        books = await Books.open(server.url)
        try:
            await arrange(books)
            async with ledger_on(server.url, folder / "journal") as ledger:
                house = await open_house(ledger, books, [])
                return await _rounds(house, server.url, time.monotonic() + seconds, first_seed)
        finally:
            await books.connection.close()
    finally:
        await server.stop()


async def _rounds(house: House, url: str, until: float, first: int) -> int:
    done, number = 0, first
    while time.monotonic() < until:
        try:
            done += await asyncio.to_thread(_round, house, asyncio.get_running_loop(), number)
        except (Disagreement, FlakyFailure) as error:
            errors = error.exceptions if isinstance(error, FlakyFailure) else (error,)
            for one in errors:
                told = await shorten(house, one) if isinstance(one, Disagreement) else one
                print(f"seed {number}: {told}", flush=True)
            return 1
        print(f"seed {number}: {done} steps agree", flush=True)
        number += 1
    findings = await audit(url)
    for finding in findings:
        print(finding)
    print(f"{done} steps agree, from seed {first} to {number - 1}")
    return 1 if any(finding.wrong for finding in findings) else 0


def _round(house: House, loop: asyncio.AbstractEventLoop, number: int) -> int:
    """Hypothesis draws and shrinks in a thread; the steps run on the loop."""
    done = 0

    @seed(number)
    @settings(
        deadline=None,
        max_examples=EXAMPLES_A_ROUND,
        database=None,
        phases=(Phase.generate,),  # what fails is shortened below
        suppress_health_check=list(HealthCheck),
    )
    @given(steps=sequences(PIECES))
    def one(steps: Sequence[Step]) -> None:
        nonlocal done
        asyncio.run_coroutine_threadsafe(replay(house, steps), loop).result()
        done += len(steps)

    one()
    return done


if __name__ == "__main__":
    sys.exit(main())
