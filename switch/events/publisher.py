"""
Takes events from the outbox to a sink: one process at a time, a stretch at a time, in order.

The one that publishes holds a lock of the database's for as long as its connection lasts; the
others look for it now and then. How far events are out is noted when the sink has them: who stops
in between publishes the same stretch again, and nobody skips one.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable

from switch.events.event import Event
from switch.events.sink import Sink, SinkUnavailable
from switch.ledger.lane import NOT_CONNECTED
from switch.ledger.outbox import SESSION, Outbox, OutboxRow
from switch.ledger.primary import Primary

#: How often the outbox is looked at where nothing was in it, in seconds.
POLL_SECONDS = 0.2
#: How often a process that does not publish looks whether it is to, in seconds.
TURN_SECONDS = 2.0
#: How often it is looked whether the database has moved to another server, in seconds.
LOOK_SECONDS = 5.0
#: Between two stretches, in seconds: whoever shares the interpreter gets it.
BREATH_SECONDS = 0.002
#: The first and the longest pause after a failure of sink or database, in seconds.
PAUSE_FIRST, PAUSE_MOST = 0.5, 30.0
#: How long connecting, and one statement, may take, in seconds.
CONNECT_SECONDS, STATEMENT_SECONDS = 5.0, 30.0

OnEvent = Callable[..., None]


class Publisher:
    """The work of it. What it counts may be read from any thread."""

    def __init__(self, url: str, sink: Sink, *, batch_max: int, on_event: OnEvent) -> None:
        """`on_event` is told, from the thread that publishes, when events stop and when they go
        on.
        """
        self._primary = Primary(url)
        self._sink = sink
        self.sink = sink.name
        self._batch_max = batch_max
        self._on_event = on_event
        self.published = 0  #: events that the sink has had since the start
        self.failures = 0  #: attempts that sink or database let fail
        self.is_leader = False
        self.lag = 0  #: events that are not published, as far as they are counted
        self.lag_seconds = 0.0  #: how long the oldest event has waited
        self._down_since: float | None = None
        self._term = 0  # of the primary that is connected to
        self._looked_at = 0.0  # whether it is that still
        self._pause = PAUSE_FIRST
        self._measured_at = 0.0

    async def run(self) -> None:
        """Publish until it is cancelled. A sink or a database that is down is waited for."""
        try:
            while True:
                try:
                    async with self._connected() as outbox:
                        problem = await self._serve(outbox)
                except NOT_CONNECTED as error:  # a statement's own errors among them
                    problem = f"database: {type(error).__name__}"
                except Exception as error:  # noqa: BLE001 - whatever it is, it must go on
                    problem = type(error).__name__
                await self._failed(problem)
        finally:
            self._sink.close()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Outbox]:
        connection = await self._primary.connect(
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings=dict(SESSION) | {"application_name": "switch events"},
        )
        self._term, self._looked_at = self._primary.term, time.monotonic()
        try:
            yield Outbox(connection)
        finally:
            self.is_leader = False
            self._sink.close()  # another may write there meanwhile
            with contextlib.suppress(*NOT_CONNECTED):
                await connection.close(timeout=1)

    async def _serve(self, outbox: Outbox) -> str:
        """Publish for as long as this is who does; why it is not any more."""
        while not await outbox.take_turn():
            await self._measure(outbox, await outbox.published())
            self._up()
            if await self._is_deposed(outbox):
                return "the database has moved"
            await asyncio.sleep(TURN_SECONDS)
        self.is_leader = True
        published, settled = await outbox.published(), 0
        while True:
            if await self._is_deposed(outbox):
                return "the database has moved"
            if settled <= published:
                settled = await outbox.settled()
            stretch, reached = await self._read(outbox, published, settled)
            if stretch:
                try:
                    self._sink.publish([event_of(row) for row in stretch])
                except SinkUnavailable as error:
                    await self._measure(outbox, published)
                    await self._failed(str(error))
                    continue
            if reached > published and not await outbox.move(published, reached):
                return "another process publishes"  # the lock was lost and taken
            published = reached
            self.published += len(stretch)
            self._up()
            if not stretch or time.monotonic() - self._measured_at > POLL_SECONDS:
                await self._measure(outbox, published)
            await asyncio.sleep(BREATH_SECONDS if stretch else POLL_SECONDS)

    async def _is_deposed(self, outbox: Outbox) -> bool:
        """Look now and then whether this server is the primary still: one that was frozen, or was
        told to follow another, answers as ever.
        """
        if time.monotonic() - self._looked_at < LOOK_SECONDS:
            return False
        self._looked_at = time.monotonic()
        if self._primary.has_several_hosts:
            with contextlib.suppress(*NOT_CONNECTED):
                await self._primary.look()
        return self._term != self._primary.term or await outbox.is_read_only()

    async def _read(
        self, outbox: Outbox, published: int, settled: int
    ) -> tuple[list[OutboxRow], int]:
        """The next stretch, and the number up to which nothing else is to be published."""
        if settled <= published:
            return [], published
        stretch = await outbox.stretch(published, settled, self._batch_max)
        # What was rolled back has a number and no event.
        return stretch, stretch[-1].number if len(stretch) == self._batch_max else settled

    async def _measure(self, outbox: Outbox, published: int) -> None:
        self._measured_at = time.monotonic()
        self.lag = await outbox.waiting(published)
        self.lag_seconds = await outbox.waiting_seconds(published) if self.lag else 0.0

    async def _failed(self, problem: str) -> None:
        self.failures += 1
        if self._down_since is None:
            self._down_since = time.monotonic()
            self._on_event("events_stopped", name=self.sink, problem=problem)
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, PAUSE_MOST)

    def _up(self) -> None:
        self._pause = PAUSE_FIRST
        if self._down_since is not None:
            seconds = round(time.monotonic() - self._down_since, 3)
            self._down_since = None
            self._on_event("events_going", name=self.sink, seconds=seconds)


def event_of(row: OutboxRow) -> Event:
    """An event as it leaves: its number is written so that it sorts."""
    return Event(f"{row.number:019}", row.account, row.type, row.body.encode())
