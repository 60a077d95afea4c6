"""A disk that has no room for Postgres's log."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.client import connected
from tests.faults.conftest import DEADLINE
from tests.faults.hit import insist
from tests.faults.load import Load, loading, settled
from tests.faults.purchases import advice, repeat
from tests.faults.small_disk import Cramped, missing
from tests.faults.statement_points import broken_rules
from tests.traffic import add_load_cards, code, load_card, purchase

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

CARDS = 41


@pytest.fixture
def switch(quick_root: Path) -> Iterator[Cramped]:
    """A switch whose database has little room."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        cramped = Cramped(Path(folder), **DEADLINE)
        try:
            cramped.start()
            add_load_cards(cramped.database_url, CARDS)
            yield cramped
        finally:
            cramped.end()


async def write_log(switch: Cramped) -> None:
    """Let Postgres write its log on, until it cannot."""
    with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection = await switch.connect()
        while True:
            await connection.execute(
                "SELECT pg_logical_emit_message(true, '', repeat('x', 1 << 20))"
            )


async def test_a_full_disk_declines_until_there_is_room(switch: Cramped) -> None:
    """No room for the log: 91, no approval without its row; an advice waits, and is booked."""
    load, happened = Load(CARDS - 1), advice(purchase(load_card(CARDS - 1), 500), 300)
    async with connected(switch.port()) as client, loading(client, load):
        await load.more(100)
        with switch.full():
            await write_log(switch)
            waiting = client.send(happened)
            await load.more(50, "91")
            await asyncio.to_thread(switch.wait_for, "database_restart_failed")
            await load.more(20, "91")
            assert not waiting.done()
        await load.more(100)
        assert "00" == code(await insist(client, repeat(happened)))
    assert {"00", "91"} == set(map(code, load.answered.values()))
    assert load.asked.keys() == load.answered.keys()
    connection = await switch.connect()
    await settled(connection, load)
    await connection.close()
    assert [] == await broken_rules(switch.database_url)
