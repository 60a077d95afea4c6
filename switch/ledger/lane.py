"""One connection to Postgres that makes batches of calls, and comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import asyncpg

from switch.ledger.clock import DatabaseClock
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown
from switch.ledger.primary import Primary

Call = TypeVar("Call")
Answer = TypeVar("Answer")

#: What the planner is told on a decision's connection. A batch's plan is made once and kept:
#: planning it anew costs more than running it, and a plan made while tables are empty must
#: still go by the keys when they are full.
SESSION = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "timezone": "UTC",
    "application_name": "switch",
}
#: The same where each call is about one account. A node is told to make a call by the account's
#: number: the plan must be made for that number, and a generic one knows none.
SESSION_BY_ACCOUNT = SESSION | {"plan_cache_mode": "auto"}
#: The first and the longest pause between attempts to connect, in seconds.
BACKOFF_FIRST, BACKOFF_MOST = 0.05, 2.0
#: A connection that has not answered a call for this long is given up: without it a
#: dead socket would keep its lane for the kernel's quarter of an hour.
ABANDON_SECONDS = 15.0
#: A connection that has not answered a call for this long may be to a server that is gone.
SILENT_SECONDS = 1.0
#: How often it is looked whether the database has moved to another server, in seconds.
LOOK_SECONDS = 0.5

Run = Callable[
    [asyncpg.Connection, Sequence[tuple[int, Call]]], Awaitable[Sequence[Answer | Exception]]
]
#: Classes of SQLSTATE that are nobody's fault and rolled back: serialization and deadlock, no
#: disk or memory, an object in use, an operator's cancel, the system beneath (PostgreSQL, app. A).
OUTAGES = frozenset({"40", "53", "55", "57", "58"})
#: What an attempt to connect raises while the server is away, starting or recovering.
NOT_CONNECTED = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

OnEvent = Callable[..., None]


class PostgresLane(Generic[Call, Answer]):
    """A lane of `batch.Batcher` over one connection."""

    def __init__(
        self,
        primary: Primary,
        run: Run[Call, Answer],
        *,
        clock: DatabaseClock,
        connect_timeout: float,
        on_event: OnEvent,
        session: Mapping[str, str] = SESSION,
        first: str | None = None,
    ) -> None:
        """`run` makes a batch on a connection; `on_event` is told of ups and downs; `session` is
        what the server is told, and `first` a statement that it is asked before any call.
        """
        self._primary = primary
        self._term = 0
        self._run = run
        self._clock = clock
        self._connect_timeout = connect_timeout
        self._on_event = on_event
        self._session = dict(session)
        self._first = first
        self._connection: asyncpg.Connection | None = None
        self._asked_at: float | None = None
        self._is_unconfirmed = False
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.on_ready: Callable[[], None] = lambda: None

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection that was alive when last heard of."""
        return self._connection is not None and not self._connection.is_closed()

    @property
    def is_silent(self) -> bool:
        """Whether a call has been waiting for its answer for suspiciously long."""
        asked_at = self._asked_at
        return asked_at is not None and time.monotonic() - asked_at > SILENT_SECONDS

    def leave_the_deposed(self) -> None:
        """Let go of a server that is known to be the primary no more; another is looked for."""
        if self._connection is not None and self._term != self._primary.term:
            self._drop(self._connection)

    async def open(self) -> None:
        """Connect once, then keep connected until `close`. Raises what connecting raises."""
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """Let the connection go."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._connection is not None:
            connection, self._connection = self._connection, None
            try:
                await connection.close(timeout=1)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                connection.terminate()

    async def make(self, calls: Sequence[tuple[int, Call]]) -> Sequence[Answer | Exception]:
        """Make a batch as one transaction; see `batch.Lane`. Never cancelled once begun."""
        connection = self._connection
        if connection is None or connection.is_closed():
            raise LedgerUnavailable
        self._asked_at = time.monotonic()
        loop = asyncio.get_running_loop()
        abandon = loop.call_later(ABANDON_SECONDS, connection.terminate)
        try:
            answers = await self._run(connection, calls)
        except asyncpg.ReadOnlySQLTransactionError:
            # The server became a standby: nothing was written, and nothing will be there.
            self._primary.is_left(self._term)
            self._drop(connection)
            raise LedgerUnavailable from None
        except asyncpg.PostgresError as error:
            # Only an ERROR that the server sent proves a rollback. A backend that was told to leave
            # may have committed before it said so, and the driver has errors of its own here
            # for a connection that was closed in the middle: they have no severity.
            if error.severity_en != "ERROR":
                self._drop(connection)
                raise OutcomeUnknown from None
            if error.sqlstate[:2] in OUTAGES:
                raise LedgerUnavailable(f"{type(error).__name__} {error.sqlstate}") from None
            # Its text may quote a row; its class and SQLSTATE say what is needed.
            raise CallRefused(f"{type(error).__name__} {error.sqlstate}") from None
        except asyncpg.DataError:  # a value that cannot even be sent: nothing was
            raise CallRefused("DataError") from None
        except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError):
            self._drop(connection)
            raise OutcomeUnknown from None
        finally:
            abandon.cancel()
            self._asked_at = None
        if self._is_unconfirmed:
            self._is_unconfirmed = False
            raise OutcomeUnknown
        return answers

    def _warned(self, _: object, message: asyncpg.PostgresLogMessage) -> None:
        """A commit whose wait for a synchronous standby was cancelled succeeds with a warning, and
        is lost with the primary. Nothing else warns here.
        """
        self._is_unconfirmed |= message.severity_en == "WARNING"

    def _drop(self, connection: asyncpg.Connection) -> None:
        if not connection.is_closed():
            connection.terminate()
        self._lost.set()

    async def _connect(self) -> None:
        connection = await self._primary.connect(
            timeout=self._connect_timeout,
            server_settings=self._session,
            max_cached_statement_lifetime=0,
        )
        term = self._primary.term
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._clock.measure(connection)
                if self._first is not None:
                    await connection.execute(self._first)
                await self._run(connection, ())  # prepares the call before money waits for it
        except BaseException:  # a stop too: nobody else knows of this connection
            connection.terminate()
            raise
        connection.add_log_listener(self._warned)
        connection.add_termination_listener(lambda _: self._lost.set())
        self._is_unconfirmed = False
        self._lost.clear()
        self._connection, self._term = connection, term

    async def _keep(self) -> None:
        """Wait for the connection to be lost, and make another, for ever."""
        while True:
            await self._lost.wait()
            self._connection = None
            self._on_event("database_down")
            pause = BACKOFF_FIRST
            while self._connection is None:
                try:
                    await self._connect()
                except NOT_CONNECTED:
                    await self._primary.pause(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                    pause = min(pause * 2, BACKOFF_MOST)
            self._primary.is_found()
            self._on_event("database_up")
            self.on_ready()


async def follow(
    primary: Primary, lanes: Sequence[PostgresLane[Any, Any]], *, on_event: OnEvent
) -> None:
    """See, for ever, that no lane stays with a server that is the primary no more.

    Such a server may be silent, or answer as ever: a machine that was frozen, or cut off, does not
    know that another was promoted meanwhile.
    """
    term = primary.term
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if primary.has_several_hosts and any(lane.is_silent for lane in lanes):
            with contextlib.suppress(*NOT_CONNECTED):
                await primary.look()
        if term != primary.term:
            term = primary.term
            on_event("database_moved")
        for lane in lanes:
            lane.leave_the_deposed()
