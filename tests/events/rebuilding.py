"""A consumer that has nothing but events: what it makes of them, and what is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import asyncpg
from jsonschema import Draft202012Validator

from switch.ledger.outbox import Outbox
from tests.traffic import ROOT

SCHEMA = json.loads((ROOT / "docs/events/event-1.json").read_text())
_VALIDATOR = Draft202012Validator(SCHEMA)

Event = dict[str, Any]


class Money(NamedTuple):
    """What a consumer keeps of an account."""

    posted: int = 0
    held: int = 0
    credit_limit: int = 0


async def told(connection: asyncpg.Connection, after: int = 0) -> list[Event]:
    """The events after a number, as they are published, each as docs/events/ says."""
    outbox = Outbox(connection)
    rows = await outbox.stretch(after, await outbox.last(), 1_000_000)
    events = [json.loads(row.body) for row in rows]
    for event in events:
        check(event)
    return events


def check(event: Event) -> None:
    """Raise where an event is not as the schema has it."""
    _VALIDATOR.validate(event)


def rebuilt(
    events: Iterable[Event], opening: Mapping[str, Money] | None = None
) -> dict[str, Money]:
    """The money of all accounts that events tell of, each told once and in order.

    `opening` is what nobody told: that of accounts which a test put there. A suspense account's is
    taken from its first event.
    """
    books = dict(opening or {})
    for event in events:
        if (money := event.get("money")) is None:
            continue
        account, is_suspense = event["account"], event["account"].startswith("-")
        after = Money(money["posted_minor"], money["held_minor"], money["credit_limit_minor"])
        change = money["posted_change_minor"], money["held_change_minor"]
        before = Money(after.posted - change[0], after.held - change[1])
        was = books.get(account, before if is_suspense and opening else Money())
        assert was[:2] == before[:2], f"{account}: an event before {event['event_id']} is missing"
        books[account] = after
    return books


async def kept(connection: asyncpg.Connection) -> dict[str, Money]:
    """The money of all accounts as the ledger has it."""
    rows = await connection.fetch(
        "SELECT account_id, posted_minor, held_minor, credit_limit_minor FROM accounts"
    )
    return {str(row[0]): Money(*row[1:]) for row in rows}
