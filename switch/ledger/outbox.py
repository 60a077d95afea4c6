"""
The outbox as who publishes reads it: what is settled, a stretch at a time, and how far that went.

An event's number is drawn under its account's lock, so numbers of one account are in the order of
what happened; but transactions end in any order, and a lower number may be seen after a higher
one. So events are read up to a number below which nothing more can appear: one that was drawn
before a moment, when all transactions that ran at that moment have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import asyncpg

from switch.ledger.queries import OUTBOX

#: A connection that reads events goes by their index, also when a day has just begun.
SESSION: Mapping[str, str] = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # A publisher whose machine is gone holds the lock until the server notices.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
}
#: So far those that wait are counted: where there are more, how many more is of no use.
WAITING_MOST = 10_000


class OutboxRow(NamedTuple):
    """One event, ready to be published."""

    number: int
    account: str  #: what orders it
    type: str
    body: str  #: a JSON object


class Outbox:
    """The events over one connection. Every method raises what asyncpg raises."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        """Nothing is asked yet."""
        self._connection = connection
        self._drawn = 0  #: numbers up to this one were drawn before the mark
        self._mark = 0
        self._settled = 0

    async def take_turn(self) -> bool:
        """Be the one that publishes, until the connection ends; false where another one is."""
        if not await self._connection.fetchval(OUTBOX["take_turn"]):
            return False
        await self._connection.execute(OUTBOX["begin"])
        return True

    async def is_read_only(self) -> bool:
        """Whether the server takes no writes: it is the primary no more."""
        found: bool = await self._connection.fetchval(OUTBOX["is_read_only"])
        return found

    async def published(self) -> int:
        """Up to which number events are published."""
        return await self._connection.fetchval(OUTBOX["published"]) or 0

    async def last(self) -> int:
        """The last number that was drawn."""
        number: int = await self._connection.fetchval(OUTBOX["last"])
        return number

    async def settled(self) -> int:
        """Up to which number no event can appear any more.

        The number is read before the mark is drawn: who drew a number until then has a
        transaction id below the mark, and is waited for. A later call knows more.
        """
        last = await self.last()
        if last > self._drawn == self._settled:
            self._drawn = last
            self._mark = await self._connection.fetchval(OUTBOX["mark"])
        if self._settled < self._drawn:
            oldest = await self._connection.fetchval(OUTBOX["oldest_running"])
            if oldest >= self._mark:
                self._settled = self._drawn
        return self._settled

    async def stretch(
        self, after: int, to: int, most: int, *, account_id: int | None = None, type_: str = ""
    ) -> list[OutboxRow]:
        """The first events after a number and up to another, at most so many, in order: those of
        an account, and of types that begin so.
        """
        rows = await self._connection.fetch(OUTBOX["stretch"], after, to, most, account_id, type_)
        return [OutboxRow(*row) for row in rows]

    async def before_last(self, to: int, count: int, account_id: int | None, type_: str) -> int:
        """After which number the last so many events up to another begin."""
        found = await self._connection.fetchval(OUTBOX["nth_last"], to, count, account_id, type_)
        return to if found is None else int(found)

    async def move(self, after: int, to: int) -> bool:
        """Note that events are out up to a number; false where somebody else moved on."""
        said = await self._connection.execute(OUTBOX["move"], after, to)
        return bool(said == "UPDATE 1")

    async def waiting(self, after: int) -> int:
        """How many events after a number wait, `WAITING_MOST` at most."""
        count: int = await self._connection.fetchval(OUTBOX["waiting"], after, WAITING_MOST)
        return count

    async def waiting_seconds(self, after: int) -> float:
        """How long the oldest event after a number has waited; none: 0."""
        seconds = await self._connection.fetchval(OUTBOX["waiting_seconds"], after)
        return max(0.0, seconds or 0.0)
