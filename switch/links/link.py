"""A link: a scheme's way in, or ours to it. Its connections share limits, dialect and state."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime

from switch.deadline import Deadline
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer
from switch.flows.router import Router, take_back
from switch.ledger.unwind import JournalError
from switch.links.backoff import Backoff
from switch.links.connection import Connection
from switch.links.dialer import Dialer
from switch.links.door import Door
from switch.links.format import format_of
from switch.links.own_requests import OnLate, OwnRequests
from switch.links.session import NotSent, Session
from switch.links.state import Happening, LinkState
from switch.links.turns import Turns
from switch.settings import Address
from switch.settings import Link as LinkSettings
from switch.wire.header import Opened
from switch.wire.message import Message

_STAN = 11

OnEvent = Callable[..., None]
OnExchange = Callable[[Exchange], None]

#: Advices and reversals that are taken beyond a link's limit, for they are never shed. What comes
#: beyond them is not answered either, so that memory has an end.
BOOKINGS_WAITING_MAX = 4096
#: How long a stopping link waits for its peers to read their last answers, in seconds.
LINGER_SECONDS = 1.0


class LinkError(Exception):
    """A link cannot be served: it says which and why, in one line."""


class Link:
    """One address, listened on or dialled, with its connections."""

    def __init__(
        self,
        settings: LinkSettings,
        router: Router,
        issuer: Issuer,
        *,
        on_exchange: OnExchange,
        on_event: OnEvent,
        door: Door | None = None,
    ) -> None:
        """`on_exchange` is told of every message when all is done with it."""
        self.settings = settings
        self.format = format_of(settings)
        self.idle_timeout_s = settings.idle_timeout_s
        self.frame_timeout_s = settings.frame_timeout_s
        self.is_draining = False
        self.in_flight = 0
        self._router = router
        self._issuer = issuer
        self._on_exchange = on_exchange
        self._on_event = on_event
        self._own = OwnRequests(self.event, router.spec.fields[_STAN].length)
        router.on_response = self._own.answered
        self.state = LinkState()
        self.since = self._now()
        self.last_echo: datetime | None = None
        self._port = 0
        self._connections: dict[Connection, Session] = {}
        self._dialers: list[Dialer] = []
        self._all_left = asyncio.Event()
        self._all_left.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()
        self._door = door or Door(settings, on_event=on_event)
        self.turns = Turns(self._loop)

    @property
    def connections(self) -> int:
        """How many peers are connected."""
        return len(self._connections)

    @property
    def can_ask(self) -> bool:
        """Whether a request of ours can be sent now."""
        return any(connection.can_ask for connection in self._connections)

    async def ask(
        self, request: Message, *, within: float, on_late: OnLate | None = None
    ) -> Message | None:
        """Send a request of ours over one of the connections and wait some seconds for its answer.

        None where none comes in time, `on_late` being given one that comes afterwards, and
        where there is no connection or no MAC for it.
        """
        payload = await self._router.request_bytes(request) if self.can_ask else None
        ready = [connection for connection in self._connections if connection.can_ask]
        if payload is None or not ready:
            return None
        # A repeat may well take another one than its original did: that one may be dead.
        random.choice(ready).ask(payload)  # noqa: S311 - no secret
        return await self._own.answer_to(request, within=within, on_late=on_late)

    async def _ask_over(
        self, connection: Connection, request: Message, within: float
    ) -> Message | None:
        """The same over one of them. Raises `NotSent` where it cannot be sent there."""
        payload = await self._router.request_bytes(request)
        if payload is None or not connection.can_ask:
            raise NotSent
        connection.ask(payload)
        return await self._own.answer_to(request, within=within)

    async def start(self) -> None:
        """Begin to accept, or to dial. Raises `LinkError` where the address cannot be had."""
        if self.settings.connect is None:
            await self.listen()
        else:
            self._door.open()
            self._dial()

    def _dial(self) -> None:
        settings = self.settings
        backoff = Backoff(settings.reconnect_min_ms / 1000, settings.reconnect_max_ms / 1000)
        for _ in range(settings.connections):
            dialer = Dialer(
                self._dialled,
                backoff,
                timeout_seconds=settings.connect_timeout_ms / 1000,
                on_event=self.event,
            )
            self._dialers.append(dialer)
            dialer.start()

    async def _dialled(self) -> Connection:
        address = self.settings.connect
        assert address is not None  # noqa: S101 - only then there are dialers
        connection = Connection(self)
        await self._door.dial(connection, address.host, address.port)
        return connection

    async def listen(self) -> None:
        """Begin to accept. Raises `LinkError` where the address cannot be had."""
        address = self.settings.listen
        assert address is not None  # settings are refused  # noqa: S101
        try:
            self._server = await self._loop.create_server(
                lambda: self._door.protocol(Connection(self)),
                address.host,
                address.port,
                backlog=128,
            )
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise LinkError(
                f"link {self.settings.name!r}: cannot listen on {address}: {reason}"
            ) from None
        self._door.open()
        # The port that it became: settings may say 0, any free one.
        self._port = self._server.sockets[0].getsockname()[1]
        self.event("link_listening", host=address.host, port=self._port)

    async def drain(self, *, within: float) -> None:
        """Accept and dial nothing more, sign off, answer what is in flight, close."""
        self.is_draining = True
        self._happened(Happening.DRAINING)
        if self._server is not None:
            self._server.close()
        self._door.close()
        self._router.shedding.end()
        await asyncio.gather(*(dialer.stop() for dialer in self._dialers))
        await asyncio.gather(*(session.sign_off() for session in self._connections.values()))
        for connection in self._connections:
            connection.stop_listening()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while self._tasks:
                    await asyncio.wait(self._tasks)
        for connection in self._connections:
            connection.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._all_left.wait()
        for connection in tuple(self._connections):
            connection.close()

    def described(self) -> dict[str, object]:
        """What `/api/links` tells of it."""
        settings = self.settings
        address = settings.connect or settings.listen
        assert address is not None  # settings are refused  # noqa: S101
        if self._port:  # settings may say 0, any free one
            address = Address(address.host, self._port)
        return {
            "name": settings.name,
            "dialect": settings.dialect,
            "address": str(address),
            "dials": settings.connect is not None,
            "state": self.state.state.value,
            "since": _text(self.since),
            "connections": self.connections,
            "in_flight": self.in_flight,
            "last_echo": None if self.last_echo is None else _text(self.last_echo),
        }

    def event(self, name: str, **fields: object) -> None:
        """Something that operators should know happened on this link."""
        self._on_event(name, link=self.settings.name, **fields)

    # What connections tell.

    def joined(self, connection: Connection) -> bool:
        """A peer connected; false where there are too many, or none is wanted any more."""
        if self.is_draining or len(self._connections) >= self.settings.connections_max:
            self.event("connection_refused", peer=connection.peer, count=len(self._connections))
            return False
        session = self._connections[connection] = self._session(connection)
        self._all_left.clear()
        self.event("link_up", peer=connection.peer)
        self._happened(Happening.CONNECTED)
        session.start()
        return True

    def left(self, connection: Connection) -> None:
        """A connection is over."""
        if connection in self._connections:
            self._connections.pop(connection).end()
            if not self._connections:
                self._all_left.set()
            self.event("link_down", peer=connection.peer)
            self._happened(Happening.LOST)

    def received(self, connection: Connection, message: Opened, received_at: float) -> None:
        """One came: answer it in a task of its own, or shed it where too many are in flight."""
        deadline = Deadline.start(
            received_at, self.settings.answer_within_ms, self.settings.margin_ms
        )
        if self.in_flight >= self.settings.in_flight_max:
            exchange = self._router.shed(message.message, deadline)
            if exchange is not None:
                if exchange.answer is not None:
                    exchange.outcome = connection.write(exchange, message.envelope)
                self._managed(exchange)
                self._tell(exchange)
                return
            if self.in_flight >= self.settings.in_flight_max + BOOKINGS_WAITING_MAX:
                self.event("booking_unanswered", count=self.in_flight)  # its sender repeats it
                return
        self.in_flight += 1
        connection.begin()
        task = self._loop.create_task(self._serve(connection, message, deadline))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _managed(self, exchange: Exchange) -> None:
        """A peer that was told yes to its sign-on, sign-off or echo moves the link."""
        managed = exchange.reply.managed if exchange.reply is not None else None
        if managed is None or exchange.outcome != "sent":
            return
        if managed == "echo":
            self._echoed()
        else:
            is_on = managed == "sign_on"
            self._happened(Happening.SIGNED_ON if is_on else Happening.SIGNED_OFF)

    def _echoed(self) -> None:
        self.last_echo = self._now()

    def _happened(self, happening: Happening) -> None:
        before, self.state = self.state, self.state.after(happening)
        if before.state is not self.state.state:
            self.since = self._now()
            self.event("link_state", state=self.state.state.value, count=self.state.connections)

    def _session(self, connection: Connection) -> Session:
        return Session(
            connection,
            self.settings,
            self._router.spec,
            ask=self._ask_over,
            next_stan=self._own.next_stan,
            on_happening=self._happened,
            on_echo=self._echoed,
            on_event=self.event,
        )

    @staticmethod
    def _now() -> datetime:
        return datetime.now(UTC)

    async def _serve(self, connection: Connection, message: Opened, deadline: Deadline) -> None:
        try:
            exchange = await self._router.exchange(message.message, deadline)
            if exchange.answer is not None:
                exchange.outcome = connection.write(exchange, message.envelope)
                if exchange.outcome in ("late", "unread", "too_long"):
                    await self._untold(exchange)
        finally:
            self.in_flight -= 1
            connection.end()
        self._managed(exchange)
        self._tell(exchange)
        if exchange.outcome == "link_gone" and exchange.reply and exchange.reply.undo:
            await self._issuer.ledger.untold(exchange.reply.undo)

    def _tell(self, exchange: Exchange) -> None:
        """Log and count it once its answer has left: a batch makes many at once, and none of them
        waits for the lines of those before it on its connection.
        """
        exchange.done_at = time.monotonic()
        self._loop.call_soon(self._on_exchange, exchange)

    async def _untold(self, exchange: Exchange) -> None:
        """An answer that was not written in time is none: the sender takes it for a decline.

        Where the connection is gone the approval stays: the sender repeats the message
        on another one and gets the answer there, or reverses it.
        """
        try:
            await take_back(exchange, self._issuer)
        except JournalError as error:
            self.event("fault", error=error)


def _text(moment: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
