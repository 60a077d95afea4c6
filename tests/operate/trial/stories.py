"""A card's story on a real ledger, of which a part is tried."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger.queries import OPERATE
from switch.operate.trial import Outcome, Period, Rules, scratch_database, try_rules
from tests.flows.day import Day
from tests.ledger.support import Books

ACTOR = ("me", "a test")


@dataclass
class Trying:
    """A card's story, of which a part is tried."""

    url: str
    scratch: str
    day: Day
    begin: datetime = field(init=False)

    async def from_here(self) -> None:
        """What comes now is the period."""
        self.begin = await self._now()

    async def by(self, **rules: Any) -> Outcome:
        """Try rules on it, for its card alone."""
        own = Rules.model_validate({"cards": (self.day.account_id,), **rules})
        async with scratch_database(self.scratch) as playing:
            period = Period(self.begin, await self._now())
            return await try_rules(self.url, playing, period, own, examples=100)

    async def operate(self, name: str, *values: Any) -> None:
        """Do as the operator's command does on the card."""
        place = (self.day.account_id, self.day.account_id)
        await self._books.connection.execute(OPERATE[name], *ACTOR, *place, *values)

    async def _now(self) -> datetime:
        moment: datetime = await self._books.connection.fetchval("SELECT clock_timestamp()")
        return moment

    @property
    def _books(self) -> Books:
        return self.day.house.books


async def balance(url: str, account_id: int) -> tuple[Any, ...]:
    """What an account has posted and held."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT posted_minor, held_minor FROM accounts WHERE account_id = $1", account_id
    )
    await connection.close()
    return tuple(rows[0])


def others(outcome: Outcome) -> list[tuple[str, str, int]]:
    """What would have been answered otherwise: was, now, how many."""
    return [(row["was"], row["now"], row["number"]) for row in outcome.answers if row["is_other"]]


def beside(outcome: Outcome) -> dict[str, tuple[int, int | None]]:
    """What stands beside it: how many, and their amount."""
    return {row["what"]: (row["number"], row["amount_minor"]) for row in outcome.beside}
