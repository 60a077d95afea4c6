"""Messages of a day, explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from switch.ledger.history import Place
from switch.operate.why import Explanation, explain
from switch.wire.message import Message
from tests.flows.day import Day

#: A purchase on the net with its CVV2.
ECOMMERCE: Mapping[str, Any] = {"_22": "812", "_55": None, "_48": "9203123"}


async def why(day: Day, message: Message) -> Explanation:
    """The explanation of a message about a card."""
    return await explain(day.house.books.connection, place_of(await day.row(message)))


def place_of(row: asyncpg.Record) -> Place:
    """Where a row is, as it comes out of an address."""
    place = Place(row["account_id"], row["authorization_id"], row["received_at"])
    assert place == Place.parse(str(place))
    return place


def verdict(told: Explanation, name: str) -> tuple[str, str]:
    """The verdict of a question, and what it looked at."""
    (check,) = (check for check in told.checks if check.name == name)
    return check.verdict, check.inputs
