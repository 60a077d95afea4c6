"""The textbook's server as the bench drives it: a process of its own on the stage's database."""

from __future__ import annotations

import sys
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from benchmarks import honesty
from benchmarks.load import Generator, Result
from benchmarks.rig import HOST, cpu_seconds, free_port, serving
from benchmarks.stage import Stage, in_thread

#: Its messages have numbers that the switch's never reach: a message key is one message's.
FIRST_NUMBER = 500_000_000_000

#: Seconds: it has no deadline, and what is given up early would be sent once more.
PATIENCE = 10.0


class Rival:
    """The textbook under the same load as the switch."""

    def __init__(self, generator: Generator, pid: int) -> None:
        self._generator, self._pid = generator, pid
        self._approved: array[int] = array("q")

    async def closed(self, in_flight: int, seconds: float) -> tuple[Result, float]:
        """So many in flight, always; with the processor time of a message in µs."""
        before = cpu_seconds(self._pid)
        load = self._generator
        result = await in_thread(
            load, lambda: load.closed_loop(in_flight=in_flight, seconds=seconds)
        )
        self._approved.extend(result.approved)
        return result, (cpu_seconds(self._pid) - before) / result.sent * 1e6

    @property
    def approved(self) -> array[int]:
        """The numbers of all that it approved."""
        return self._approved


@asynccontextmanager
async def rival(stage: Stage, *, connections: int) -> AsyncIterator[Rival]:
    """Start it; at the end see that each of its approvals has its row, and stop it."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.textbook", "--url", stage.rig.database.url]
    command += ["--port", str(port), "--connections", str(connections)]
    async with serving(command, port, stage.folder / "textbook.log") as process:
        generator = Generator([(HOST, port)], stage.traffic, first=FIRST_NUMBER, patience=PATIENCE)
        here = Rival(generator, process.pid)
        try:
            yield here
        finally:
            generator.close()
    await honesty.check_received(stage.connection, "textbook", here.approved)
