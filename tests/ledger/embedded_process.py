"""Processes that use an embedded Postgres, for tests of who starts, adopts and stops it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from switch.ledger.embedded_files import Folder

#: How long anything here may take before a test fails, seconds.
PATIENCE_SECONDS = 30.0

USER = """
import asyncio, sys
from pathlib import Path

import asyncpg
from switch.ledger.embedded import EmbeddedError, EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.url, flush=True)
        try:
            loop = asyncio.get_running_loop()
            told = asyncio.Event()
            loop.add_reader(0, told.set)
            await told.wait()
        finally:
            connection = await asyncpg.connect(server.url)
            print("last words", await connection.fetchval("SELECT 1"), flush=True)
            await connection.close()

try:
    asyncio.run(main())
except EmbeddedError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    sys.exit(130)
"""


class User:
    """A process inside `async with EmbeddedPostgres(folder)`, leading a group of its own."""

    def __init__(
        self,
        folder: Path,
        *,
        python: Sequence[str] = (sys.executable,),
        environment: Mapping[str, str] | None = None,
        uid: int | None = None,
    ) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [*python, "-c", USER, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
            user=uid,
            group=uid,
            extra_groups=None if uid is None else [],
        )

    def url(self) -> str:
        """Wait until the process is in; the URL that it was given."""
        assert self.process.stdout is not None
        url = self.process.stdout.readline().strip()
        assert url, self.end()
        return url

    def leave(self) -> str:
        """Let the process go out in order; all that it printed since."""
        return self.end("\n")

    def interrupt(self) -> str:
        """Do what a terminal does on Ctrl-C: interrupt the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.end()

    def kill(self, *, group: bool = False) -> None:
        """Kill the process, or all of its group."""
        (os.killpg if group else os.kill)(self.process.pid, signal.SIGKILL)
        self.end()

    def end(self, told: str | None = None) -> str:
        """Wait for the process's end; all that it printed."""
        out, err = self.process.communicate(told, timeout=PATIENCE_SECONDS)
        return out + err


def query(url: str, statement: str) -> Any:
    """Run a statement over a connection of its own; the first value of the first row."""
    return asyncio.run(fetch(url, statement))


async def fetch(url: str, statement: str) -> Any:
    """The same for a test that has a loop."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def server_pid(folder: Path) -> int:
    """The process id that postmaster.pid has."""
    found = Folder(folder).postmaster()
    assert found is not None
    return found.pid


def servers(folder: Path) -> list[str]:
    """The command line of every server, or one to be, over a folder's data."""
    if Path("/proc/self/cmdline").exists():
        commands = []
        for file in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                commands.append(os.fsdecode(file.read_bytes()).replace("\0", " "))
            except OSError:
                continue
    else:
        shown = subprocess.check_output(["/bin/ps", "-axww", "-o", "command="], text=True)
        commands = shown.splitlines()
    return [line for line in commands if "postgres" in line and f"-D {folder / 'data'} " in line]


def until(true: Callable[[], object]) -> None:
    """Wait until something holds."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.01)
