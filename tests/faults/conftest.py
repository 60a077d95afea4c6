"""A switch for each page of tests, which is mended after each of them."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.faults.slow import Connection, make_quick
from tests.process import Switch, as_setting, running
from tests.traffic import add_load_cards

CARDS = 80
#: A deadline far enough for a slow machine, near enough to be waited for.
DEADLINE = {"links__0__answer_within_ms": 2000, "links__0__margin_ms": 1300}


@pytest.fixture(scope="module")
def hurt(quick_root: Path) -> Iterator[Switch]:
    """A switch with an embedded Postgres and load cards, in whatever state it was left."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **DEADLINE) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started


@pytest.fixture
def switch(hurt: Switch) -> Iterator[Switch]:
    """The same, running, and not stopped by a test before."""
    if hurt.process is None or hurt.process.poll() is not None:
        hurt.start()
    yield hurt
    hurt.signal_postgres(signal.SIGCONT)


@pytest.fixture
async def ledger(switch: Switch) -> AsyncIterator[Connection]:
    """The test's own connection to the switch's database, which is quick again afterwards."""
    connection = await switch.connect()
    yield connection
    if connection.is_closed():
        connection = await switch.connect()
    await make_quick(connection)
    await connection.close()


@pytest.fixture
def database_url(database: str) -> str:
    """The URL of a migrated database that only this test has, as settings want it."""
    return as_setting(database)
