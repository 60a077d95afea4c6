"""A real switch in a process of its own, for tests of what only a real one can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
import orjson

from tests import secrecy
from tests.prepared import PREPARED

#: How long anything here may take before a test fails, seconds: never a figure of performance.
PATIENCE_SECONDS = 30.0
#: How often a state that should soon change is looked at, seconds.
POLL_SECONDS = 0.02

COMMAND = str(Path(sys.executable).with_name("switch"))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Our environment and settings: `links__0__framing` becomes SWITCH_LINKS__0__FRAMING."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SWITCH_")}
    given = {f"SWITCH_{key.upper()}": str(value) for key, value in settings.items()}
    return kept | given


def command(
    *words: str, folder: Path, settings: Mapping[str, object] | None = None, told: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run one `switch` command in a folder to its end."""
    return subprocess.run(
        [COMMAND, *words],
        cwd=folder,
        env=environment(settings or {}),
        input=told,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def until(true: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < give_up, f"{what} never came true"
        time.sleep(POLL_SECONDS)


async def eventually(true: Callable[[], Awaitable[object]], what: str = "it") -> None:
    """Wait until something that has to be asked for holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not await true():
        assert time.monotonic() < give_up, f"{what} never came true"
        await asyncio.sleep(POLL_SECONDS)


class Switch:
    """`switch run` in a folder: its process, its log, its Postgres. Links are on free ports."""

    def __init__(self, folder: Path, **settings: object) -> None:
        """Settings are by their keys, `database__connections`; nothing is started yet."""
        self.folder = folder
        self.command = [COMMAND, "run"]
        self.settings: dict[str, object] = {
            "links__0__listen": "127.0.0.1:0",
            "links__0__answer_within_ms": 3000,
            "links__0__margin_ms": 500,
            "hsm__budget_ms": 2000,
            "admin__listen": "",
        } | settings
        self.process: subprocess.Popen[bytes] | None = None
        self._lines: list[dict[str, Any]] = []  # of the log since the last start, so far
        self._read_to = 0
        self._reading = threading.Lock()

    # The process.

    def start(self, *, stdout: int | None = None, wait: bool = True) -> Switch:
        """Start, and wait until it serves. Output goes to files in the folder."""
        self._lines = []
        self._read_to = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as out, self.error_file.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=environment(self.settings),
                stdin=subprocess.DEVNULL,
                stdout=out if stdout is None else stdout,
                stderr=errors,
                start_new_session=True,
            )
        if wait:
            self.wait_for("started")
        return self

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to stop, as an orchestrator does, and wait; its exit code."""
        os.kill(self.pid, number)
        return self.wait()

    def kill(self) -> None:
        """Kill the switch alone: its Postgres lives on."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for the end; the exit code."""
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        """Leave nothing behind, whatever state a failed test left."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._end_postgres()
        secrecy.check_logs(self.folder)

    def _end_postgres(self) -> None:
        pids = self.postgres_pids()
        for pid in pids:
            _signal(pid, signal.SIGCONT)
        # An immediate shutdown takes the shared memory along, which a kill leaves in /dev/shm.
        for pid in pids:
            if parent(pid) not in pids:
                _signal(pid, signal.SIGQUIT)
        give_up = time.monotonic() + PATIENCE_SECONDS / 3
        while any(map(is_alive, pids)) and time.monotonic() < give_up:
            time.sleep(POLL_SECONDS)
        for pid in pids:
            if is_alive(pid):
                _signal(pid, signal.SIGKILL)
        until(lambda: not any(map(is_alive, pids)), "the end of Postgres")

    # Its log.

    @property
    def log_file(self) -> Path:
        """Standard output, of all starts."""
        return self.folder / "stdout.log"

    @property
    def error_file(self) -> Path:
        """Standard error, of all starts."""
        return self.folder / "stderr.log"

    def lines(self, event: str | None = None, **fields: object) -> list[dict[str, Any]]:
        """The log lines since the last start: all, or those of an event with these fields."""
        # Who waits looks again and again: what was read is not read anew.
        with self._reading, self.log_file.open("rb") as file:
            file.seek(self._read_to)
            whole = b"".join(file.read().rpartition(b"\n")[:2])
            self._lines += map(orjson.loads, whole.splitlines())
            self._read_to += len(whole)
        wanted = fields if event is None else {"event": event, **fields}
        return [line for line in self._lines if wanted.items() <= line.items()]

    def wait_for(self, event: str, **fields: object) -> dict[str, Any]:
        """Wait for an event with these fields and give its last line."""

        def came() -> bool:
            has_ended = self.process is not None and self.process.poll() is not None
            found = bool(self.lines(event, **fields))
            assert found or not has_ended, (
                f"the switch ended before {event}: {self.error_file.read_text()[-500:]}"
            )
            return found

        until(came, event)
        return self.lines(event, **fields)[-1]

    def port(self, link: str = "demo") -> int:
        """The port that a link listens on."""
        ports = [line["port"] for line in self.lines("link_listening") if line["link"] == link]
        return int(ports[-1])

    # Its Postgres.

    @property
    def data_dir(self) -> Path:
        """The embedded server's folder."""
        return self.folder / "var" / "postgres"

    @property
    def database_url(self) -> str:
        """The embedded server's address."""
        place = {"host": (self.data_dir / "run").resolve(), "port": 5432, "user": "switch"}
        return f"postgresql:///switch?{urlencode(place)}"

    def postmaster(self) -> int:
        """The process id of the embedded server."""
        return int((self.data_dir / "data" / "postmaster.pid").read_text().split()[0])

    def postgres_pids(self) -> list[int]:
        """The embedded server's processes: those that run over our folder, and their children."""
        return postgres_over(self.data_dir / "data")

    def signal_postgres(self, number: signal.Signals) -> None:
        """Send a signal to every process of the embedded server."""
        for pid in self.postgres_pids():
            _signal(pid, number)

    async def connect(self) -> asyncpg.Connection[asyncpg.Record]:
        """A connection to its database, for the test's own eyes."""
        return await asyncpg.connect(self.database_url)


@contextlib.contextmanager
def running(folder: Path, **settings: object) -> Iterator[Switch]:
    """A switch that serves, and of which nothing is left afterwards.

    Its Postgres was migrated before; `Switch.start` in an empty folder is the first start.
    """
    switch = Switch(folder, **settings)
    if "database__url" not in settings:
        PREPARED.lay(switch.data_dir)
    try:
        yield switch.start()
    finally:
        switch.end()


def postgres_over(data: Path) -> list[int]:
    """The processes of a server over a cluster: those that were started so, and their children."""
    servers = [pid for pid, words in _commands() if f"-D {data} " in words]
    return [*servers, *(pid for pid in _pids() if parent(pid) in servers)]


def is_alive(pid: int) -> bool:
    """Whether a process runs: a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def parent(pid: int) -> int | None:
    """The parent of a process; none where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def _pids() -> Iterator[int]:
    return (int(place.name) for place in Path("/proc").glob("[0-9]*"))


def _commands() -> Iterator[tuple[int, str]]:
    for pid in _pids():
        with contextlib.suppress(OSError):
            words = os.fsdecode(Path(f"/proc/{pid}/cmdline").read_bytes())
            yield pid, words.replace("\0", " ")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def as_setting(url: str) -> str:
    """A database's URL as settings want it: with two slashes also where no host follows."""
    return url if "//" in url else url.replace("postgresql:/", "postgresql:///", 1)
