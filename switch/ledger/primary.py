"""
The way to the database: to whichever host of its URL is the primary.

asyncpg takes a URL of several hosts, with three holes that money would fall through. Its time limit
is for all of them together: a machine that lost its power uses it up, at every attempt, before
the next host is tried. It takes the first that may be written to, which after a promotion can be
the old primary, awake again. And it refuses a primary to a session that is itself read only. So all
hosts are asked at once here, and of several primaries the newest is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import asyncpg

from switch.database_url import Host, hosts_of, role_of
from switch.ledger.queries import QUERIES

#: How long who says no more has to connect, in seconds.
CONNECT_SECONDS = 30.0
#: How much longer the other hosts are waited for once there is a primary, in seconds: one of them
#: may be a newer one. And how often those are asked again that were none.
GRACE_SECONDS = 0.25

#: Roles that only one server of a cluster has: of several the newest has it, and no other.
_SINGLE = frozenset({"read-write", "primary"})


class NoPrimary(ConnectionError):
    """Servers answer, and none of them is the primary, or it may not be written to."""

    def __init__(self) -> None:
        super().__init__(errno.EROFS, "no primary that can be written to answers")


class Standing(NamedTuple):
    """How new a primary is: each promotion within a cluster begins another timeline."""

    cluster: int
    timeline: int


UNKNOWN = Standing(0, 0)

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class _Found(NamedTuple):
    connection: Connection
    standing: Standing


_Asked: TypeAlias = dict[Host, asyncio.Task[_Found]]


class Primary:
    """The primary behind one URL, as far as this process knows it."""

    def __init__(self, url: str) -> None:
        """No connection is made yet. Raises `ValueError` where the URL's hosts cannot be read."""
        self._url = url
        self._hosts = hosts_of(url)
        self._role = role_of(url)
        self._newest = UNKNOWN
        self._found = asyncio.Event()
        #: Grows whenever another server is the primary. Connections of an earlier term are to go.
        self.term = 0

    @property
    def has_several_hosts(self) -> bool:
        """Whether the primary could be elsewhere than where it was."""
        return len(self._hosts) > 1

    async def connect(
        self,
        *,
        timeout: float = CONNECT_SECONDS,  # noqa: ASYNC109 - asyncpg's own
        **options: Any,
    ) -> Connection:
        """A connection to the primary, with asyncpg's `options`.

        Raises what asyncpg raises, and `NoPrimary`. A URL with a `target_session_attrs` of another
        kind (`any`, `standby`) gets what it asks for.
        """
        reads = options.get("server_settings", {}).get("default_transaction_read_only") == "on"
        role = self._role
        if role in _SINGLE or not role:
            role = "primary" if reads else "read-write"
        options |= {"timeout": timeout, "target_session_attrs": role}
        if not self.has_several_hosts:
            return await self._open(options)
        found = await self._newest_of_several(options)
        try:
            self._remember(found.standing)
        except NoPrimary:
            found.connection.terminate()
            raise
        return found.connection

    async def look(self) -> None:
        """See whether another server is the primary by now. Raises as `connect` does."""
        connection = await self.connect()
        connection.terminate()

    def is_left(self, term: int) -> None:
        """A server of that term says that it is no primary any more."""
        if term == self.term:
            self.term += 1

    def is_found(self) -> None:
        """The primary serves somebody: whoever pauses need not."""
        self._found.set()
        self._found.clear()

    async def pause(self, seconds: float) -> None:
        """Wait so long before another attempt, or until the primary serves somebody."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._found.wait()

    async def _newest_of_several(self, options: dict[str, Any]) -> _Found:
        """Ask every host. While one is silent, those that said no are asked again and again: the
        silent one may be a primary that is gone, and another be promoted meanwhile.
        """
        asked: _Asked = {}
        chosen = None
        try:
            while not _results(asked):
                silent = [task for task in asked.values() if not task.done()]
                if asked and not silent:
                    raise _telling([task.exception() for task in asked.values()])
                for host in self._hosts:
                    if host not in asked or asked[host].done():
                        asked[host] = asyncio.create_task(self._ask(host, options))
                await _some_end(asked)
            await asyncio.wait(asked.values(), timeout=GRACE_SECONDS)
            chosen = max(_results(asked), key=lambda one: one.standing.timeline)
        finally:
            await _let_go(asked, chosen)
        return chosen

    async def _ask(self, host: Host, options: dict[str, Any]) -> _Found:
        """Connect to one of several hosts. Raises `NoPrimary` where a newer one is known."""
        connection = await self._open(options | {"host": host.name, "port": host.port})
        try:
            async with asyncio.timeout(options["timeout"]):
                standing = await _standing_of(connection)
            self._refuse_old(standing)
        except BaseException:  # a stop too: nobody else knows of this connection
            connection.terminate()
            raise
        return _Found(connection, standing)

    async def _open(self, options: dict[str, Any]) -> Connection:
        try:
            return await asyncpg.connect(self._url, **options)
        except asyncpg.TargetServerAttributeNotMatched:
            raise NoPrimary from None

    def _refuse_old(self, standing: Standing) -> None:
        newest = self._newest
        if standing.cluster == newest.cluster and standing.timeline < newest.timeline:
            raise NoPrimary

    def _remember(self, standing: Standing) -> None:
        self._refuse_old(standing)  # a newer one may have been found meanwhile
        if standing not in (UNKNOWN, self._newest):
            self.term += self._newest is not UNKNOWN
            self._newest = standing


async def connect(url: str, **options: Any) -> Connection:
    """A connection for whoever needs one alone; see `Primary.connect`."""
    return await Primary(url).connect(**options)


async def _standing_of(connection: Connection) -> Standing:
    try:
        (row,) = await connection.fetch(QUERIES["standing"])
    except asyncpg.PostgresError:  # a standby, where one is asked for; a server without timelines
        return UNKNOWN
    return Standing(*row)


async def _some_end(asked: _Asked) -> None:
    """Wait until one host is found to be the primary, or all have answered, or a moment is over."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            while not _results(asked) and (waiting := [t for t in asked.values() if not t.done()]):
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)


def _results(asked: _Asked) -> list[_Found]:
    return [one.result() for one in asked.values() if one.done() and one.exception() is None]


def _telling(errors: Sequence[BaseException | None]) -> BaseException:
    """Of what the hosts said, what is most to the point: a refusal, a standby, an outage."""
    raised = [error for error in errors if error is not None]
    ranks = (lambda e: not isinstance(e, OSError), lambda e: isinstance(e, NoPrimary), bool)
    return next(error for rank in ranks for error in raised if rank(error))


async def _let_go(asked: _Asked, chosen: _Found | None) -> None:
    for attempt in asked.values():
        attempt.cancel()
    for ended in await asyncio.gather(*asked.values(), return_exceptions=True):
        if isinstance(ended, _Found) and ended is not chosen:
            ended.connection.terminate()
