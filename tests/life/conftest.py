"""One house for a file of tests, whose cards verify nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.flows.support import House, open_house
from tests.ledger.support import Books, ledger_on
from tests.life.driver import arrange


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def house(shared_database: str, books: Books, quick_root: Path) -> AsyncIterator[House]:
    """An issuer whose ledger is real."""
    await arrange(books)
    async with ledger_on(shared_database, quick_root / "life" / "journal") as ledger:
        yield await open_house(ledger, books, [])
