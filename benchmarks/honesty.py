"""What must be true of a run for its figures to count."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import asyncpg
import orjson

from benchmarks.rig import BenchError
from switch.operate.audit import audit

#: Without these a commit is faster than a disk.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")

#: Where an approval has one row beside that of the journal, and which of them it is.
_ROWS = {
    "message_keys": "true",
    "holds": "true",
    "events": "t.type = 'authorization.approved'",
}


async def durability(connection: asyncpg.Connection) -> dict[str, str]:
    """The server's settings of durability. Raises `BenchError` unless all are on."""
    settings = {name: await connection.fetchval(f"SHOW {name}") for name in DURABLE}
    if set(settings.values()) != {"on"}:
        raise BenchError(f"the server is not durable: {settings}")
    return settings


async def check_received(
    connection: asyncpg.Connection, link: str, approved: Iterable[int]
) -> None:
    """Every approval that was received on a link has its row. Raises `BenchError`."""
    query = "SELECT rrn FROM authorizations WHERE link = $1 AND reason IS NULL"
    async with connection.transaction():
        numbers = {int(row["rrn"]) async for row in connection.cursor(query, link, prefetch=10_000)}
    missing = sum(number not in numbers for number in approved)
    if missing:
        raise BenchError(f"{link}: {missing} approvals that were received have no row")


async def check_yardstick(connection: asyncpg.Connection, transactions: int) -> None:
    """Every decision that pgbench counted has its rows, or came too late to be one, which it counts
    as the others. It counts none of those that it breaks off at its end, hence at least so many.
    Raises `BenchError`.
    """
    late = await connection.fetchval("SELECT last_value - (NOT is_called)::int FROM bench_late")
    for table, which in _ROWS.items():
        count = await connection.fetchval(
            f"SELECT count(*) FROM authorizations AS z JOIN {table} AS t"  # noqa: S608 - our names
            " USING (account_id, authorization_id)"
            f" WHERE z.link = 'pgbench' AND z.reason IS NULL AND {which}"
        )
        if count + late < transactions:
            raise BenchError(
                f"pgbench made {transactions} calls, {late} too late, {count} rows in {table}"
            )


async def check_books(url: str) -> None:
    """`switch audit` finds nothing. Raises `BenchError`."""
    wrong = [finding for finding in await audit(url) if finding.wrong]
    if wrong:
        raise BenchError(f"the books are wrong: {wrong[0]}")


def check_logs(logs: Iterable[Path], messages: int) -> int:
    """The switches wrote one line a message, lost ones told. Gives how many lines they lost.

    Raises `BenchError` where lines are missing that it does not tell of.
    """
    lines, lost = 0, 0
    for log in logs:
        with log.open("rb") as file:
            for line in file:
                event = orjson.loads(line)
                lines += event["event"] == "message"
                lost += event["count"] if event["event"] == "log_lines_lost" else 0
    if lines + lost < messages:
        raise BenchError(f"{messages} messages and {lines} lines in the log")
    return lost
