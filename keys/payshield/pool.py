"""
The connections to all payShields, each kept by a task of its own that makes it anew once lost.

Questions take the connection that has rested longest, which spreads them over the HSMs that answer.
A new connection is used only after its HSM has told of itself; one that rests is asked for an echo
now and then, so that a dead peer is found before a cardholder finds it.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from keys.hsm import HsmRejected, HsmUnavailable
from keys.payshield.commands import echo
from keys.payshield.frame import Command
from keys.payshield.link import Link

T = TypeVar("T")

#: Seconds to connect and be greeted: Thales lets a host wait five for NC, TLS comes to it.
GREETING_LIMIT = 6.0

#: Seconds of rest after which a connection is asked for an echo, and how long that may take.
IDLE_LIMIT = 10.0
ECHO_LIMIT = 2.0

#: Seconds before a connection that never served is made anew: doubled each time, up to a limit.
BACKOFF_FIRST = 0.05
BACKOFF_MAX = 5.0

#: Bytes of an echo.
_ECHO_SIZE = 8


class Pool:
    """Connections to one or more HSMs under one LMK."""

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        *,
        connections: int,
        new_link: Callable[[], Link],
        greet: Callable[[Link], Awaitable[None]],
        tls: ssl.SSLContext | None,
    ) -> None:
        """`connections` to each address; `greet` raises where an HSM must not be used."""
        self._places = [address for address in addresses for _ in range(connections)]
        self._new_link = new_link
        self._greet = greet
        self._tls = tls
        self._free: deque[Link] = deque()  #: the longest rested first
        self._waiting: deque[asyncio.Future[Link | None]] = deque()
        self._hopeful = len(self._places)  #: connections that stand or are being made
        self._tasks: list[asyncio.Task[None]] = []
        self._links: set[Link] = set()

    async def open(self) -> None:
        """
        Connect; return when every connection stands or has failed once.

        Raises `HsmRejected` where an HSM must not be used, `HsmUnavailable` where none answers.
        """
        loop = asyncio.get_running_loop()
        tried: list[asyncio.Future[Exception | None]] = [loop.create_future() for _ in self._places]
        self._tasks = [
            asyncio.create_task(self._keep(place, first))
            for place, first in zip(self._places, tried, strict=True)
        ]
        failures = [failure for failure in await asyncio.gather(*tried) if failure is not None]
        for failure in failures:
            if isinstance(failure, HsmRejected):
                raise failure
        if len(failures) == len(self._places):
            raise failures[0]
        self._tasks.append(asyncio.create_task(self._stay_awake()))

    async def ask(self, command: Command[T], limit: float) -> T:
        """Ask over the next free connection; `HsmUnavailable` after `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                link = await self._claim()
                try:
                    return await link.ask(command)
                finally:
                    self._release(link)
        except TimeoutError:
            raise HsmUnavailable(f"payShield {command.code}: no answer in time") from None

    async def close(self) -> None:
        """Close every connection and make none anew."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._hopeful = 0
        self._send_away()
        links = list(self._links)
        for link in links:
            link.abort()
        for link in links:
            await link.closed.wait()

    async def _claim(self) -> Link:
        """Take a free connection; wait for one unless every HSM is known not to answer."""
        while True:
            while self._free:
                link = self._free.popleft()
                if link.is_open:
                    return link
            if self._hopeful <= 0:
                raise HsmUnavailable("payShield: no HSM can be reached")
            handed = await self._handed()
            if handed is not None and handed.is_open:
                return handed

    async def _handed(self) -> Link | None:
        """Wait in line for a connection; None where there is no hope left."""
        place: asyncio.Future[Link | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._release(place.result())
            raise

    def _release(self, link: Link | None) -> None:
        """Hand a connection to the first in line, or let it rest."""
        if link is None or not link.is_open:
            return
        while self._waiting:
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(link)
                return
        self._free.append(link)

    def _send_away(self) -> None:
        """Let nobody wait where no connection stands or is being made."""
        if self._hopeful <= 0:
            while self._waiting:
                place = self._waiting.popleft()
                if not place.done():
                    place.set_result(None)

    async def _keep(
        self, place: tuple[str, int], first: asyncio.Future[Exception | None] | None
    ) -> None:
        """Keep one connection to an HSM, for ever. `first` learns how the first attempt went."""
        failures = 0
        while True:
            try:
                link = await self._connect(place)
            except (HsmRejected, HsmUnavailable) as failure:
                served = False
                if first is not None:
                    first.set_result(failure)
            else:
                if first is not None:
                    first.set_result(None)
                greeted = link.answered
                self._release(link)
                await link.closed.wait()
                self._links.discard(link)
                with contextlib.suppress(ValueError):
                    self._free.remove(link)
                served = link.answered > greeted
            first = None
            failures = 0 if served else failures + 1
            if failures:
                self._hopeful -= 1
                self._send_away()
                try:
                    await asyncio.sleep(_backoff(failures))
                finally:
                    self._hopeful += 1

    async def _connect(self, place: tuple[str, int]) -> Link:
        """Connect and be greeted, or raise `HsmUnavailable` or `HsmRejected`."""
        host, port = place
        loop = asyncio.get_running_loop()
        where = f"payShield {host}:{port}"
        link: Link | None = None
        try:
            async with asyncio.timeout(GREETING_LIMIT):
                _, link = await loop.create_connection(self._new_link, host, port, ssl=self._tls)
                self._links.add(link)
                await self._greet(link)
        except HsmUnavailable as failure:
            await self._drop(link)
            raise HsmUnavailable(f"{where}: {failure}") from None
        except HsmRejected as failure:
            await self._drop(link)
            raise HsmRejected(f"{where}: {failure}") from None
        except TimeoutError:
            await self._drop(link)
            raise HsmUnavailable(f"{where}: no answer in time") from None
        except (OSError, ValueError) as failure:
            # ssl.SSLError is an OSError too; a name that cannot be one raises ValueError.
            reason = getattr(failure, "strerror", None) or type(failure).__name__
            raise HsmUnavailable(f"{where}: cannot connect: {reason}") from None
        return link

    async def _drop(self, link: Link | None) -> None:
        if link is not None:
            link.abort()
            await link.closed.wait()
            self._links.discard(link)

    async def _stay_awake(self) -> None:
        """Ask each connection that rested too long for an echo; one that fails closes itself."""
        while True:
            await asyncio.sleep(IDLE_LIMIT / 2)
            for _ in range(len(self._free)):
                with contextlib.suppress(IndexError, HsmUnavailable, HsmRejected):
                    await self._wake(self._free.popleft())

    async def _wake(self, link: Link) -> None:
        now = asyncio.get_running_loop().time()
        try:
            if link.is_open and now - link.idle_since >= IDLE_LIMIT:
                async with asyncio.timeout(ECHO_LIMIT):
                    await link.ask(echo(secrets.token_hex(_ECHO_SIZE // 2).encode()))
        except TimeoutError:
            pass
        finally:
            self._release(link)


def _backoff(failures: int) -> float:
    """Seconds to wait, doubled with each failure, between half and the whole of it by chance."""
    longest = min(BACKOFF_MAX, BACKOFF_FIRST * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + secrets.randbelow(1000) / 2000)
