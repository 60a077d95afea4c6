"""pgbench, making the same decision for one request a call. See row_at_a_time_setup.sql."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import quantile_ms
from benchmarks.rig import BenchError, run
from switch.ledger.embedded import EmbeddedPostgres
from switch.ledger.lane import SESSION

HERE = Path(__file__).parent
SETUP, SCRIPT = HERE / "row_at_a_time_setup.sql", HERE / "row_at_a_time.sql"

#: How the files begin in which pgbench logs its transactions.
LOG = "pgbench-transactions"

_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)

#: How long a call may wait for the account, as a message may that is answered within 250 ms.
WITHIN = "200 ms"

#: The planner is told what the switch tells it: keep the plan, go by the keys.
_OPTIONS = {"PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in SESSION.items())}


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of pgbench did."""

    per_s: float
    transactions: int


class Yardstick:
    """pgbench on the bench's own server."""

    def __init__(
        self, database: EmbeddedPostgres, *, cards: int, threads: int, within: str = WITHIN
    ) -> None:
        self._within = within
        self._bin, self._url = database.bin_dir, database.url
        self._cards, self._threads = cards, threads

    async def prepare(self) -> None:
        """Create the function, and tokens that pgbench can make."""
        await run(
            self._bin / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
            f"--file={SETUP}", self._url,
        )  # fmt: skip

    async def throughput(self, *, clients: int, seconds: float) -> Run:
        """As many as so many clients can, each with one call at a time."""
        said = await self._pgbench(clients, min(self._threads, clients), seconds)
        return Run(float(_figure(_TPS, said)), int(_figure(_DONE, said)))

    async def latency_ms(
        self, *, seconds: float, folder: Path, per_second: float | None = None
    ) -> tuple[Run, float]:
        """The median time of a call of one client, of which no other is in the way: one after the
        other, or so many a second at moments that chance chose, from which it counts.
        """
        pace = [] if per_second is None else [f"--rate={per_second}"]
        said = await self._pgbench(1, 1, seconds, "--log", f"--log-prefix={folder / LOG}", *pace)
        run = Run(float(_figure(_TPS, said)), int(_figure(_DONE, said)))
        return run, quantile_ms(_times(folder), 0.5)

    async def _pgbench(self, clients: int, threads: int, seconds: float, *more: str) -> str:
        said = await run(
            self._bin / "pgbench", "--no-vacuum", "--protocol=prepared", f"--client={clients}",
            f"--jobs={threads}", f"--time={max(1, round(seconds))}",
            f"--define=cards={self._cards}", f"--define=within={self._within}",
            f"--file={SCRIPT}", *more, self._url,
            environment=_OPTIONS,
        )  # fmt: skip
        if int(_figure(_FAILED, said)):
            raise BenchError("pgbench: some transactions failed")
        return said


def _times(folder: Path) -> array[float]:
    """The seconds of each transaction that pgbench logged: microseconds in the third column."""
    times: array[float] = array("d")
    for log in folder.glob(f"{LOG}.*"):
        with log.open() as lines:
            times.extend(int(line.split()[2]) / 1_000_000 for line in lines)
        log.unlink()
    return times


def _figure(what: re.Pattern[str], said: str) -> str:
    found = what.search(said)
    if found is None:
        raise BenchError("pgbench: its report cannot be read")
    return found[1]
