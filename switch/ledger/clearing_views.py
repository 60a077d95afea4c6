"""What became of clearing files, as `switch clearing` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from switch.ledger.clearing import EXCEPTIONS
from switch.ledger.operators import OperatorRefusal, refusing
from switch.ledger.queries import CLEARING


@dataclass(frozen=True, slots=True)
class FileView:
    """A file, the sums of its records by outcome, and those that somebody should look at."""

    row: asyncpg.Record
    outcomes: Sequence[asyncpg.Record]
    exceptions: Sequence[asyncpg.Record]
    more: int  #: exceptions that are not here

    @property
    def file_id(self) -> bytes:
        """SHA-256 of its bytes."""
        number: bytes = self.row["file_id"]
        return number

    @property
    def name(self) -> str:
        """The name that it had when it was imported."""
        return str(self.row["name"])


async def view_clearing_file(
    connection: asyncpg.Connection, file: bytes | str, *, most: int = 1_000
) -> FileView:
    """A file by its number, or by how that begins in hex. Raises `OperatorRefusal`."""
    begins = file if isinstance(file, str) else file.hex()
    with refusing():
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await connection.fetch(CLEARING["files_named"], begins)
            if not rows:
                raise OperatorRefusal("this file was not imported: see `switch clearing list`")
            if len(rows) > 1:
                raise OperatorRefusal("several files have a number that begins so: give more of it")
            file_id = rows[0]["file_id"]
            outcomes = await connection.fetch(CLEARING["outcomes"], file_id)
            shown = await connection.fetch(CLEARING["exceptions"], file_id, list(EXCEPTIONS), most)
    of_all = sum(row["count"] for row in outcomes if row["outcome"] in EXCEPTIONS)
    return FileView(rows[0], outcomes, shown, of_all - len(shown))


async def clearing_files(connection: asyncpg.Connection, most: int) -> list[asyncpg.Record]:
    """The newest files, and how much of each is settled. Raises `OperatorRefusal`."""
    with refusing():
        return await connection.fetch(CLEARING["files"], most)
