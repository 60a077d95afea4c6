"""What a database in service has already: months of messages. See history.sql."""

from __future__ import annotations

from pathlib import Path

from benchmarks.rig import run
from switch.ledger.embedded import EmbeddedPostgres

FILL = Path(__file__).parent / "history.sql"

#: Months over which a history is spread.
MONTHS = 24


async def fill(server: EmbeddedPostgres, *, messages: int, url: str = "") -> None:
    """Give the load cards a past of so many journal rows, and tell the planner of it.

    `url` is another database of the server than its own.
    """
    await run(
        server.bin_dir / "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
        f"--set=messages={messages}", f"--set=months={MONTHS}", f"--file={FILL}", url or server.url,
    )  # fmt: skip
