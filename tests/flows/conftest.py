"""A house whose program is the demo's, over one database for a file of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest_asyncio

from switch.demo.program import read_program
from tests.flows.support import Events, House, noting, open_house
from tests.ledger.support import PROGRAM, Books, ledger_on


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared_database: str, books: Books, quick_path: Path) -> AsyncIterator[House]:
    """An issuer whose ledger is real and whose HSM does as it is told."""
    await books.connection.execute(
        "UPDATE programs SET settings = $1::jsonb WHERE program_id = $2",
        orjson.dumps(read_program().program["settings"]).decode(),
        PROGRAM,
    )
    told: Events = []
    async with ledger_on(shared_database, quick_path / "journal", on_event=noting(told)) as ledger:
        yield await open_house(ledger, books, told)
