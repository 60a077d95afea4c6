"""Processes that are killed under load: what was told stays true."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal

from tests.client import connected
from tests.faults.load import Load, check, loading, settled
from tests.process import Switch, until
from tests.traffic import code, load_card, purchase


async def ask_again(switch: Switch, load: Load) -> None:
    """Repeat every message of which we know the decision: each gets the same answer, code too."""
    known = {rrn: answer for rrn, answer in load.answered.items() if code(answer) != "91"}
    async with connected(switch.port()) as client:
        for rrn, answer in list(known.items())[-300:]:
            assert answer == await client.ask(load.asked[rrn])


async def test_a_killed_switch_has_told_nothing_that_is_not_there(switch: Switch) -> None:
    """kill -9 under load: each approval that arrived has its row, and a repeat its answer."""
    load = Load()
    for _ in range(2):
        async with connected(switch.port()) as client, loading(client, load):
            await load.more(200)
            switch.kill()
        await asyncio.to_thread(switch.start)
        connection = await switch.connect()
        await check(connection, load)
        await connection.close()
        await ask_again(switch, load)

    # What was never answered is decided now, once.
    async with connected(switch.port()) as client:
        for rrn in load.asked.keys() - load.answered.keys():
            load.answered[rrn] = await client.ask(load.asked[rrn])
    assert load.asked.keys() == load.answered.keys()
    connection = await switch.connect()
    await settled(connection, load)
    await connection.close()


async def test_a_killed_postgres_comes_back_by_itself(switch: Switch) -> None:
    """kill -9 of Postgres under load: 91 meanwhile, then decisions again, and nothing is lost."""
    load = Load()
    async with connected(switch.port()) as client, loading(client, load):
        await load.more(200)
        before = switch.postmaster()
        # Whoever has the turn starts Postgres: until we let it go it stays dead.
        with (switch.data_dir / "turn.lock").open("rb+") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            switch.signal_postgres(signal.SIGKILL)
            await load.more(50, "91")
        await asyncio.to_thread(switch.wait_for, "database_restarted")
        await load.more(200)
    assert before != switch.postmaster()
    assert {"00", "91"} == set(map(code, load.answered.values()))
    assert load.asked.keys() == load.answered.keys()
    connection = await switch.connect()
    await settled(connection, load)
    await connection.close()
    await ask_again(switch, load)


async def test_killed_backends_are_replaced(switch: Switch) -> None:
    """When every backend is told to leave mid-load, requests are answered and decided again."""
    load = Load()
    connection = await switch.connect()
    async with connected(switch.port()) as client, loading(client, load):
        for _ in range(5):
            await load.more(50)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'switch'"
            )
        await load.more(50)
    assert set(map(code, load.answered.values())) <= {"00", "91"}
    await settled(connection, load)
    await connection.close()
    await ask_again(switch, load)


async def test_a_backend_that_is_killed_under_load(switch: Switch) -> None:
    """kill -9 of one backend: Postgres starts its sessions anew; 91 meanwhile, nothing is lost."""
    load = Load()
    async with connected(switch.port()) as client, loading(client, load):
        for _ in range(3):
            await load.more(100)
            connection = await switch.connect()
            pid = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'switch' LIMIT 1"
            )
            os.kill(pid, signal.SIGKILL)
            connection.terminate()
        await load.more(100)
    assert set(map(code, load.answered.values())) <= {"00", "91"}
    assert load.asked.keys() == load.answered.keys()
    connection = await switch.connect()
    await settled(connection, load)
    await connection.close()
    await ask_again(switch, load)


async def test_a_switch_that_is_told_to_stop_under_load(switch: Switch) -> None:
    """SIGTERM under load: what was taken is answered, what was told stays true after a restart."""
    load = Load()
    async with connected(switch.port()) as client, loading(client, load):
        await load.more(200)
        assert 0 == await asyncio.to_thread(switch.stop)
    assert {"00"} == set(map(code, load.answered.values()))
    assert load.answered.keys() == {
        line["rrn"] for line in switch.lines("message") if line["rrn"] in load.asked
    }
    await asyncio.to_thread(switch.start)
    connection = await switch.connect()
    await check(connection, load)
    await connection.close()
    await ask_again(switch, load)


async def test_a_switch_and_its_postgres_killed_together_recover(switch: Switch) -> None:
    """kill -9 of everything at once, as a power cut does: all that was told is there."""
    load = Load()
    async with connected(switch.port()) as client, loading(client, load):
        await load.more(200)
        assert switch.postgres_pids()
        switch.kill()
        switch.signal_postgres(signal.SIGKILL)
    until(lambda: not switch.postgres_pids(), "the end of Postgres")
    await asyncio.to_thread(switch.start)
    connection = await switch.connect()
    await settled(connection, load)
    await connection.close()
    await ask_again(switch, load)


async def test_a_killed_switch_leaves_a_server_that_the_next_adopts(switch: Switch) -> None:
    """After kill -9 the next start takes over the Postgres that still runs, and stops it."""
    postmaster = switch.postmaster()
    switch.kill()
    await asyncio.to_thread(switch.start)
    assert postmaster == switch.postmaster()
    async with connected(switch.port()) as client:
        assert "00" == code(await client.ask(purchase(load_card(0))))
    assert 0 == await asyncio.to_thread(switch.stop)
    assert [] == switch.postgres_pids()
