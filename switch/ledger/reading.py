"""Connections for those who only look: few, read only, and none of their questions takes long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import asyncpg

from switch.ledger.errors import LedgerUnavailable
from switch.ledger.history import SESSION, STATEMENT_SECONDS
from switch.ledger.lane import NOT_CONNECTED
from switch.ledger.primary import Primary

#: Connections at most. They are made when they are needed, and go when they are not.
CONNECTIONS_MAX = 2
#: How long a question waits for one of them, in seconds.
WAIT_SECONDS = 2.0
#: Every statement ends by itself, also one that was not asked to.
_SESSION = SESSION | {
    "application_name": "switch admin",
    "statement_timeout": f"{STATEMENT_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": f"{STATEMENT_SECONDS:.0f}s",
}
#: What a question raises whose connection goes; anything else is a bug of ours.
_LOST = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)


class TooLong(LedgerUnavailable):
    """A question took longer than it may."""


class Reading:
    """A small pool of connections that can change nothing."""

    def __init__(self, primary: Primary, *, connect_timeout: float) -> None:
        """No connection is made yet."""
        self._primary = primary
        self._term = primary.term
        self._pool = asyncpg.create_pool(
            connect=cast("Any", self._connect),  # of its many arguments none is ours
            min_size=0,
            max_size=CONNECTIONS_MAX,
            timeout=connect_timeout,
            command_timeout=STATEMENT_SECONDS + 1,  # where the server does not keep its own
            server_settings=_SESSION,
        )

    async def open(self) -> None:
        """Be ready to connect."""
        await self._pool

    async def close(self) -> None:
        """Let all connections go."""
        try:
            async with asyncio.timeout(1):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """One of them, for as long as it is used.

        Raises `TooLong` where a statement takes longer than it may, and `LedgerUnavailable`
        where there is no database, or everybody else is asking.
        """
        if self._term != self._primary.term:  # what was read there is no more what is so
            self._term = self._primary.term
            await self._pool.expire_connections()
        try:
            connection = await self._pool.acquire(timeout=WAIT_SECONDS)
        except NOT_CONNECTED:
            raise LedgerUnavailable from None
        try:
            yield cast("asyncpg.Connection", connection)  # which it stands for
        except asyncpg.QueryCanceledError:
            raise TooLong from None
        except _LOST:
            raise LedgerUnavailable from None
        finally:
            await self._pool.release(connection)

    async def _connect(self, _dsn: None, **options: Any) -> Any:
        return await self._primary.connect(**options)
