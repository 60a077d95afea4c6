"""
`switch maintain`: makes the months ahead, sets old ones apart, takes away what is short-lived.

Every step commits by itself, leaves the books right, and finds its work done
when it is run again: whoever is stopped here goes on next time. No step takes
a lock that a decision waits for (docs/decisions/0006-partitions.md).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import asyncpg

from switch.ledger.ledger import PARTITION_MONTHS_AHEAD
from switch.ledger.primary import connect
from switch.ledger.queries import MAINTAIN, OUTBOX

#: Accounts whose postings of a month are carried forward in one transaction.
CARRY_ACCOUNTS = 5_000
#: Pages of a table from which rows are purged in one transaction: 8 KiB and some 60 rows each.
PURGE_PAGES = 128
#: How long a step waits for those who still read a month, and how often it is tried.
LOCK_TIMEOUT, ATTEMPTS = "5s", 6
#: The longest pause between attempts, in seconds.
PAUSE_MOST = 2.0

#: What is purged by age. Closed holds go with their month of the journal instead.
PURGED = ("message_keys", "early_marks", "approvals_repeated", "refused", "limit_usage")

#: Account numbers begin here; those of suspense accounts are below zero.
_FIRST = -(2**63)
_SESSION = {
    "statement_timeout": "0",
    "timezone": "UTC",
    "jit": "off",
    "application_name": "switch maintain",
}

Tell = Callable[[str], None]


class MaintainError(Exception):
    """Something is left to be done: one line that says what."""


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays."""

    months: int  #: of journal and postings, before the present one
    days: int  #: of message keys and the like
    event_days: int  #: of events, before the present one
    is_published: bool  #: whether what is not published stays however old it is


@dataclass(frozen=True, slots=True)
class Partition:
    """A month or a day that is to go, and what is to be done next with it: see old_partitions_v1
    and old_event_days_v1.
    """

    parent: str
    name: str
    starts: datetime
    ends: datetime
    step: str
    statement: str


async def maintain(url: str, keep: Keep, tell: Tell) -> None:
    """Do all that is due; `tell` gets a line for everything done.

    Raises `MaintainError` where a step could not be done, and where another process maintains.
    """
    async with _connected(url) as connection:
        if not await connection.fetchval(MAINTAIN["take_turn"]):
            raise MaintainError("another process maintains this database: wait for its end")
        for row in await connection.fetch(MAINTAIN["make_partitions"], PARTITION_MONTHS_AHEAD):
            tell(f"made {row[0]}")
        (cutoffs,) = await connection.fetch(MAINTAIN["cutoffs"], keep.months, keep.days)
        for table in PURGED:
            await _purge(connection, table, cutoffs["keys_before"], tell)
        await _drop_events(connection, keep, tell)
        await _set_apart(connection, cutoffs["go_before"], tell)
        gone_before = await connection.fetchval(MAINTAIN["journal_before"])
        if gone_before is not None:
            await _purge(connection, "holds", gone_before, tell)


async def _purge(connection: asyncpg.Connection, table: str, before: datetime, tell: Tell) -> None:
    """Delete what is old, a few pages at a time; it rests for as long as it works."""
    await connection.execute(MAINTAIN["note_taken"], table, before, None)
    pages = await connection.fetchval(MAINTAIN["pages"], table)
    purged = 0
    for first in range(0, pages, PURGE_PAGES):
        began = time.monotonic()
        said = await connection.execute(
            MAINTAIN[f"purge_{table}"], first, first + PURGE_PAGES, before
        )
        purged += int(said.removeprefix("DELETE "))
        await asyncio.sleep(time.monotonic() - began)
    if purged:
        tell(f"purged {purged:,} of {table}")


async def _set_apart(connection: asyncpg.Connection, before: datetime, tell: Tell) -> None:
    """Detach the months that end by then, the oldest first, and rename them."""
    stays: set[str] = set()
    while due := await _old_partitions(connection, before, stays):
        partition = due[0]
        if partition.step == "detach":
            if open_holds := await _open_holds(connection, partition):
                stays.add(partition.name)
                tell(f"{partition.name} stays: {open_holds:,} of its holds are open")
                continue
            await _note(connection, partition, tell)
        await _patiently(
            connection, partition, partial(_old_partitions, connection, partition.ends, set())
        )
        if partition.step == "rename":
            tell(f"detached {partition.name} as {partition.name}_detached")


async def _drop_events(connection: asyncpg.Connection, keep: Keep, tell: Tell) -> None:
    """Drop the days of events that are old, and published where they are to be."""
    before = await connection.fetchval(MAINTAIN["events_before"], keep.event_days)
    published = None
    if keep.is_published:
        published = await connection.fetchval(OUTBOX["published"]) or 0

    async def old() -> list[Partition]:
        rows = await connection.fetch(MAINTAIN["old_event_days"], before, published)
        return [Partition(*row) for row in rows]

    while due := await old():
        await _patiently(connection, due[0], old)
        if due[0].step == "drop":
            tell(f"dropped {due[0].name}")


async def _old_partitions(
    connection: asyncpg.Connection, before: datetime, stays: set[str]
) -> list[Partition]:
    rows = await connection.fetch(MAINTAIN["old_partitions"], before)
    return [Partition(*row) for row in rows if row["name"] not in stays]


async def _open_holds(connection: asyncpg.Connection, partition: Partition) -> int:
    if partition.parent != "authorizations":
        return 0
    count: int = await connection.fetchval(MAINTAIN["open_holds"], partition.ends)
    return count


async def _note(connection: asyncpg.Connection, partition: Partition, tell: Tell) -> None:
    """Leave in the books what they need of a month that goes, before it goes."""
    month = (partition.starts, partition.ends)
    last_id = None
    if partition.parent == "postings":
        await _carry(connection, partition, tell)
    else:
        last_id = await connection.fetchval(MAINTAIN["last_authorization"], *month)
    await connection.execute(MAINTAIN["note_taken"], partition.parent, partition.ends, last_id)


async def _carry(connection: asyncpg.Connection, partition: Partition, tell: Tell) -> None:
    """Carry each account's sum of a month of postings forward, into the present month."""
    month = (partition.starts, partition.ends)
    after: int | None = _FIRST
    carried = 0
    while after is not None:
        (row,) = await connection.fetch(MAINTAIN["carry_postings"], *month, after, CARRY_ACCOUNTS)
        after, carried = row["last_account_id"], carried + row["carried"]
    if left := await connection.fetchval(MAINTAIN["uncarried"], *month):
        raise MaintainError(
            f"{partition.name} stays: {left:,} accounts have postings in it that cannot be carried "
            "forward; see `switch audit`"
        )
    tell(f"carried {partition.name} forward for {carried:,} accounts")


async def _patiently(
    connection: asyncpg.Connection,
    partition: Partition,
    due: Callable[[], Awaitable[list[Partition]]],
) -> None:
    """Take the next step with a partition, again where somebody was in the way.

    A detaching that gave up is half done, and is asked for again as its finalizing.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            await connection.execute(partition.statement)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            if partition not in await due():
                return
            if attempt < ATTEMPTS:
                await asyncio.sleep(random.uniform(0, PAUSE_MOST))  # noqa: S311 - no secret
        else:
            return
    raise MaintainError(
        f"{partition.name} could not be set apart: somebody has been reading it for long "
        "(pg_stat_activity names them); run it again"
    )


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of our own; one clear line where it cannot be had, is lost, or may not."""
    try:
        connection = await connect(url, server_settings=_SESSION | {"lock_timeout": LOCK_TIMEOUT})
        try:
            yield connection
        finally:
            await connection.close()
    except asyncpg.InsufficientPrivilegeError:
        raise MaintainError("this role may not change the tables: run it as their owner") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MaintainError(f"the database broke it off, run it again: {reason}") from None
