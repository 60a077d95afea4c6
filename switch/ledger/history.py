"""
What the journal has of a message and of what followed, for whoever asks why.

Everything here only reads: in transactions of its own that are read only, end by themselves after
`STATEMENT_SECONDS`, and take no lock that a decision would wait for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import asyncpg

from switch.ledger.queries import WHY

#: How long one statement may take.
STATEMENT_SECONDS = 5.0
#: How far back a search that no index leads looks, step by step: by which statement, until when.
STEPS: Sequence[tuple[str, timedelta | None]] = (
    ("by_number_lately", timedelta(minutes=10)),
    ("by_number_lately", timedelta(hours=1)),
    ("by_number_lately", timedelta(hours=6)),
    ("by_number", None),
)
#: Rows of each kind that followed a message: more are not told.
FOLLOWED_MOST = 100

SESSION = {
    "application_name": "switch why",
    "default_transaction_read_only": "on",
    "timezone": "UTC",
    "jit": "off",
}


class Place(NamedTuple):
    """Where a message is recorded. Account 0: among the refused, with its STAN as the number."""

    account_id: int
    number: int
    received_at: datetime

    @property
    def is_refused(self) -> bool:
        """Whether its card was not ours."""
        return self.account_id == 0

    def __str__(self) -> str:
        """As people and addresses name it: account, number, microseconds since 1970."""
        micros = (self.received_at - _EPOCH) // timedelta(microseconds=1)
        return f"{self.account_id}:{self.number}:{micros}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read what `str` gives. Raises `ValueError` for anything else."""
        try:
            account_id, number, micros = (int(part) for part in text.split(":"))
            received_at = _EPOCH + timedelta(microseconds=micros)
        except (OverflowError, ValueError):
            raise ValueError(_NO_PLACE) from None
        if account_id not in _INT8 or number not in _INT8:
            raise ValueError(_NO_PLACE)
        return cls(account_id, number, received_at)


_NO_PLACE = "no place: account, number and microseconds, with colons"
#: What a column of the ledger can hold.
_INT8 = range(-(2**63), 2**63)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A row of the journal, and what there is around it."""

    row: asyncpg.Record
    changes: Sequence[asyncpg.Record]  #: by operators since, the oldest first
    posted_since: int
    purchase: Sequence[asyncpg.Record]
    holds: Sequence[asyncpg.Record]
    postings: Sequence[asyncpg.Record]
    presentments: Sequence[asyncpg.Record]
    repeats: Sequence[asyncpg.Record]


@asynccontextmanager
async def reading(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """One moment of the books, on which nothing waits and which ends by itself."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.fetch(WHY["careful"], str(round(STATEMENT_SECONDS * 1_000)))
        yield


async def by_rrn(
    connection: asyncpg.Connection, texts: Sequence[str], since: datetime, limit: int
) -> list[asyncpg.Record]:
    """Rows of the journal by RRN, the newest first."""
    return await connection.fetch(WHY["by_rrn"], texts, since, _later(), limit)


async def by_number(
    connection: asyncpg.Connection, texts: Sequence[str], since: datetime, limit: int
) -> list[asyncpg.Record]:
    """Rows by STAN or authorization code, the newest first: it looks back step by step, and no
    further than it takes to find so many. Where a step takes too long, what was found before it
    is all, if it is anything.
    """
    rows: list[asyncpg.Record] = []
    now, until = datetime.now(UTC), _later()
    for name, back in STEPS:
        start = since if back is None else max(since, now - back)
        try:
            async with connection.transaction():  # what is canceled takes nothing with it
                rows += await connection.fetch(WHY[name], texts, start, until, limit - len(rows))
        except asyncpg.QueryCanceledError:
            if not rows:
                raise
            break
        until = start
        if until <= since or len(rows) >= limit:
            break
    return rows


async def by_last_four(
    connection: asyncpg.Connection,
    digits: str,
    texts: Sequence[str] | None,
    since: datetime,
    limit: int,
) -> list[asyncpg.Record]:
    """Rows about the cards that end so, the newest first; with texts, those that have one as their
    RRN, STAN or authorization code.
    """
    return await connection.fetch(WHY["by_last_four"], digits, since, _later(), texts, limit)


async def refused(
    connection: asyncpg.Connection, texts: Sequence[str], since: datetime, limit: int
) -> list[asyncpg.Record]:
    """Requests for cards that are not ours by RRN or STAN, the newest first."""
    return await connection.fetch(WHY["refused"], texts, since, _later(), limit)


async def recorded(connection: asyncpg.Connection, place: Place) -> Recorded | None:
    """A row of the journal with what is around it; none where it is not there."""
    row = await connection.fetchrow(WHY["row"], *place)
    if row is None:
        return None
    account_id, number, at = place
    root = row["purchase_id"] or number
    purchase = await connection.fetch(WHY["purchase"], account_id, root, number, FOLLOWED_MOST)
    members = [number, *(other["authorization_id"] for other in purchase)]
    return Recorded(
        row=row,
        changes=await connection.fetch(WHY["changed_since"], account_id, row["card_id"], at),
        posted_since=await connection.fetchval(WHY["posted_since"], *place),
        purchase=purchase,
        holds=await connection.fetch(WHY["holds"], account_id, root, FOLLOWED_MOST),
        postings=await connection.fetch(WHY["moved"], account_id, members, at, FOLLOWED_MOST),
        presentments=await connection.fetch(WHY["presented"], account_id, root, FOLLOWED_MOST),
        repeats=await connection.fetch(WHY["repeated"], *place, FOLLOWED_MOST),
    )


async def refused_row(connection: asyncpg.Connection, place: Place) -> asyncpg.Record | None:
    """A request for a card that was not ours; none where it is not there."""
    stan = str(place.number)
    return await connection.fetchrow(
        WHY["refused_row"], place.received_at, [stan.zfill(6), stan.zfill(12)]
    )


#: The database's clock may be before ours.
_AHEAD = timedelta(minutes=10)


def _later() -> datetime:
    return datetime.now(UTC) + _AHEAD
