"""The publisher in a thread of the switch, with an event loop and a connection of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from typing import Any

import uvloop

from switch.events.publisher import OnEvent, Publisher


class PublisherThread:
    """Runs a publisher beside the event loop of the decisions."""

    def __init__(self, publisher: Publisher) -> None:
        """Nothing runs yet."""
        self._publisher = publisher
        self._loop = uvloop.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._task = self._loop.create_task(self._publisher.run())
        self._thread.start()

    async def stop(self, *, within: float) -> None:
        """End it, for so many seconds at most: what was under way is published again."""
        with contextlib.suppress(RuntimeError):  # it has ended
            if self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        await asyncio.to_thread(self._thread.join, within)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        assert self._task is not None  # noqa: S101 - for mypy
        with contextlib.closing(self._loop), contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)


def in_loop(on_event: OnEvent) -> OnEvent:
    """The same, called in the event loop that runs now, from whatever thread it is told."""
    loop = asyncio.get_running_loop()

    def tell(name: str, /, **fields: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody is there to be told
            loop.call_soon_threadsafe(partial(on_event, name, **fields))

    return tell
