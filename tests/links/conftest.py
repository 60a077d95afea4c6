"""One switch with a link of every kind, for the tests that leave it as they found it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.process import Switch, running
from tests.traffic import CardInHand, add_load_cards, load_card

#: Load cards that the switch has: enough that no test needs another's.
CARDS = 200

ANY_PORT = "127.0.0.1:0"
#: Besides `demo`, which is iso87-ascii with 2-byte lengths.
LINKS: dict[str, dict[str, object]] = {
    "binary": {"dialect": "iso87-binary"},
    "inclusive": {"framing": "2-byte-inclusive"},
    "ascii4": {"framing": "4-ascii"},
    "ascii4-inclusive": {"framing": "4-ascii-inclusive"},
    "narrow": {"in_flight_max": 2},
    "crowded": {"connections_max": 2},
    "prompt": {"framing": "4-ascii", "answer_within_ms": 1000, "margin_ms": 300},
    "impatient": {"idle_timeout_s": 1},
    "brisk": {"frame_timeout_s": 1},
    "bcd": {"framing": "2-bcd"},
    "byte4": {"framing": "4-byte-inclusive"},
    "tpdu": {
        "header": "tpdu",
        "header_hex": "6000120034",
        "file_updates": True,
        "file_update_name": "BLOCKED",
    },
    "fixed": {"header": "fixed", "header_hex": b"ISO026000050".hex()},
    "scripted": {"header": "fixed", "header_hex": b"ISO026000050".hex(), "header_echo": False},
    "tight": {"header": "fixed", "header_hex": b"ISO026000050".hex(), "frame_max": 68},
    "visa": {"framing": "visa", "header": "visa", "dialect": "visa-base1"},
}


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A running switch with the demo's cards, load cards, and a link of every kind."""
    settings: dict[str, object] = {}
    for number, (name, given) in enumerate(LINKS.items(), start=1):
        link: dict[str, object] = {"name": name, "listen": ANY_PORT, "answer_within_ms": 3000}
        settings |= {f"links__{number}__{key}": value for key, value in (link | given).items()}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **settings) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started


@contextlib.asynccontextmanager
async def locked(switch: Switch, card: CardInHand) -> AsyncIterator[None]:
    """The account of a load card is held by a stranger meanwhile: its requests wait."""
    connection = await switch.connect()
    try:
        async with connection.transaction():
            await connection.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", card.account_id
            )
            yield
    finally:
        await connection.close()


@pytest.fixture
def cards() -> list[CardInHand]:
    """The load cards."""
    return [load_card(number) for number in range(CARDS)]
