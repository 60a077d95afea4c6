"""A house whose program is the demo's, over one database for a file of tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio

from switch.ledger.ledger import Ledger
from tests.flows.day import Day
from tests.flows.support import Events, House, as_the_demo, noting, open_house
from tests.ledger.support import Books, ledger_on, number


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telling(shared_database: str, quick_root: Path) -> AsyncIterator[tuple[Ledger, Events]]:
    """A ledger for a file of tests, and what it tells: eight connections, whose plans are made
    once.
    """
    told: Events = []
    async with ledger_on(
        shared_database, quick_root / f"journal-{number()}", cards_kept=1_000, on_event=noting(told)
    ) as ledger:
        yield ledger, told


@pytest_asyncio.fixture(loop_scope="module")
async def house(books: Books, telling: tuple[Ledger, Events]) -> House:
    """An issuer whose ledger is real and whose HSM does as it is told."""
    await as_the_demo(books)
    ledger, told = telling
    told.clear()
    return await open_house(ledger, books, told)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_house(books: Books, telling: tuple[Ledger, Events]) -> House:
    """The same once for a file of tests, where it is about noon: no test is over midnight."""
    await as_the_demo(books, time_zone=f"Etc/GMT{datetime.now(UTC).hour - 12:+d}")
    return await open_house(telling[0], books, [])


@pytest_asyncio.fixture(loop_scope="module")
async def day(one_house: House) -> AsyncIterator[Day]:
    """A card with 1000.00 EUR, whose books are right at the end of its day."""
    one = await Day.begin(one_house)
    yield one
    assert [] == await one.audit()
