"""For commands that work on the books and must not change the schema under a running switch."""

from __future__ import annotations

from switch.ledger.migrate import MigrationError, pending
from switch.ledger.primary import connect


async def check_schema(url: str) -> None:
    """Raise `MigrationError` where the schema is behind this version of the switch."""
    connection = await connect(url)
    try:
        missing = await pending(connection)
    finally:
        await connection.close()
    if missing:
        raise MigrationError(
            f"the schema is behind this version ({missing[0]}): run `switch migrate` first"
        )
