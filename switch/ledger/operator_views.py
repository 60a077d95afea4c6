"""What operators see of an account or a card: never a PAN, never a PIN's reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg
import orjson

from switch.ledger.operators import CardPlace, OperatorRefusal, refusing
from switch.ledger.queries import OPERATE

#: Cards, holds and actions that a page shows; it says how many more there are.
SHOWN = 20


class AccountRow(NamedTuple):
    """An account, in minor units of its currency."""

    account_id: int
    reference: str
    program: str
    currency: str
    kind: str
    status: str
    posted_minor: int
    held_minor: int
    credit_limit_minor: int

    @property
    def available_minor(self) -> int:
        """What may be spent."""
        return self.posted_minor + self.credit_limit_minor - self.held_minor


class Action(NamedTuple):
    """One thing that an operator did."""

    done_at: datetime
    operator: str
    reason: str
    action: str
    card_id: int | None
    details: dict[str, Any]  #: what it was and what it became


class Listed(NamedTuple):
    """The newest of some rows, and how many there are."""

    rows: list[asyncpg.Record]
    of_all: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account at one moment."""

    account: AccountRow
    cards: Listed
    holds: Listed
    actions: list[Action]


@dataclass(frozen=True, slots=True)
class CardView:
    """One card at one moment."""

    card: asyncpg.Record
    plastics: list[asyncpg.Record]
    limits: list[asyncpg.Record]
    file_updates: list[asyncpg.Record]
    actions: list[Action]


async def find_account(connection: asyncpg.Connection, reference: str) -> AccountRow:
    """The account of a reference. Raises `OperatorRefusal` where there is none."""
    with refusing():
        row = await connection.fetchrow(OPERATE["account"], reference)
    if row is None:
        raise OperatorRefusal("there is no account with this reference")
    return AccountRow(*row.values())


async def find_card(connection: asyncpg.Connection, key: int | Sequence[bytes]) -> CardPlace:
    """Where the card of a number, or of a PAN's tokens, is. Raises `OperatorRefusal`."""
    name = "cards_by_number" if isinstance(key, int) else "cards_by_token"
    with refusing():
        rows = await connection.fetch(OPERATE[name], key if isinstance(key, int) else list(key))
    if not rows:
        raise OperatorRefusal("there is no such card")
    if len(rows) > 1:
        raise OperatorRefusal("several cards have this number: give the PAN, with -")
    return CardPlace(*rows[0].values())


async def view_account(connection: asyncpg.Connection, reference: str) -> AccountView:
    """An account with its cards, open holds and last actions, all of one moment."""
    with refusing():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            account = await find_account(connection, reference)
            return AccountView(
                account,
                await _listed(connection, "account_cards", account.account_id),
                await _listed(connection, "account_holds", account.account_id),
                await _actions(connection, account.account_id, None),
            )


async def view_card(connection: asyncpg.Connection, place: CardPlace) -> CardView:
    """A card with its plastics, limits, what is used of them, and its last actions."""
    with refusing():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            card = await connection.fetchrow(OPERATE["card"], *place)
            if card is None:
                raise OperatorRefusal("there is no such card")
            return CardView(
                card,
                await connection.fetch(OPERATE["card_plastics"], *place),
                await connection.fetch(OPERATE["card_limits"], *place),
                await connection.fetch(OPERATE["card_file_updates"], *place),
                await _actions(connection, *place),
            )


async def account_currency(connection: asyncpg.Connection, place: CardPlace) -> str:
    """The currency that a card's limits are in."""
    with refusing():
        currency: str = await connection.fetchval(OPERATE["account_currency"], place.account_id)
    return currency


async def program_names(connection: asyncpg.Connection) -> str:
    """The names of all card programs, in one text; empty where there are none."""
    with refusing():
        return await connection.fetchval(OPERATE["program_names"]) or ""


async def _listed(connection: asyncpg.Connection, name: str, account_id: int) -> Listed:
    rows = await connection.fetch(OPERATE[name], account_id, SHOWN)
    return Listed(rows, rows[0]["of_all"] if rows else 0)


async def _actions(
    connection: asyncpg.Connection, account_id: int, card_id: int | None
) -> list[Action]:
    rows = await connection.fetch(OPERATE["actions"], account_id, card_id, SHOWN)
    return [Action(**{**row, "details": orjson.loads(row["details"])}) for row in rows]
