"""A switch that lends while its database is away, for a file of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from switch.ledger import lane, stand_ins
from tests.conftest import PostgresServer
from tests.flows.outage import Lender, lender
from tests.ledger.support import Books, number


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Nobody waits long for a connection, nor for what is to be posted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lane, "BACKOFF_MOST", 0.05)
        patch.setattr(stand_ins, "POST_AFTER_SECONDS", -0.9)
        patch.setattr(stand_ins, "RETRY_SECONDS", 0.02)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(
    shared_database: str, books: Books, migrated_server: PostgresServer, quick_root: Path
) -> AsyncIterator[Lender]:
    """A switch whose program lends, for a file of tests."""
    folder = quick_root / f"lender-{number()}"
    async with lender(shared_database, books, migrated_server, folder) as opened:
        yield opened
