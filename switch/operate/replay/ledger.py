"""Whether the approvals that a load was given stand in the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from switch.ledger.queries import QUERIES
from switch.operate.replay.error import ReplayError
from switch.operate.replay.tally import Approval


async def missing(url: str, approvals: Sequence[Approval], since: datetime | None) -> int:
    """How many of them have no committed row received since then. Raises `ReplayError` where the
    database does not answer.
    """
    try:
        connection = await asyncpg.connect(url)
        try:
            count: int = await connection.fetchval(
                QUERIES["approvals_missing"],
                [each.stan for each in approvals],
                [each.moment for each in approvals],
                [each.rrn for each in approvals],
                [each.code for each in approvals],
                since,
            )
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ReplayError(f"the database does not answer: {reason}") from None
    return count
