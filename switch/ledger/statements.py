"""What a lane does with a batch: one statement, and its answers in the calls' order."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from switch.ledger.calls import (
    AuthorizationCall,
    Booked,
    BookingCall,
    RefusedCall,
    booked,
    columns,
    decision,
)
from switch.ledger.errors import OutcomeUnknown
from switch.ledger.kept_cards import card_of
from switch.ledger.queries import QUERIES
from switch.rules.card import Card
from switch.rules.decision import Decision


async def authorize(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, AuthorizationCall]]
) -> list[Decision | Exception]:
    """Decide a batch in one transaction; see authorize_v5. Each request has its turn before it."""
    requests = [(turn, *call) for turn, call in calls]
    decided = await connection.fetchval(QUERIES["authorize"], requests)
    batch = len(calls)
    try:
        answers = {one[0]: decision(one, batch) for one in decided}
        return [answers[ordinal] for ordinal in range(1, batch + 1)]
    except (KeyError, ValueError):
        # It is committed: what cannot be told of it must be taken back.
        raise OutcomeUnknown from None


async def book(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, BookingCall]]
) -> list[Booked | Exception]:
    """Book a batch of what already happened in one transaction; see book_v1."""
    rows = await connection.fetch(QUERIES["book"], [call for _, call in calls])
    return [booked(row, len(calls)) for row in rows]


async def find_cards(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, tuple[bytes, ...]]]
) -> list[Card | None]:
    """Look up the cards behind tokens, each under all live keys, in one statement."""
    asked = [token for _, tokens in calls for token in tokens]
    found = {row[0]: row for row in await connection.fetch(QUERIES["find_cards"], asked)}
    rows = (next((found[token] for token in tokens if token in found), None) for _, tokens in calls)
    return [None if row is None else card_of(row) for row in rows]


async def refuse(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, RefusedCall]]
) -> list[None]:
    """Record requests for cards that are not ours."""
    parameters = columns([call for _, call in calls], RefusedCall)
    await connection.execute(QUERIES["refuse"], *parameters)
    return [None] * len(calls)
