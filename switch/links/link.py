"""A link: a scheme's way in. Several connections share its limits and its dialect."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable

from switch.deadline import Deadline
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer
from switch.flows.router import Router, take_back
from switch.ledger.unwind import JournalError
from switch.links.connection import Connection
from switch.links.door import Door
from switch.links.own_requests import OnLate, OwnRequests
from switch.settings import Link as LinkSettings
from switch.wire.frame import Framing
from switch.wire.message import Message

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
    """One listening address with its connections."""

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
        self.framing = Framing.parse(settings.framing, settings.frame_max)
        self.idle_timeout_s = settings.idle_timeout_s
        self.is_draining = False
        self.in_flight = 0
        self._router = router
        self._issuer = issuer
        self._on_exchange = on_exchange
        self._on_event = on_event
        self._own = OwnRequests(self.event)
        router.on_response = self._own.answered
        self._connections: set[Connection] = set()
        self._all_left = asyncio.Event()
        self._all_left.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.get_running_loop()
        self._door = door or Door(settings, on_event=on_event)

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

    async def listen(self) -> None:
        """Begin to accept. Raises `LinkError` where the address cannot be had."""
        address = self.settings.listen
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
        port = self._server.sockets[0].getsockname()[1]
        self.event("link_listening", host=address.host, port=port)

    async def drain(self, *, within: float) -> None:
        """Accept and read nothing more, answer what is in flight, close."""
        self.is_draining = True
        if self._server is not None:
            self._server.close()
        self._door.close()
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

    def event(self, name: str, **fields: object) -> None:
        """Something that operators should know happened on this link."""
        self._on_event(name, link=self.settings.name, **fields)

    # What connections tell.

    def joined(self, connection: Connection) -> bool:
        """A peer connected; false where there are too many, or none is wanted any more."""
        if self.is_draining or len(self._connections) >= self.settings.connections_max:
            self.event("connection_refused", peer=connection.peer, count=len(self._connections))
            return False
        self._connections.add(connection)
        self._all_left.clear()
        self.event("link_up", peer=connection.peer)
        return True

    def left(self, connection: Connection) -> None:
        """A connection is over."""
        if connection in self._connections:
            self._connections.remove(connection)
            if not self._connections:
                self._all_left.set()
            self.event("link_down", peer=connection.peer)

    def received(self, connection: Connection, payload: bytes, received_at: float) -> None:
        """A frame came: answer it in a task of its own, or shed it where too many are in flight."""
        deadline = Deadline.start(
            received_at, self.settings.answer_within_ms, self.settings.margin_ms
        )
        if self.in_flight >= self.settings.in_flight_max:
            exchange = self._router.shed(payload, deadline)
            if exchange is not None:
                if exchange.answer is not None:
                    exchange.outcome = connection.write(exchange)
                self._on_exchange(exchange)
                return
            if self.in_flight >= self.settings.in_flight_max + BOOKINGS_WAITING_MAX:
                self.event("booking_unanswered", count=self.in_flight)  # its sender repeats it
                return
        self.in_flight += 1
        connection.begin()
        task = self._loop.create_task(self._serve(connection, payload, deadline))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: Connection, payload: bytes, deadline: Deadline) -> None:
        try:
            exchange = await self._router.exchange(payload, deadline)
            if exchange.answer is not None:
                exchange.outcome = connection.write(exchange)
                if exchange.outcome in ("late", "unread"):
                    await self._untold(exchange)
        finally:
            self.in_flight -= 1
            connection.end()
        self._on_exchange(exchange)
        if exchange.outcome == "link_gone" and exchange.reply and exchange.reply.undo:
            await self._issuer.ledger.untold(exchange.reply.undo)

    async def _untold(self, exchange: Exchange) -> None:
        """An answer that was not written in time is none: the sender takes it for a decline.

        Where the connection is gone the approval stays: the sender repeats the message
        on another one and gets the answer there, or reverses it.
        """
        try:
            await take_back(exchange, self._issuer)
        except JournalError as error:
            self.event("fault", error=error)
