"""
A ledger whose days pass in a moment, and the traffic of a few cards in it: steps of `tests/life`
over the real flows, noted so that the same messages can be sent to another ledger.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import asyncpg

from switch.flows import calls
from switch.ledger.migrate import migrate
from switch.ledger.queries import QUERIES
from switch.operate.trial.scratch import with_path
from switch.wire.message import decode
from tests.conftest import PostgresServer
from tests.flows.support import SPEC, House, open_house
from tests.ledger.support import Books, ledger_on, number
from tests.life.driver import World, arrange
from tests.life.steps import Again, Send, Step, Unwind

#: A clock that can be put forward. It stands before that of Postgres where the path says so.
CLOCK = """
CREATE TABLE public.put_forward AS SELECT interval '0' AS by;
CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT pg_catalog.clock_timestamp() + by FROM public.put_forward
$$;
"""
#: Limits that every card has and nobody reaches, so that others in their place change nothing else.
WIDE = [
    ("all", "day"), ("all", "week"), ("all", "month"), ("cash", "day"), ("purchase", "month"),
    ("all", "transaction"),
]  # fmt: skip
_WIDE_MINOR = 10**12


@dataclass
class Deed:
    """One thing that was done to a ledger, so that it can be done to another."""

    mti: str = ""
    fields: Mapping[int, str] = field(default_factory=dict)
    unwound: tuple[int, bytes, str] | None = None
    days: float = 0.0


async def prepare(url: str) -> None:
    """Make an empty database a ledger with such a clock, in whose time zone it is about noon."""
    await keep_time(url)
    connection = await asyncpg.connect(url)
    await connection.execute(CLOCK)
    await connection.close()
    await migrate(with_path(url))
    books = await Books.open(url)
    await books.connection.execute(QUERIES["make_partitions"], 12)
    await books.connection.execute("CREATE TABLE events_later PARTITION OF events DEFAULT")
    await arrange(books)
    await books.connection.close()


async def keep_time(url: str) -> None:
    """Let whoever connects to a database take its own clock for the time."""
    name = urlsplit(url).path[1:]
    connection = await asyncpg.connect(url)
    await connection.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog")
    await connection.close()


def copy_of(server: PostgresServer, url: str) -> Iterator[str]:
    """The URL of a copy of a database to which nobody is connected."""
    for copy in server.fresh(urlsplit(url).path[1:]):
        server.background.run(keep_time(copy))
        yield copy


@asynccontextmanager
async def house_on(url: str, folder: Path) -> AsyncIterator[House]:
    """An issuer over a database, whose codes are the same in every run of the same messages."""
    books = await Books.open(url)
    journal = folder / f"journal-{number()}"
    with patch.object(calls, "_chance", random.Random(7).random):
        async with ledger_on(url, journal, connections=1) as ledger:
            yield await open_house(ledger, books, [])
    await books.connection.close()


async def make_worlds(house: House, count: int) -> list[World]:
    """Accounts and cards, each card with wide limits."""
    worlds = [await World.make(house) for _ in range(count)]
    await house.books.connection.executemany(
        "INSERT INTO limits SELECT account_id, card_id, $1, $2, $3, NULL FROM cards"
        " ON CONFLICT DO NOTHING",
        [(scope, period, _WIDE_MINOR) for scope, period in WIDE],
    )
    return worlds


class Player:
    """Plays steps on the cards of a world, and notes what it did."""

    def __init__(self, house: House, world: World, deeds: list[Deed]) -> None:
        """What it does is appended to the deeds."""
        self.house, self.world, self.deeds = house, world, deeds
        self._sent: list[tuple[Send, Deed]] = []
        self._undo: dict[int, tuple[int, bytes, str]] = {}
        self._codes: dict[tuple[int, int], str] = {}

    async def play(self, steps: Sequence[Step]) -> None:
        """Do every step that a ledger's record tells of."""
        for step in steps:
            match step:
                case Send():
                    await self._first(step)
                case Again() | Unwind() if last := self._last(step):
                    await (self._again(last) if isinstance(step, Again) else self._unwind(last))

    async def do(self, deed: Deed) -> Mapping[int, str]:
        """Do one thing, and note it; gives the fields of an answer."""
        self.deeds.append(deed)
        return await do(self.house, deed, self._undo)

    async def _first(self, step: Send) -> None:
        place = step.card, step.slot
        code = f"STIP{step.number:02d}" if step.mti == "0120" else self._codes.get(place, "NOCODE")
        fields = step.fields(self.world.number, self.world.pans[step.card], code)
        deed = Deed(step.mti, fields)
        self._sent.append((step, deed))
        answer = await self.do(deed)
        if given := answer.get(38) or (step.mti == "0120" and fields.get(38)):
            self._codes[place] = given

    async def _again(self, last: Deed) -> None:
        await self.do(Deed(last.mti[:3] + "1", last.fields))

    async def _unwind(self, last: Deed) -> None:
        if undo := self._undo.pop(id(last), None):
            await self.do(Deed(unwound=undo))

    def _last(self, step: Again | Unwind) -> Deed | None:
        place = step.mti, step.card, step.slot
        own = [deed for one, deed in self._sent if (one.mti, one.card, one.slot) == place]
        return own[-1] if own else None


async def do(house: House, deed: Deed, undo: dict[int, Any] | None = None) -> Mapping[int, str]:
    """Do one thing to a ledger; gives the fields of an answer, and notes how it is taken back."""
    connection = house.books.connection
    if deed.unwound is not None:
        await connection.fetchval(QUERIES["unwind"], *deed.unwound)
        return {}
    if deed.days:
        await connection.execute(
            "UPDATE put_forward SET by = by + make_interval(secs => $1)", deed.days * 86_400
        )
        await house.ledger.clock.measure(connection)
        await connection.fetchval(QUERIES["expire_holds"], 1_000)
        return {}
    exchange = await house.send(deed.fields, mti=deed.mti, answer_ms=20_000)
    assert exchange.answer is not None, exchange.fault
    if undo is not None and exchange.reply and exchange.reply.undo and not exchange.reply.is_repeat:
        call = exchange.reply.undo
        undo[id(deed)] = (call.account_id, call.message_key, call.authorization_code)
    return decode(exchange.answer, SPEC).fields


async def now(house: House) -> datetime:
    """What the ledger's clock says."""
    moment: datetime = await house.books.connection.fetchval("SELECT clock_timestamp()")
    return moment


#: What is compared of some accounts, $1, from $2 until $3: by what is the same in both ledgers.
COMPARED = {
    "messages": """
        SELECT z.account_id, z.message_key, z.mti, z.stan, z.rrn, z.reason, z.partial_minor,
               z.available_minor, z.standing_minor, z.posted_minor, z.using_minor,
               z.using_cash_minor, z.reversed_at IS NULL, z.unwound_at IS NULL
          FROM authorizations AS z
         WHERE z.account_id = ANY ($1) AND z.received_at >= $2 AND z.received_at < $3
    """,
    "balances": """
        SELECT account_id, posted_minor, held_minor FROM accounts
         WHERE account_id = ANY ($1) AND $2::timestamptz < $3::timestamptz
    """,
    "holds": """
        SELECT z.message_key, h.amount_minor
          FROM holds AS h
          JOIN authorizations AS z ON z.account_id = h.account_id
           AND z.authorization_id = h.authorization_id AND z.received_at = h.received_at
         WHERE h.account_id = ANY ($1) AND h.state = 'open' AND $2::timestamptz < $3::timestamptz
    """,
    "use": """
        SELECT u.account_id, u.card_id, u.scope, u.period, u.period_start, u.amount_minor, u.count
          FROM limit_usage AS u
          JOIN cards    AS c ON c.account_id = u.account_id AND c.card_id = u.card_id
          JOIN programs AS p ON p.program_id = c.program_id
         WHERE u.account_id = ANY ($1) AND u.count > 0 AND $2 < $3::timestamptz
           AND u.period_start >= period_start_v1(u.period, $2, p.time_zone, p.week_starts)
    """,
}
