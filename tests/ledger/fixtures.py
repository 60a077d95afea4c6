"""One migrated database a file of tests, with a program in it; accounts are each test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.conftest import TEMPLATE, PostgresServer
from tests.ledger.support import Books


@pytest.fixture(scope="module")
def shared_database(migrated_server: PostgresServer) -> Iterator[str]:
    """The URL of a migrated database for a whole file: its tests keep to their own accounts."""
    yield from migrated_server.fresh(TEMPLATE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def books(shared_database: str) -> AsyncIterator[Books]:
    """That database, straight through SQL: one connection, whose plans are made once."""
    books = await Books.open(shared_database)
    yield books
    await books.connection.close()
