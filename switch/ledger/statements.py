"""What a lane does with a batch: one statement, and its answers in the calls' order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

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
from switch.ledger.lane import SESSION, SESSION_BY_ACCOUNT, Run
from switch.ledger.queries import QUERIES
from switch.rules.card import Card
from switch.rules.decision import Decision


async def authorize(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, AuthorizationCall]]
) -> list[Decision | Exception]:
    """Decide a batch in one transaction; see authorize_v5. Each request has its turn before it."""
    requests = [(turn, *call) for turn, call in calls]
    return _told(await connection.fetchval(QUERIES["authorize"], requests), len(calls))


async def authorize_of(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, AuthorizationCall]]
) -> list[Decision | Exception]:
    """The same for calls of one account; see authorize_of_v1."""
    requests = [(turn, *call) for turn, call in calls]
    decided = await connection.fetchval(QUERIES["authorize_of"], _account(calls), requests)
    return _told(decided, len(calls))


def _told(decided: Sequence[asyncpg.Record], batch: int) -> list[Decision | Exception]:
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


async def book_of(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, BookingCall]]
) -> list[Booked | Exception]:
    """The same for calls of one account; see book_of_v1."""
    bookings = [call for _, call in calls]
    rows = await connection.fetch(QUERIES["book_of"], _account(calls), bookings)
    return [booked(row, len(calls)) for row in rows]


async def find_cards(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, tuple[bytes, ...]]]
) -> list[Card | None]:
    """Look up the cards behind tokens, each under all live keys, in one statement."""
    asked = [token for _, tokens in calls for token in tokens]
    return _cards(await connection.fetch(QUERIES["find_cards"], asked), calls)


async def find_cards_of(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, tuple[bytes, ...]]]
) -> list[Card | None]:
    """The same in two steps: whose the tokens are, in one statement, then each card by its account.
    Where a card is never changes, so that nothing is missed in between.
    """
    asked = [token for _, tokens in calls for token in tokens]
    owners = await connection.fetch(QUERIES["token_owners"], asked)
    found = [await connection.fetchrow(QUERIES["find_card_of"], *owner) for owner in owners]
    return _cards([row for row in found if row is not None], calls)


def _cards(
    rows: Sequence[asyncpg.Record], calls: Sequence[tuple[int, tuple[bytes, ...]]]
) -> list[Card | None]:
    found = {row[0]: row for row in rows}
    first = (
        next((found[token] for token in tokens if token in found), None) for _, tokens in calls
    )
    return [None if row is None else card_of(row) for row in first]


async def refuse(
    connection: asyncpg.Connection, calls: Sequence[tuple[int, RefusedCall]]
) -> list[None]:
    """Record requests for cards that are not ours."""
    parameters = columns([call for _, call in calls], RefusedCall)
    await connection.execute(QUERIES["refuse"], *parameters)
    return [None] * len(calls)


def _account(calls: Sequence[tuple[int, AuthorizationCall | BookingCall]]) -> int:
    return calls[0][1].account_id if calls else 0  # of nobody, where a connection is prepared


class Ways(NamedTuple):
    """How a ledger's lanes make their calls."""

    authorize: Run[AuthorizationCall, Decision]
    find_cards: Run[tuple[bytes, ...], Card | None]
    book: Run[BookingCall, Booked]
    session: Mapping[str, str]


#: Calls of many accounts share a statement.
BATCHED = Ways(authorize, find_cards, book, SESSION)
#: A statement is about one account, whose number is its first argument (docs/scaling.md).
BY_ACCOUNT = Ways(authorize_of, find_cards_of, book_of, SESSION_BY_ACCOUNT)
