"""
The ledger on a Citus cluster, distributed by deploy/distribute.sql.

SWITCH_CITUS_DSN names an empty database of its coordinator, in which `CREATE EXTENSION citus` was
done on every node and workers were added. What is tried is left there.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger.migrate import migrate
from switch.ledger.queries import QUERIES
from tests.ledger.distributing import DISTRIBUTION
from tests.ledger.support import Books, ask
from tests.process import Switch, running
from tests.traffic import GOLDEN
from tests.typed import typed

DSN = os.environ.get("SWITCH_CITUS_DSN", "")
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not DSN, reason="SWITCH_CITUS_DSN names no Citus database to try it on"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def distributed() -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """The coordinator, once the schema is there and distributed."""
    await migrate(DSN)
    connection = await asyncpg.connect(DSN)
    assert await connection.fetchval(QUERIES["is_empty"]), "SWITCH_CITUS_DSN: not an empty database"
    for statement in DISTRIBUTION.statements:
        await connection.execute(statement)
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
def switch(distributed: asyncpg.Connection[asyncpg.Record], quick_root: Path) -> Iterator[Switch]:
    """A switch on it, with the demo's cards."""
    settings = {
        "database__url": DSN, "database__one_account_per_call": "true", "database__cards_kept": 0,
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **settings) as started,
    ):
        yield started


async def test_the_tables_are_distributed(
    distributed: asyncpg.Connection[asyncpg.Record],
) -> None:
    """What moves with an account is in one group of shards, by account_id."""
    rows = await distributed.fetch(
        "SELECT table_name::text, distribution_column, colocation_id FROM citus_tables"
        " WHERE citus_table_type = 'distributed'"
    )
    assert {row[0] for row in rows} >= DISTRIBUTION.distributed
    assert {"account_id"} == {row[1] for row in rows}
    assert 1 == len({row[2] for row in rows})


async def test_a_call_is_one_task(distributed: asyncpg.Connection[asyncpg.Record]) -> None:
    """A decision goes whole to the node that has its account."""
    call = (0, *ask(1))
    plan = await distributed.fetch("EXPLAIN " + QUERIES["authorize_of"], 1, [call])
    assert "Task Count: 1" in "\n".join(row[0] for row in plan)


async def test_the_day_is_answered_right(switch: Switch) -> None:
    """Each of the 75 messages of the demo's day is answered as on one Postgres."""
    played = typed("replay", str(GOLDEN / "scenario.jsonl"), "--to", f"127.0.0.1:{switch.port()}")
    assert played.stdout.endswith("75 right, 0 different, 0 sent and not compared\n"), played.stdout


async def test_the_books_are_right(
    switch: Switch, distributed: asyncpg.Connection[asyncpg.Record]
) -> None:
    """Every balance follows from its postings and open holds, over all nodes."""
    assert [] == await Books(distributed).wrong_balances()
    audited = typed("audit", settings={"database__url": DSN})
    assert 0 == audited.exit_code, audited.stdout
