"""Reads cards to keep, from a process's start on: beside its traffic, and behind it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

from switch.ledger.errors import CallRefused, LedgerUnavailable
from switch.ledger.kept_cards import KeptCards, card_of

#: Cards that are read at once: a millisecond of the event loop.
READ_AT_ONCE = 200
#: Cards that are let go at once, of those that were forgotten: a part of a millisecond.
LET_GO_AT_ONCE = 1_000
#: How long a database that is away is waited for before it is asked again, in seconds.
RETRY_SECONDS = 1.0
#: Cards after which those that were read are taken out of the collector's sight. It would look at
#: hundreds of thousands of them at a time, for a twentieth of a second and more.
FREEZE_EVERY = 10_000


class CardReader:
    """Fills what is kept, until there are no more cards or no room; then the traffic's own are."""

    def __init__(self, kept: KeptCards, chore: Callable[..., Awaitable[list[Any]]]) -> None:
        """`chore` makes a statement by its name."""
        self._kept = kept
        self._chore = chore
        self._task: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether all is read that is to be read."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Begin to read."""
        self._task = asyncio.create_task(self._read())

    def read_anew(self) -> None:
        """Forget what is kept, and read from the beginning where it had begun."""
        self._kept.forget()
        if self._task is not None:
            self._task.cancel()
            self.start()

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        is_more = True
        while is_more:
            is_more = self._kept.let_go(LET_GO_AT_ONCE)
            await asyncio.sleep(0)
        loop, token, unfrozen = asyncio.get_running_loop(), b"", 0
        while self._kept.has_room:
            began = loop.time()
            try:
                rows = await self._chore("cards_from", token, READ_AT_ONCE)
            except LedgerUnavailable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            except CallRefused:
                return  # it would be refused again: they are found one by one as they are asked for
            if not rows:
                return
            for row in rows:
                if self._kept.has_room:
                    self._kept.keep((row[0],), card_of(row))
            token = max(row[0] for row in rows)
            unfrozen += len(rows)
            if unfrozen >= FREEZE_EVERY:
                gc.collect(0)  # what is garbage already is not to stay for ever
                gc.freeze()
                unfrozen = 0
            # It rests for as long as it works: a million cards are not to be in anybody's way.
            await asyncio.sleep(loop.time() - began)
