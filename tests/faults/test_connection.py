"""A switch whose way to Postgres breaks in the middle of a call."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger.queries import QUERIES
from tests.client import Client, connected
from tests.conftest import TEMPLATE, PostgresServer
from tests.faults.conftest import DEADLINE
from tests.faults.proxy import Proxy, proxied
from tests.faults.slow import Connection, hold_state
from tests.process import Switch, eventually
from tests.traffic import PLAIN, code, purchase

#: The wire lives as long as the switch, and so does the loop that it runs in.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True)
class Wired:
    """A switch that reaches its database over a wire alone."""

    switch: Switch
    proxy: Proxy
    database: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wired(migrated_server: PostgresServer, quick_root: Path) -> AsyncIterator[Wired]:
    """The switch, and the wire that can be cut."""
    database = contextlib.contextmanager(migrated_server.fresh)
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        database(TEMPLATE) as url,
    ):
        async with proxied(url) as proxy:
            # Without kept cards each message looks for its own over that wire.
            settings = {"database__url": proxy.url, "database__cards_kept": 0, **DEADLINE}
            switch = Switch(Path(folder), **settings)
            try:
                await asyncio.to_thread(switch.start)
                yield Wired(switch, proxy, url)
            finally:
                await asyncio.to_thread(switch.end)


@pytest_asyncio.fixture(loop_scope="module")
async def client(wired: Wired) -> AsyncIterator[Client]:
    """A client of that switch."""
    async with connected(wired.switch.port()) as connection:
        yield connection


@pytest_asyncio.fixture(loop_scope="module")
async def ledger(wired: Wired) -> AsyncIterator[Connection]:
    """The test's own connection to the database."""
    connection = await asyncpg.connect(wired.database)
    yield connection
    await connection.close()


async def test_an_approval_whose_answer_is_lost_on_the_way_is_taken_back(
    wired: Wired, client: Client, ledger: Connection
) -> None:
    """The connection breaks after the commit, before its answer: 91, and the hold is unwound."""
    asked = purchase(PLAIN, 4200)
    wired.proxy.cut_after = asked.fields[37].encode()
    assert "91" == code(await client.ask(asked))
    assert not wired.proxy.is_armed

    async def is_unwound() -> bool:
        return await hold_state(ledger, asked.fields[37]) == "unwound"

    await eventually(is_unwound, "the unwinding")
    assert [] == await ledger.fetch(QUERIES["audit"])
    assert "05" == code(await client.ask(asked))
    assert "00" == code(await client.ask(purchase(PLAIN)))


async def test_a_call_that_is_lost_on_the_way_holds_nothing(
    wired: Wired, client: Client, ledger: Connection
) -> None:
    """The connection breaks before the call arrives: 91, and nothing is ever held."""
    asked = purchase(PLAIN, 4200)
    wired.proxy.cut_before = asked.fields[37].encode()
    assert "91" == code(await client.ask(asked))
    assert not wired.proxy.is_armed

    async def has_mark() -> bool:
        count: int = await ledger.fetchval("SELECT count(*) FROM early_marks")
        return count == 1

    await eventually(has_mark, "the mark")
    assert await hold_state(ledger, asked.fields[37]) is None
    assert "05" == code(await client.ask(asked))
    assert "00" == code(await client.ask(purchase(PLAIN)))


async def test_a_lookup_that_is_lost_on_the_way_is_no_unknown_card(
    wired: Wired, client: Client, ledger: Connection
) -> None:
    """A broken lookup is an outage: 91, never 14, and a repeat is decided afresh."""
    token = await ledger.fetchval("SELECT pan_token FROM pan_tokens WHERE card_id = 1")
    asked = purchase(PLAIN)
    wired.proxy.cut_after = token
    assert "91" == code(await client.ask(asked))
    assert not wired.proxy.is_armed

    async def is_decided() -> bool:
        return code(await client.ask(asked)) == "00"

    await eventually(is_decided, "a decision on the new connection")
