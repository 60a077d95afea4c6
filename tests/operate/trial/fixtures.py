"""What stories to be tried stand on. A plugin of the files that have them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import PostgresServer
from tests.flows.day import Day
from tests.flows.support import House, open_house
from tests.ledger.support import Books, ledger_on
from tests.life.driver import arrange
from tests.operate.trial.stories import Trying


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(shared_database: str, books: Books, quick_root: Path) -> AsyncIterator[House]:
    """An issuer whose cards verify nothing, where it is about noon."""
    await arrange(books)
    async with ledger_on(shared_database, quick_root / "trial" / "journal") as ledger:
        yield await open_house(ledger, books, [])


@pytest.fixture
def scratch(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database to play in."""
    yield from postgres_server.fresh("template0")


@pytest_asyncio.fixture(loop_scope="module")
async def story(shared_database: str, house: House, scratch: str) -> Trying:
    """A new card with 1000.00 EUR."""
    return Trying(shared_database, scratch, await Day.begin(house))
