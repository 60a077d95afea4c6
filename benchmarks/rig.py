"""
What the bench starts, in a temporary folder, and stops again: Postgres and the switch.

The database is the embedded one with the settings that `switch run` gives it; the
bench is one of its users, so that it outlives the commands that the bench runs.
There may be several switches on it: identical processes, each with a link of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from switch.ledger.embedded import EmbeddedPostgres

#: How long the switch may take to listen and to stop, in seconds.
START_SECONDS, STOP_SECONDS = 60.0, 20.0
_POLL_SECONDS = 0.05

HOST = "127.0.0.1"

#: All is as it is by default, but for what must not meet another switch on this machine.
_SETTINGS = """\
[database]
data_dir = "postgres"
{database}

[admin]
listen = "{admin_listen}"

[unwind]
journal = "unwinds-{number}.journal"

[events]
publisher = "apart"  # written, and not taken anywhere meanwhile

[[links]]
name = "bench"
listen = "{host}:{port}"
in_flight_max = {in_flight_max}
answer_within_ms = {answer_within_ms}
connections_max = {connections_max}
"""

#: What a link answers within, in milliseconds, and how many connections it takes, by default.
ANSWER_WITHIN_MS, CONNECTIONS_MAX = 250, 64


class BenchError(Exception):
    """The bench cannot go on: one line that says why."""


@dataclass(frozen=True, slots=True)
class Rig:
    """A database with cards and what serves them: one switch, unless several were asked for."""

    database: EmbeddedPostgres
    switches: tuple[Serving, ...]

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Where each of them listens."""
        return tuple(switch.address for switch in self.switches)

    def switch_cpu_seconds(self) -> float:
        """Processor time that all of them have taken so far, on Linux; else 0."""
        return sum(cpu_seconds(switch.pid) for switch in self.switches)

    def switch_rss(self) -> int:
        """Bytes of memory that all of them have resident, on Linux; else 0."""
        return sum(switch.rss() for switch in self.switches)


@dataclass(frozen=True, slots=True)
class Serving:
    """One switch that runs."""

    address: tuple[str, int]
    pid: int
    log: Path  #: its standard output

    def rss(self) -> int:
        """Bytes of memory that it has resident, on Linux; else 0."""
        file = Path(f"/proc/{self.pid}/statm")
        return int(file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if file.exists() else 0


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far, on Linux; else 0."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return 0.0
    user, system = stat.read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def rig(
    folder: Path,
    *,
    cards: int,
    in_flight_max: int,
    switches: int = 1,
    answer_within_ms: int = ANSWER_WITHIN_MS,
    connections_max: int = CONNECTIONS_MAX,
    admin_listen: str = "",
    database: str = "",
    trees: Sequence[Path] = (),
) -> AsyncIterator[Rig]:
    """Make the database, load the cards, start the switches; stop all of it at the end. `database`
    is what else stands in that section of their settings; the first switches have their code from
    `trees`, the others, like all commands, from where the bench runs.
    """

    def configured(number: int) -> tuple[Path, int]:
        config, port = folder / f"switch-{number}.toml", free_port()
        config.write_text(
            _SETTINGS.format(
                host=HOST,
                port=port,
                number=number,
                in_flight_max=in_flight_max,
                answer_within_ms=answer_within_ms,
                connections_max=connections_max,
                admin_listen=admin_listen,
                database=database,
            )
        )
        return config, port

    async with (
        EmbeddedPostgres(folder / "postgres") as postgres,
        contextlib.AsyncExitStack() as stack,
    ):
        config, _ = configured(0)
        await _command(config, "demo", "reset")
        await _command(config, "demo", "cards", "--count", str(cards))
        started = []
        for number, tree in zip(range(1, switches + 1), [*trees, *[None] * switches], strict=False):
            config, port = configured(number)
            log = folder / f"switch-{number}.log"
            process = await stack.enter_async_context(
                serving(_switch_command(config, "run"), port, log, tree)
            )
            started.append(Serving((HOST, port), process.pid, log))
        yield Rig(postgres, tuple(started))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end; what it printed. Raises `BenchError` where it failed.

    Cancelled, it stops the program first.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment() | (environment or {}),
        start_new_session=True,
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        await _stop(process)
        raise
    if process.returncode != 0:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise BenchError(f"{Path(command[0]).name}: {''.join(last) or process.returncode}")
    return output.decode()


def _environment() -> dict[str, str]:
    """Ours without the switch's variables: they outrank the file and might name a real one. Nor
    with what keeps Python from the code of the folder in which it runs.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SWITCH_") and name != "PYTHONSAFEPATH"
    }


def _switch_command(config: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "switch", *words, "--config", str(config)]


async def _command(config: Path, *words: str) -> None:
    await run(*_switch_command(config, *words))


@contextlib.asynccontextmanager
async def serving(
    command: Sequence[str], port: int, log: Path, tree: Path | None = None
) -> AsyncIterator[Process]:
    """A program of its own, once it listens; stopped at the end. What it says goes to the log. It
    runs in `tree`, where one is given.
    """
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=tree,
            env=_environment(),
            start_new_session=True,  # Ctrl-C is the bench's: it stops the program in its turn
        )
    try:
        await _listening(port, process, log)
        yield process
    finally:
        await _stop(process)


async def _stop(process: Process) -> None:
    """Ask a process of ours to end, and see that it does."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _listening(port: int, process: Process, log: Path) -> None:
    """Return when a program takes connections."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + START_SECONDS
    while loop.time() < give_up and process.returncode is None:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(_POLL_SECONDS)
        else:
            writer.close()
            return
    raise BenchError(f"{log.stem} does not start: {last_line(log)}")


def last_line(log: Path) -> str:
    """What a log ends with."""
    return "".join(log.read_text(errors="replace").strip().splitlines()[-1:])
