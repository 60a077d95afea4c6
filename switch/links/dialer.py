"""Dials a peer and, when the connection is lost, dials again."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable

from switch.links.backoff import Backoff
from switch.links.connection import Connection

Dial = Callable[[], Awaitable[Connection]]
OnEvent = Callable[..., None]


class Dialer:
    """Keeps one connection to a peer, from `start` to `stop`."""

    def __init__(
        self, dial: Dial, backoff: Backoff, *, timeout_seconds: float, on_event: OnEvent
    ) -> None:
        """`dial` makes a connection or raises `OSError`; one attempt has `timeout_seconds`."""
        self._dial = dial
        self._backoff = backoff
        self._timeout_seconds = timeout_seconds
        self._on_event = on_event
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to dial."""
        self._task = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """Dial no more. What is connected stays."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            problem = await self._connection()
            chance = random.random()  # noqa: S311 - no secret
            seconds = round(self._backoff.seconds(chance), 3)
            if problem:
                failures = self._backoff.failures
                self._on_event("dial_failed", problem=problem, count=failures, seconds=seconds)
            await asyncio.sleep(seconds)

    async def _connection(self) -> str:
        """One connection from its beginning to its end; what went wrong where there was none."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                connection = await self._dial()
        except (OSError, UnicodeError) as error:  # a TimeoutError is one
            self._backoff = self._backoff.failed()
            return _problem(error)
        began_at = time.monotonic()
        await connection.lost.wait()
        self._backoff = self._backoff.lived(time.monotonic() - began_at)
        return ""


def _problem(error: Exception) -> str:
    """Why there is no connection: asyncio's own words name the address alone."""
    if isinstance(error, TimeoutError):
        return "timed out"
    number = getattr(error, "errno", None)
    if number is not None and number > 0:
        return os.strerror(number)
    return getattr(error, "strerror", None) or type(error).__name__
