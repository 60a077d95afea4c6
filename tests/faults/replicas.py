"""A primary and its standby: real servers over TCP, of the embedded binaries."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from switch.ledger import embedded_root
from switch.ledger.embedded_files import find_binaries
from switch.ledger.embedded_server import SETTINGS
from tests.faults.slow import Connection
from tests.prepared import PREPARED
from tests.process import eventually, free_port, is_alive, postgres_over, until

#: By this name the primary knows its standby.
STANDBY = "standby"
_TRUST = "local all all trust\nhost all,replication all 127.0.0.1/32 trust\n"
#: What differs from an embedded server: TCP, and less memory, which goes with the data's folder.
_SETTINGS = SETTINGS | {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "dynamic_shared_memory_type": "mmap",
}


@dataclass
class Server:
    """One of the two, in a folder of its own."""

    folder: Path
    port: int

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.folder / "data"

    @property
    def pids(self) -> list[int]:
        """Its processes."""
        return postgres_over(self.data)

    def start(self, **settings: str) -> None:
        """Start it and wait until it answers; settings beside those of every server."""
        log = self.folder / "postgres.log"
        log.touch()
        given = _SETTINGS | {"port": str(self.port)} | settings
        flags = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        server = find_binaries().path("postgres")
        subprocess.run(
            [sys.executable, "-I", "-S", embedded_root.__file__, str(self.folder), str(log),
             server, "-D", str(self.data), *flags],
            stdin=subprocess.DEVNULL, check=True, capture_output=True,
        )  # fmt: skip
        until(lambda: "ready to accept" in log.read_text(), f"Postgres in {self.folder}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all of it at once, as a machine that is lost, or frozen."""
        for pid in self.pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def end(self) -> None:
        """Leave nothing of it behind."""
        pids = self.pids
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGQUIT)
        until(lambda: not any(map(is_alive, pids)), "the end of Postgres")

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[Connection]:
        """A connection to this one, whatever it is."""
        connection = await asyncpg.connect(f"postgresql://switch@127.0.0.1:{self.port}/switch")
        try:
            yield connection
        finally:
            connection.terminate()

    async def execute(self, *statements: str) -> None:
        """Run statements here, each by itself."""
        async with self.connected() as connection:
            for statement in statements:
                await connection.execute(statement)

    async def promote(self) -> None:
        """Make the standby the primary, and wait until it is."""
        async with self.connected() as connection:
            assert await connection.fetchval("SELECT pg_promote(true, 30)")

    async def switches_connected(self) -> int:
        """How many connections of switches there are: to decide, and to look."""
        async with self.connected() as connection:
            count: int = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'switch%'"
            )
        return count


@dataclass(frozen=True)
class Pair:
    """A primary, its standby, and the URL by which switches know both."""

    primary: Server
    standby: Server

    @property
    def url(self) -> str:
        """Of both, the first primary first."""
        hosts = ",".join(f"127.0.0.1:{server.port}" for server in (self.primary, self.standby))
        return f"postgresql://switch@{hosts}/switch?target_session_attrs=read-write"

    async def is_replicating(self) -> None:
        """Wait until the standby has all that the primary has."""
        async with self.primary.connected() as connection:

            async def has_all() -> bool:
                return bool(await connection.fetchval(
                    "SELECT bool_or(pg_current_wal_lsn() = flush_lsn) FROM pg_stat_replication"
                ))  # fmt: skip

            await eventually(has_all, "a standby that has all")

    async def stop_replicating(self) -> None:
        """Let the standby receive nothing more, as over a network that is cut."""
        await self.standby.execute(
            "ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"
        )
        async with self.primary.connected() as connection:

            async def is_alone() -> bool:
                return not await connection.fetchval("SELECT count(*) FROM pg_stat_replication")

            await eventually(is_alone, "a primary that is alone")


@contextlib.contextmanager
def pair(root: Path, *, is_synchronous: bool) -> Iterator[Pair]:
    """A migrated primary whose commits wait for its standby, or do not."""
    ports = [free_port(), free_port()]
    both = Pair(*(Server(root / f"server{port}", port) for port in ports))
    primary, standby = both.primary, both.standby
    primary.folder.mkdir(mode=0o700)
    standby.folder.mkdir(mode=0o700)
    shutil.copytree(PREPARED.made() / "data", primary.data)
    (primary.data / "pg_hba.conf").write_text(_TRUST)
    if is_synchronous:
        with (primary.data / "postgresql.conf").open("a") as settings:
            settings.write(f"synchronous_standby_names = {STANDBY}\n")
    try:
        primary.start()
        source = f"host=127.0.0.1 port={primary.port} user=switch application_name={STANDBY}"
        subprocess.run(
            [find_binaries().path("pg_basebackup"), "--dbname", source, "--no-sync",
             "--checkpoint=fast", "--write-recovery-conf", "--pgdata", str(standby.data)],
            check=True, capture_output=True,
        )  # fmt: skip
        standby.start(synchronous_standby_names="")  # once it is the primary it has none
        yield both
    finally:
        for server in (primary, standby):
            server.end()
        shutil.rmtree(primary.folder)
        shutil.rmtree(standby.folder)
