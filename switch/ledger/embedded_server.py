"""
One Postgres server over one folder: made, started, found, asked, stopped.

Nothing here knows who else uses the folder; `embedded` sees that only one
process at a time starts or stops the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlencode

import asyncpg

from switch.ledger import embedded_root
from switch.ledger.embedded_files import (
    PORT,
    Binaries,
    EmbeddedError,
    Folder,
)

#: Time to come up, seconds. After a crash Postgres first replays up to max_wal_size of its
#: log; it is never killed for being slow at that.
START_LIMIT_SECONDS = 120.0

#: Time for an orderly stop, seconds: backends end and one checkpoint is written. Beyond it
#: the server is told to quit at once, and replays its log at the next start.
STOP_LIMIT_SECONDS = 60.0

#: Time for that quitting, seconds.
QUIT_LIMIT_SECONDS = 10.0

#: How often a state that should soon change is looked at, seconds.
POLL_SECONDS = 0.02

#: How long to wait before another start over data that a killed server still uses, seconds.
RETRY_SECONDS = 0.25

#: The one role, a superuser, and the one database. Nobody else can reach the socket.
ROLE = DATABASE = "switch"

SETTINGS = {
    # An approval that was sent has a committed row, also after a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # Nobody but this machine's user: a socket in a folder of theirs, no network.
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    # Room for the switch, its admin page, a command or two; small enough for a laptop.
    "max_connections": "50",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    # Files of the log that a quiet night leaves for the morning. Without one everybody who commits
    # waits for some 60 ms, while 16 MB of zeros are written.
    "min_wal_size": "512MB",
    # Compiling a query costs more than any of ours takes.
    "jit": "off",
    "timezone": "UTC",
    # The log tells of the server, never of data: no statement, no parameter, no DETAIL, and
    # no ERROR, whose text may quote a value. What failed is told to the client that asked.
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_timezone": "UTC",
    "log_min_messages": "log",
    "log_error_verbosity": "terse",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_min_duration_statement": "-1",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
}

INITDB = (
    f"--username={ROLE}",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--data-checksums",
    "--no-instructions",
)

#: What a server says whose predecessor was killed a moment ago, before all of that one's
#: backends have noticed. It passes.
STILL_IN_USE = "still in use"

T = TypeVar("T")


class Server:
    """The server over a folder, whoever started it."""

    def __init__(self, folder: Folder, binaries: Binaries) -> None:
        self.binaries = binaries
        self._folder = folder
        self._launched: int | None = None  # the process we started last
        self._socket_dir = ""

    def url(self, database: str) -> str:
        """A database's URL, over the socket of the server that answered last."""
        place = urlencode({"host": self._socket_dir, "port": PORT, "user": ROLE})
        return f"postgresql:///{database}?{place}"

    def pid(self) -> int | None:
        """The server's process, or None where there is none."""
        found = self._folder.postmaster()
        if found is not None and self._folder.serves(found.pid):
            self._launched = None  # from here on the file tells: this number may be given anew
            return found.pid
        new = self._launched
        return new if new is not None and self._folder.will_serve(new) else None

    async def bring_up(self) -> None:
        """Have a server that answers: the one that runs, or a new one over the same data."""
        give_up = time.monotonic() + START_LIMIT_SECONDS
        log_from: int | None = None
        while not await self._answers():
            if self.pid() is None:
                if log_from is not None:
                    self._check_it_may_pass(log_from)
                    await asyncio.sleep(RETRY_SECONDS)
                log_from = self._folder.new_log()
                await self._launch()
            if time.monotonic() > give_up:
                raise EmbeddedError(
                    f"Postgres in {self._folder.root} does not answer after "
                    f"{START_LIMIT_SECONDS:.0f} s, perhaps still recovering from a crash. "
                    f"It was left running: see {self._folder.log}, then try again"
                )
            await asyncio.sleep(POLL_SECONDS)
        await self._create_database()

    async def shut_down(self) -> None:
        """Stop the server in good order: connections end, a checkpoint is written."""
        for how, limit_seconds in (
            (signal.SIGINT, STOP_LIMIT_SECONDS),  # what Postgres calls a fast shutdown
            (signal.SIGQUIT, QUIT_LIMIT_SECONDS),
        ):
            pid = self.pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
            if await self._ends_within(limit_seconds):
                return
        raise EmbeddedError(f"Postgres does not stop: see {self._folder.log}")

    async def _ends_within(self, seconds: float) -> bool:
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            if self.pid() is None:
                return True
            await asyncio.sleep(POLL_SECONDS)
        return False

    async def _answers(self) -> bool:
        """Whether the server of postmaster.pid takes a connection."""
        found = self._folder.postmaster()
        if found is None:
            return False
        self._socket_dir = found.socket_dir
        try:
            connection = await asyncpg.connect(self.url("postgres"), timeout=5)
        except asyncpg.TooManyConnectionsError:
            return True
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        await connection.close()
        if self._folder.serves(found.pid):
            return True
        raise EmbeddedError(
            f"{self._folder.data} is served by a Postgres that this process cannot see, perhaps in "
            "another container: stop that, or set database.data_dir to another folder"
        )

    async def _create_database(self) -> None:
        """Create our database where the server has none yet."""
        try:
            connection = await asyncpg.connect(self.url("postgres"))
        except asyncpg.TooManyConnectionsError:
            return  # so busy that it cannot be new
        try:
            if not await connection.fetchval(
                "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", DATABASE
            ):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        except asyncpg.PostgresError as error:
            raise EmbeddedError(f"Postgres in {self._folder.root}: {error.args[0]}") from None
        finally:
            await connection.close()

    async def _launch(self) -> None:
        """Start the server over the cluster, which is made where there is none."""
        if not self._folder.data.exists():
            await to_the_end(self._make_cluster)
        await to_the_end(self._start)

    def _make_cluster(self) -> None:
        """Run initdb beside the cluster's place and move what it made there when it is whole."""
        root = self._folder.root
        for half_made in root.glob("initdb-*"):
            shutil.rmtree(half_made, ignore_errors=True)
        fresh = root / f"initdb-{secrets.token_hex(4)}"
        self._run("-", "initdb", f"--pgdata={fresh}", *INITDB)
        fresh.rename(self._folder.data)
        file = os.open(root, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _start(self) -> None:
        """Start Postgres in a session of its own."""
        made_by, ours = self._folder.cluster_major(), self.binaries.major()
        if made_by != ours:
            raise EmbeddedError(
                f"{self._folder.data} was made by Postgres {made_by} and this is Postgres {ours}: "
                "move it away to begin anew, or dump it with the old version and restore it"
            )
        socket_dir = str(self._folder.socket_dir()).replace('"', '""')
        settings = SETTINGS | {"unix_socket_directories": f'"{socket_dir}"'}
        if self.binaries.has_library("pg_stat_statements"):
            settings |= {
                "shared_preload_libraries": "pg_stat_statements",
                "pg_stat_statements.track_utility": "off",  # their text would stand there whole
            }
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        printed = self._run(str(self._folder.log), "postgres", "-D", str(self._folder.data), *flags)
        # Kept here, in the thread: who is cancelled while starting must still know whom to stop.
        self._launched = int(printed)

    def _run(self, log: str, program: str, *arguments: str) -> str:
        """Run a program as somebody who is not root; what it printed."""
        script = [sys.executable, "-I", "-S", embedded_root.__file__]
        words = [str(self._folder.root), log, self.binaries.path(program), *arguments]
        ran = subprocess.run(  # noqa: S603 - our own script, the installation's own programs
            script + words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=self._environment(),
            check=False,
        )
        if ran.returncode != 0:
            raise EmbeddedError(f"{program}: {first_failure(ran.stderr)}")
        return ran.stdout

    def _environment(self) -> dict[str, str]:
        """All that Postgres is told of our environment: no setting of ours, no secret."""
        kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
        environment = {name: os.environ[name] for name in kept if name in os.environ}
        environment |= {"LC_ALL": "C", "TZ": "UTC"}
        if stale := self._folder.postmaster():
            # Postgres will not start while the process that postmaster.pid names lives. We have
            # seen that it is none of ours: its number was given anew, as numbers are in
            # containers. Postgres overlooks the number it finds here (so pg_ctl starts it from a
            # script), and still refuses where the old server's shared memory is in use.
            environment["PG_GRANDPARENT_PID"] = str(stale.pid)
        return environment

    def _check_it_may_pass(self, log_from: int) -> None:
        """Raise why the server that we started died, unless that is something that passes."""
        said = self._folder.logged_since(log_from)
        if STILL_IN_USE not in said:
            raise EmbeddedError(
                f"Postgres does not start: {first_failure(said)} (see {self._folder.log})"
            )


def first_failure(said: str) -> str:
    """The line that tells why, of what a Postgres program printed."""
    lines = [line for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"FATAL|PANIC|error:|ERROR", line)]
    chosen = (telling or lines or ["it ended without a word"])[0]
    return re.sub(r"^.*?(FATAL|PANIC|ERROR|error):\s+", "", chosen)


async def to_the_end(work: Callable[[], T]) -> T:
    """Run blocking work in a thread and wait for its end, also when cancelled."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await running
        raise
