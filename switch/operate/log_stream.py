"""
The log of a running switch for those who watch it: server-sent events over HTTP.

Each line is one event, `data:` and the JSON. Whoever connects gets the lines from then on. Lines
are gathered and written a few times a second, so that one costs the switch an append for each
reader, and nothing while there is none. A reader that is too slow loses lines and is told how
many; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import cast

from aiohttp import web

from switch.log import listen, lost_line

PATH = "/api/log"
#: Readers at once; one more is refused.
READERS_MAX = 8
#: Lines that wait for one reader.
QUEUE_MAX = 4_096
#: Lines in one write; joining many more would hold the loop for too long.
WRITE_MAX = 256
#: Seconds that lines may gather.
GATHER_S = 0.1
#: Seconds of silence after which a comment is written, so that both sides see that the other lives.
BEAT_S = 10.0


class Queue:
    """What waits for one reader. Filled from any thread, emptied by the reader's own task."""

    def __init__(self, queue_max: int = QUEUE_MAX) -> None:
        self._queue_max = queue_max
        self._events: deque[bytes] = deque()
        self._lost = 0

    def put(self, event: bytes) -> None:
        """Queue one event, or count it as lost where the queue is full."""
        if len(self._events) < self._queue_max:
            self._events.append(event)
        else:
            self._lost += 1

    def take(self) -> bytes:
        """The next events as bytes to write, none where there are none; after the last one before
        a gap, how many are missing there.
        """
        taken = [self._events.popleft() for _ in range(min(len(self._events), WRITE_MAX))]
        if self._lost and not self._events:
            lost, self._lost = self._lost, 0
            taken.append(_event(lost_line(lost)))
        return b"".join(taken)


class LogStream:
    """`/api/log`: gives the log to its readers."""

    def __init__(self) -> None:
        self._readers: dict[Queue, asyncio.BaseTransport] = {}
        self._is_closing = False

    def mount(self, app: web.Application) -> None:
        """Serve it from that application, and end with it."""
        app.router.add_get(PATH, self.serve, allow_head=False)
        app.on_shutdown.append(self.close)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Write lines until the reader goes or the switch stops."""
        if len(self._readers) >= READERS_MAX:
            return web.Response(
                status=503, text=f"{READERS_MAX} read the log already: end one of them\n"
            )
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        queue = Queue()
        assert request.transport is not None  # noqa: S101 - it has just been read from
        self._join(queue, request.transport)
        try:
            await response.prepare(request)
            await self._write(response, queue, request.transport)
        except ConnectionResetError:
            pass  # the reader is gone
        finally:
            self._leave(queue)
        return response

    async def close(self, _: web.Application | None = None) -> None:
        """End all readers. They get what waits; one that does not read is not waited for."""
        self._is_closing = True
        if self._readers:
            await asyncio.sleep(2 * GATHER_S)
        for transport in tuple(self._readers.values()):
            cast("asyncio.Transport", transport).abort()

    async def _write(
        self, response: web.StreamResponse, queue: Queue, transport: asyncio.BaseTransport
    ) -> None:
        await response.write(b": the log from now on\n\n")
        wrote_at = time.monotonic()
        while not transport.is_closing():
            if events := queue.take():
                await response.write(events)
                wrote_at = time.monotonic()
                continue
            if self._is_closing:
                return
            if time.monotonic() - wrote_at >= BEAT_S:
                await response.write(b":\n\n")
                wrote_at = time.monotonic()
            await asyncio.sleep(GATHER_S)

    def _join(self, queue: Queue, transport: asyncio.BaseTransport) -> None:
        self._readers[queue] = transport
        listen(self._put)

    def _leave(self, queue: Queue) -> None:
        del self._readers[queue]
        if not self._readers:
            listen(None)

    def _put(self, line: bytes) -> None:
        event = _event(line)
        for queue in tuple(self._readers):  # another thread's line may come while one leaves
            queue.put(event)


def _event(line: bytes) -> bytes:
    """A line, its newline included, as one event."""
    return b"data: " + line + b"\n"
