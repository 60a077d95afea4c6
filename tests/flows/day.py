"""A card's day: messages of any class about it, and what they did to its money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg

from switch.ledger.calls import AuthorizationCall
from switch.ledger.queries import AUDIT, QUERIES
from switch.operate.audit import RULES
from switch.wire.message import Message, decode
from tests.flows.support import PAN_FIRST, PIN_BLOCK, House, purchase
from tests.ledger.support import PROGRAM, Books, number

_ANSWER_MS = 10_000
CASH, CASHBACK, REFUND, FUNDING, LOAD, INQUIRY = (
    "010000", "090000", "200000", "260000", "280000", "310000",
)  # fmt: skip

Changes = str | None


class Money(NamedTuple):
    """What an account has posted since its day began, and what is held of it."""

    posted: int
    held: int


@dataclass(frozen=True)
class Told:
    """The answer to a message, and what the message did."""

    fields: Mapping[int, str] = field(repr=False)
    effect: str | None
    is_repeat: bool
    undo: AuthorizationCall | None = field(repr=False)

    @property
    def code(self) -> str:
        """DE39."""
        return self.fields[39]

    @property
    def authorization_code(self) -> str:
        """DE38."""
        return self.fields[38]


@dataclass
class Day:
    """One card in a house."""

    house: House
    account_id: int
    pan: str = field(repr=False)
    opening_minor: int

    @classmethod
    async def begin(cls, house: House, *, posted_minor: int = 100_000, **how: Any) -> Day:
        """Issue a card with 1000.00 EUR, if nothing else is said."""
        account_id, pan = await house.card(posted_minor=posted_minor, **how)
        return cls(house, account_id, pan, posted_minor)

    # What is sent.

    def asks(self, minor: int = 1_000, *, mti: str = "0100", **changes: Changes) -> Message:
        """A request about the card, with a STAN and an RRN of its own; cash brings its PIN."""
        fields = purchase(self.pan, _4=f"{minor:012d}", **changes)
        if fields[3] in (CASH, CASHBACK):
            fields[52] = PIN_BLOCK
        return Message(mti, fields)

    async def send(self, message: Message) -> Told:
        """Send a message and read its answer."""
        exchange = await self.house.send(message.fields, mti=message.mti, answer_ms=_ANSWER_MS)
        assert exchange.answer is not None
        assert exchange.reply is not None
        return Told(
            dict(decode(exchange.answer, self.house.router.spec).fields),
            exchange.reply.effect,
            exchange.reply.is_repeat,
            exchange.reply.undo,
        )

    async def codes(self, *messages: Message) -> list[str]:
        """Send messages one after another; the DE39 of each."""
        return [(await self.send(message)).code for message in messages]

    async def approved(self, minor: int = 1_000, **how: Any) -> Message:
        """Send a request that is approved; the request."""
        message = self.asks(minor, **how)
        assert (await self.send(message)).code == "00"
        return message

    async def unwind(self, told: Told) -> str:
        """The answer to a request did not leave in time; what its unwinding did."""
        assert told.undo is not None
        return await self.house.books.unwind(told.undo)

    # What became of it.

    async def money(self) -> Money:
        """What stands on the account."""
        now = await balances(self.house, self.account_id)
        return now._replace(posted=now.posted - self.opening_minor)

    async def usage(self, scope: str = "all", period: str = "day") -> list[tuple[int, int]]:
        """Amount and count used of a limit, a pair for each period, the oldest first."""
        rows = await self.house.books.connection.fetch(
            "SELECT amount_minor, count FROM limit_usage WHERE account_id = $1 AND scope = $2"
            " AND period = $3 ORDER BY period_start",
            self.account_id, scope, period,
        )  # fmt: skip
        return [(row["amount_minor"], row["count"]) for row in rows]

    async def row(self, message: Message) -> asyncpg.Record:
        """The journal's row of a message."""
        return await journal_row(self.house.books, self.account_id, message)

    async def holds(self) -> list[str]:
        """The states of the account's holds, oldest first."""
        return [row["state"] for row in await self.hold_rows()]

    async def open_holds(self) -> list[tuple[int, int]]:
        """Purchase and amount of each open hold, oldest first: the purchases by their turn."""
        rows = [row for row in await self.hold_rows() if row["state"] == "open"]
        purchases = list(dict.fromkeys(row["purchase_id"] for row in rows))
        return [(1 + purchases.index(row["purchase_id"]), row["amount_minor"]) for row in rows]

    async def hold_rows(self) -> list[asyncpg.Record]:
        """The account's holds, oldest first; numbers are not given in their order."""
        rows: list[asyncpg.Record] = await self.house.books.connection.fetch(
            "SELECT * FROM holds WHERE account_id = $1 ORDER BY received_at", self.account_id
        )
        return rows

    async def second_card(self) -> str:
        """Issue a second card of the same account; its PAN."""
        one = number()
        pan = str(PAN_FIRST + one)
        await self.house.books.card(self.account_id, one)
        await self.house.books.connection.execute(
            "INSERT INTO pan_tokens VALUES ($1, 0, $2, $3)",
            self.house.vault.pan_token(pan), self.account_id, one,
        )  # fmt: skip
        return pan

    async def change(self, **card: Any) -> None:
        """Change what the card is: `status="blocked"`."""
        for column, value in card.items():
            await self.house.books.connection.execute(
                f"UPDATE cards SET {column} = $2 WHERE account_id = $1", self.account_id, value
            )

    async def close_account(self) -> None:
        """Close the account."""
        await self.house.books.connection.execute(
            "UPDATE accounts SET status = 'closed' WHERE account_id = $1", self.account_id
        )

    # Time.

    async def expire(self) -> None:
        """Let the time of every hold be over, and sweep."""
        connection = self.house.books.connection
        await connection.execute(
            "UPDATE holds SET expires_at = now() WHERE account_id = $1 AND state = 'open'",
            self.account_id,
        )
        while "open" in await self.holds():
            await connection.execute(QUERIES["expire_holds"], 500)

    async def passes(self, **time: float) -> None:
        """So much time passes: all that was received so far was received that much earlier.

        A negative time sets the database's clock back.
        """
        since = timedelta(**time)
        connection = self.house.books.connection
        for table in ("authorizations", "postings"):
            for moment in (datetime.now(UTC) - since, datetime.now(UTC)):
                await connection.execute(
                    "SELECT make_partition_v1($1, date_trunc('month', $2::timestamptz"
                    " AT TIME ZONE 'UTC')::date)",
                    table, moment,
                )  # fmt: skip
        async with connection.transaction():
            for table, columns in _MOMENTS.items():
                earlier = ", ".join(f"{column} = {column} - $2::interval" for column in columns)
                await connection.execute(
                    f"UPDATE {table} SET {earlier} WHERE account_id = $1", self.account_id, since
                )
            await connection.execute(
                "UPDATE limit_usage AS u SET period_start = period_start_v1(u.period,"
                " u.counted_from, p.time_zone, p.week_starts) FROM programs AS p"
                " WHERE account_id = $1 AND p.program_id = $2",
                self.account_id, PROGRAM,
            )  # fmt: skip

    async def keys_are_purged(self) -> None:
        """What tells repeats apart was kept for half a year, and no longer."""
        connection = self.house.books.connection
        for table in ("message_keys", "early_marks"):
            await connection.execute(
                "INSERT INTO taken_away (table_name, before) VALUES ($1, $2)"
                " ON CONFLICT (table_name) DO UPDATE SET before = excluded.before",
                table, before := datetime.now(UTC) - timedelta(days=182),
            )  # fmt: skip
            await connection.execute(
                f"DELETE FROM {table} WHERE account_id = $1 AND received_at < $2",
                self.account_id, before,
            )  # fmt: skip

    async def audit(self) -> list[str]:
        """The rules of `switch audit` that do not hold for the account."""
        return await broken_rules(self.house, self.account_id - 1, self.account_id)


#: Every column that tells when something was received.
_MOMENTS: Mapping[str, tuple[str, ...]] = {
    "authorizations": (
        "received_at", "purchase_received_at", "reversed_at", "unwound_at", "unwind_asked_at",
        "advised_at",
    ),
    "message_keys": ("received_at",),
    "early_marks": ("received_at", "noted_at"),
    "holds": ("received_at",),
    "postings": ("posted_at",),
    "limit_usage": ("counted_from",),
}  # fmt: skip


async def journal_row(books: Books, account_id: int, message: Message) -> asyncpg.Record:
    """The row of a message in an account's journal; one that is there once."""
    rows = await books.connection.fetch(
        "SELECT * FROM authorizations WHERE account_id = $1 AND mti = $2 AND stan = $3"
        " AND transmission_datetime = $4",
        account_id, message.mti, message.fields[11], message.fields[7],
    )  # fmt: skip
    (row,) = rows
    return row


async def suspense(house: House, currency: str) -> Money:
    """What stands on the suspense account of the program and a currency."""
    return await balances(house, suspense_account(currency))


async def balances(house: House, account_id: int) -> Money:
    """What stands on an account; nothing on one that is not there."""
    row = await house.books.connection.fetchrow(
        "SELECT posted_minor, held_minor FROM accounts WHERE account_id = $1", account_id
    )
    return Money(*row) if row else Money(0, 0)


async def broken_rules(house: House, above: int, last: int) -> list[str]:
    """The rules of `switch audit` that do not hold for some accounts, and for what."""
    broken = []
    for rule in RULES:
        statement = AUDIT["found"].replace(":rule", AUDIT[rule])
        (row,) = await house.books.connection.fetch(statement, above, last, 9)
        broken += [f"{rule}: {name}" for name in row["named"]]
    return broken


def suspense_account(currency: str) -> int:
    """The number of that account."""
    return -(1_000 * PROGRAM + int(currency))


async def suspense_row(house: House, currency: str, message: Message) -> asyncpg.Record:
    """The row of a message in the journal of that account."""
    return await journal_row(house.books, suspense_account(currency), message)


def unknown_card(house: House) -> Day:
    """A card that nobody issued."""
    return Day(house, 0, str(PAN_FIRST + number()), 0)
