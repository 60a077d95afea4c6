"""A migrated Postgres in a folder to be copied: a first start costs more than most tests do."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from switch.ledger.embedded import EmbeddedPostgres
from switch.prepare import make_ready


class Prepared:
    """The run's prepared folder, which its workers share. Nothing is made before a test asks, nor
    where no run has begun.
    """

    place: Path | None = None

    def lay(self, data_dir: Path) -> None:
        """Put a copy where a switch looks for its data, unless something is there."""
        if self.place is not None and not data_dir.exists():
            shutil.copytree(self.made(), data_dir, symlinks=True)

    def made(self) -> Path:
        """The folder, which is made where no test of any worker has asked before."""
        assert self.place is not None
        with self.place.with_suffix(".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not self.place.exists():
                # In a thread: who asks may be within a loop.
                with ThreadPoolExecutor(1) as pool:
                    pool.submit(asyncio.run, _make(self.place)).result()
        return self.place


async def _make(place: Path) -> None:
    half_made = place.with_suffix(".half")
    async with EmbeddedPostgres(half_made) as server:
        await make_ready(server.url)
    half_made.rename(place)


PREPARED = Prepared()
