"""A link built from the switch's own parts around an HSM that a test breaks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg

from keys.hsm import Hsm, KeyRef, PinBlockFormat
from keys.vault import LocalDataKeys, Vault
from specs.spec import load as load_spec
from switch.demo import loader
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer, PinZone
from switch.flows.router import Router
from switch.ledger.ledger import Ledger
from switch.ledger.queries import QUERIES
from switch.ledger.unwind import Journal
from switch.links.link import Link
from switch.settings import Address
from switch.settings import Link as LinkSettings
from tests.client import Client, connected
from tests.faults.slow import Connection
from tests.traffic import KEYS


@contextlib.asynccontextmanager
async def demo_ledger(database_url: str) -> AsyncIterator[Connection]:
    """A connection to a database with the demo's cards."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(QUERIES["make_partitions"], 0)
    await loader.reset(connection, Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"])))
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def served(
    hsm: Hsm,
    database_url: str,
    folder: Path,
    *,
    hsm_budget: float = 0.3,
    answer_within_ms: int = 3000,
) -> AsyncIterator[Client]:
    """A client of the link; every answer must be sent within its deadline."""
    ports: list[int] = []

    def on_event(name: str, **fields: Any) -> None:
        if name == "link_listening":
            ports.append(fields["port"])

    def on_exchange(exchange: Exchange) -> None:
        assert "sent" == exchange.outcome

    books = Ledger(
        database_url,
        Journal(folder / "journal"),
        connections=2,
        batch_max=64,
        cards_kept=1_000,
        connect_timeout=5,
        on_event=on_event,
    )
    await books.open()
    settings = LinkSettings(
        name="test",
        listen=Address("127.0.0.1", 0),
        answer_within_ms=answer_within_ms,
        margin_ms=1500,
    )
    issuer = Issuer(
        ledger=books,
        hsm=hsm,
        vault=Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"])),
        programs={program.program_id: program for program in await books.programs()},
        pin_zones={"test": PinZone(KeyRef("zpk", KEYS["zpk"].kcv), PinBlockFormat.ISO_0)},
        hsm_budget=hsm_budget,
    )
    router = Router("test", load_spec("iso87-ascii"), issuer, on_event=on_event)
    link = Link(settings, router, issuer, on_exchange=on_exchange, on_event=on_event)
    await link.listen()
    async with connected(ports[0]) as connection:
        yield connection
    await link.drain(within=5)
    await books.close(within=5)


async def pin_tries(ledger: Connection, pan: str) -> int:
    """The wrong PINs that are counted for a card of the demo."""
    tries: int = await ledger.fetchval(
        "SELECT pin_tries FROM cards WHERE pan_last_four = $1", pan[-4:]
    )
    return tries
