"""The embedded Postgres in bad times: killed, half made, interrupted, brought back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import asyncpg
import pytest

from switch.ledger.embedded import EmbeddedPostgres
from tests.ledger.embedded_process import User, fetch, query, server_pid, servers, until

# ---- killed -----------------------------------------------------------------------------------


def test_stale_pid(folder: Path) -> None:
    """A postmaster.pid whose number now belongs to another process does not keep us out."""
    user = User(folder)
    query(user.url(), "CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(server_pid(folder), signal.SIGKILL)
    user.kill()
    until(lambda: not servers(folder))
    for left in (folder / "data" / "postmaster.pid", folder / "run" / ".s.PGSQL.5432.lock"):
        left.write_text("\n".join([str(os.getpid()), *left.read_text().split("\n")[1:]]))
    user = User(folder)
    assert 42 == query(user.url(), "SELECT answer FROM kept")
    user.leave()


@pytest.mark.parametrize("group", [True, False], ids=["initdb killed too", "initdb goes on"])
def test_half_made(quick_path: Path, *, group: bool) -> None:
    """A first start that is killed in the middle is begun anew by the next."""
    killed = User(quick_path)
    until(lambda: any(quick_path.glob("initdb-*/base")))
    killed.kill(group=group)
    assert not (quick_path / "data").exists()
    user = User(quick_path)
    assert 1 == query(user.url(), "SELECT 1")
    user.leave()
    if group:
        assert not any(quick_path.glob("initdb-*"))


async def test_postmaster_killed(folder: Path) -> None:
    """A killed Postgres is brought back with every committed row, also past a busy backend."""
    async with EmbeddedPostgres(folder) as server:
        connection = await asyncpg.connect(server.url)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        # A backend that computes notices only at its end that its server is dead.
        computing = asyncio.create_task(
            connection.fetchval("SELECT count(*) FROM generate_series(1, 5000000)")
        )
        await asyncio.sleep(0.1)
        killed = server_pid(folder)
        os.kill(killed, signal.SIGKILL)
        await asyncio.to_thread(until, lambda: not servers(folder))
        await server.ensure_running()
        assert killed != server_pid(folder)
        assert 42 == await fetch(server.url, "SELECT answer FROM kept")
        await asyncio.gather(computing, return_exceptions=True)
        connection.terminate()
        await server.ensure_running()


async def test_watch(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch tells that the server died, why it cannot start yet, and that it is back."""
    monkeypatch.setattr("switch.ledger.embedded.WATCH_SECONDS", 0.05)
    events: list[tuple[str, dict[str, object]]] = []

    async def told(event: str) -> dict[str, object]:
        async with asyncio.timeout(20):
            while event not in (name for name, _ in events):  # noqa: ASYNC110 - a list of a test
                await asyncio.sleep(0.01)
        return events[-1][1]

    async with EmbeddedPostgres(folder) as server:
        watching = asyncio.create_task(
            server.watch(lambda event, **fields: events.append((event, fields)))
        )
        control = folder / "data" / "global" / "pg_control"
        control.rename(folder / "pg_control")  # what a start cannot do without
        os.kill(server_pid(folder), signal.SIGKILL)
        assert "could not find the database system" in str(
            (await told("database_restart_failed"))["problem"]
        )
        (folder / "pg_control").rename(control)
        seconds = (await told("database_restarted"))["seconds"]
        assert isinstance(seconds, float)
        assert 1 == await fetch(server.url, "SELECT 1")
        watching.cancel()
    assert ["database_died", "database_restart_failed", "database_restarted"] == [
        event for event, _ in events
    ]


# ---- Ctrl-C -----------------------------------------------------------------------------------


def test_interrupt(folder: Path) -> None:
    """Ctrl-C reaches the switch and not Postgres, which answers until the switch has drained."""
    user = User(folder)
    user.url()
    assert "last words 1\n" == user.interrupt()
    assert 130 == user.process.returncode
    assert [] == servers(folder)


@pytest.mark.parametrize("delay", [0.3, 0.5, 0.7, 0.9])
def test_interrupt_while_starting(quick_path: Path, delay: float) -> None:
    """Ctrl-C at any moment of the first start leaves no server behind, and can be started anew."""
    user = User(quick_path)
    time.sleep(delay)
    user.interrupt()
    until(lambda: not servers(quick_path))
    time.sleep(0.1)
    assert [] == servers(quick_path)
