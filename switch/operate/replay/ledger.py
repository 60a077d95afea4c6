"""Whether what a load was told stands in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger.primary import connect
from switch.ledger.queries import QUERIES
from switch.operate.replay.error import ReplayError
from switch.operate.replay.tally import Approval


async def missing(url: str, approvals: Sequence[Approval], since: datetime | None) -> int:
    """How many of them have no committed row received since then. Raises `ReplayError` where the
    database does not answer.
    """
    rows = await _asked(
        url,
        "approvals_missing",
        [each.stan for each in approvals],
        [each.moment for each in approvals],
        [each.rrn for each in approvals],
        [each.code for each in approvals],
        since,
    )
    count: int = rows[0][0]
    return count


async def differing(
    url: str, stands: Sequence[tuple[str, int]], since: datetime
) -> Sequence[tuple[str, int, int]]:
    """Of purchases received since then, by RRN and what should stand of each: those of which
    another amount stands, with both, in minor units. Raises `ReplayError` as `missing` does.
    """
    rrns, minors = [rrn for rrn, _ in stands], [minor for _, minor in stands]
    rows = await _asked(url, "standing_differs", rrns, minors, since)
    return [(row["rrn"], row["told"], row["stands"]) for row in rows]


async def _asked(url: str, query: str, *values: Any) -> Sequence[asyncpg.Record]:
    try:
        connection = await connect(url)
        try:
            rows: Sequence[asyncpg.Record] = await connection.fetch(QUERIES[query], *values)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ReplayError(f"the database does not answer: {reason}") from None
    return rows
