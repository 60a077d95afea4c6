"""A house whose database can be taken away from its switch, and whose program lends meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from switch.flows.exchange import Exchange
from switch.ledger.stand_in_journal import StandInJournal
from switch.ledger.stand_ins import StandIns
from switch.wire.message import Message, decode
from tests.conftest import PostgresServer
from tests.flows.day import Day, Money
from tests.flows.support import Events, House, as_the_demo, noting, open_house, purchase
from tests.ledger.disk import until
from tests.ledger.support import PROGRAM, Books, ledger_on, within

#: 30.00 at once, 50.00 in three a card, 900.00 in all, in supermarkets, with a right cryptogram.
LENDS: dict[str, Any] = {
    "amount_minor": 3_000,
    "card_minor": 5_000,
    "card_count": 3,
    "total_minor": 90_000,
    "mccs": ["5411"],
    "channels": ["chip"],
}
#: The database is waited for until 0.05 s; the rest is the disk's and the answer's.
ANSWER_MS, MARGIN_MS = 1_000, 950


async def lend(books: Books, given: Mapping[str, Any] | None) -> None:
    """Let the program of some books lend, or not."""
    await as_the_demo(books)
    await books.connection.execute(
        "UPDATE programs SET settings = settings || jsonb_build_object('stand_in', $1::jsonb)"
        " WHERE program_id = $2",
        orjson.dumps(given).decode(),
        PROGRAM,
    )


@dataclass
class Lender:
    """A house, its database's server, and what its switch approves without it."""

    house: House
    server: PostgresServer
    database: str
    journal: Path
    told: Events = field(repr=False)

    @property
    def stand_ins(self) -> StandIns:
        """What is kept of that."""
        assert self.house.ledger.stand_ins is not None
        return self.house.ledger.stand_ins

    @contextlib.asynccontextmanager
    async def outage(self) -> AsyncIterator[None]:
        """The switch's connections are cut, and it gets no others."""
        ours = await self.house.books.connection.fetchval("SELECT pg_backend_pid()")
        await asyncio.to_thread(
            self.server.execute, f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false"
        )
        try:
            await self.house.books.connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> $1",
                ours,
            )
            ledger = self.house.ledger
            await until(lambda: not any(lane.is_ready for lane in ledger._lanes()))
            yield
        finally:
            await asyncio.to_thread(
                self.server.execute, f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true"
            )

    async def back(self) -> None:
        """The database is there again, cards are kept, and nothing is left to be posted."""
        ledger = self.house.ledger
        await until(lambda: all(lane.is_ready for lane in ledger._lanes()), 10)
        await until(lambda: ledger._reader.is_done, 10)
        await until(lambda: not self.stand_ins.pending, 10)

    async def card(self, **how: Any) -> Day:
        """A card that the switch keeps, because it was looked for."""
        day = await Day.begin(self.house, **how)
        tokens = self.house.vault.lookup_tokens(day.pan)
        assert await self.house.ledger.find_card(tokens, within(10)) is not None
        return day


def asks(day: Day, minor: int = 1_000, **changes: str | None) -> Message:
    """A purchase in a supermarket."""
    fields = purchase(day.pan, **{"_4": f"{minor:012d}", "_18": "5411"} | changes)
    return Message("0100", fields)


async def send(day: Day, message: Message, *, margin_ms: int = MARGIN_MS) -> Exchange:
    """Send a message that has little time for the database, if nothing else is said."""
    return await day.house.send(
        message.fields, mti=message.mti, answer_ms=ANSWER_MS, margin_ms=margin_ms
    )


async def answer(day: Day, message: Message, *, margin_ms: int = MARGIN_MS) -> dict[int, str]:
    """The fields of its answer."""
    exchange = await send(day, message, margin_ms=margin_ms)
    assert exchange.answer is not None
    return dict(decode(exchange.answer, day.house.router.spec).fields)


async def code(day: Day, message: Message) -> str:
    """Its DE39."""
    return (await answer(day, message))[39]


@contextlib.asynccontextmanager
async def lender(
    url: str, books: Books, server: PostgresServer, folder: Path, *, lends: Any = LENDS
) -> AsyncIterator[Lender]:
    """A switch over a database, whose stand-in journal is in a folder."""
    await lend(books, lends)
    told: Events = []
    path = folder / "stand_ins.journal"
    async with ledger_on(
        url, folder / "unwinds.journal", cards_kept=1_000, on_event=noting(told)
    ) as ledger:
        if lends is not None or path.exists():
            ledger.allow_stand_ins(StandInJournal(path))
        house = await open_house(ledger, books, told)
        yield Lender(house, server, urlsplit(url).path.lstrip("/"), path, told)


async def settled(day: Day) -> Money:
    """What stands on the account; its books are right."""
    assert [] == await day.audit()
    return await day.money()
