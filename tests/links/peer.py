"""A scheme that is dialled: it answers as a test says, is away, and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any, cast

from specs.spec import load as load_spec
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer
from switch.flows.router import Router
from switch.links.link import Link
from switch.settings import Address
from switch.settings import Link as LinkSettings
from switch.wire import mti
from switch.wire.frame import Framing
from switch.wire.message import Message, encode
from tests.client import Client
from tests.process import eventually

DIALECT = "iso87-ascii"

#: What a peer answers to a request of ours; none: nothing.
Script = Callable[[Message], Message | None]


def accepts(request: Message) -> Message:
    """00, whatever it is."""
    return Message(mti.response(request.mti), {**request.fields, 39: "00"})


def refuses(request: Message) -> Message:
    """05."""
    return Message(mti.response(request.mti), {**request.fields, 39: "05"})


def accepts_only_sign_on(request: Message) -> Message | None:
    """00 to a sign-on, nothing to any other: half open after a good start."""
    return accepts(request) if request.fields[70] == "001" else None


def with_a_wrong_stan(request: Message) -> Message:
    """00, to a request that was never sent."""
    stan = f"{(int(request.fields[11]) + 1) % 1_000_000:06d}"
    return Message(mti.response(request.mti), {**request.fields, 11: stan, 39: "00"})


class End(Client):
    """The scheme's end of one connection."""

    def __init__(self, peer: Peer) -> None:
        super().__init__(load_spec(peer.dialect), Framing.parse("2-byte"))
        self._peer = peer
        self._seen = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody dialled."""
        super().connection_made(transport)
        self._peer.ends.append(self)

    def data_received(self, data: bytes) -> None:
        """Answer each request as the script says."""
        super().data_received(data)
        fresh, self._seen = self.answers[self._seen :], len(self.answers)
        for message in fresh:
            if mti.is_request(message.mti):
                self._peer.asked.append(message)
                answer = self._peer.script(message)
                if answer is not None:
                    self.write_frame(encode(answer, self.spec))


class Peer:
    """A scheme that listens on one port of 127.0.0.1, now and then."""

    def __init__(
        self,
        script: Script = accepts,
        tls: ssl.SSLContext | None = None,
        dialect: str = DIALECT,
    ) -> None:
        self.dialect = dialect
        self.script = script
        self.tls = tls
        self.ends: list[End] = []  #: all that were ever dialled
        self.asked: list[Message] = []  #: the requests that came, over any of them
        self.port = 0
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Be there: on a free port, and on the same again."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: End(self), "127.0.0.1", self.port, reuse_address=True, ssl=self.tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def leave(self) -> None:
        """Be away, with all connections."""
        if self._server is not None:
            self._server.close()
        for end in self.ends:
            if not end.closed.done():
                await end.close()

    @property
    def open(self) -> list[End]:
        """The connections that are open."""
        return [end for end in self.ends if not end.closed.done()]

    def codes(self) -> list[str]:
        """MTI and DE70, or DE24, of what was asked."""
        what = 70 if load_spec(self.dialect).version == "0" else 24
        return [f"{message.mti}/{message.fields[what]}" for message in self.asked]

    async def has(self, count: int) -> None:
        """Wait until so many connections are open."""
        await true(lambda: len(self.open) == count)


@contextlib.asynccontextmanager
async def listening(
    script: Script = accepts, tls: ssl.SSLContext | None = None, dialect: str = DIALECT
) -> AsyncIterator[Peer]:
    """A peer that is there, over TLS where a context is given."""
    peer = Peer(script, tls, dialect)
    await peer.listen()
    try:
        yield peer
    finally:
        await peer.leave()


class Dialled:
    """A link without an issuer: enough for network management."""

    def __init__(self, **settings: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.exchanges: list[Exchange] = []
        issuer = cast("Issuer", SimpleNamespace(mac_zones={}, hsm=None, ledger=None))
        spec = load_spec(settings.get("dialect", DIALECT))
        given = {"network_answer_s": 1, "reconnect_min_ms": 20, "reconnect_max_ms": 50}
        self.link = Link(
            LinkSettings(name="test", **(given | settings)),
            Router("test", spec, issuer, on_event=self._note),
            issuer,
            on_exchange=self.exchanges.append,
            on_event=self._note,
        )

    def _note(self, event: str, /, **about: Any) -> None:
        self.told.append((event, about))

    def events(self, name: str) -> list[dict[str, Any]]:
        """What operators were told by this name."""
        return [about for event, about in self.told if event == name]

    @property
    def states(self) -> list[str]:
        """The states, in order, as the log has them."""
        return [about["state"] for about in self.events("link_state")]

    @property
    def state(self) -> str:
        """The state that it is in."""
        return self.link.state.state.value

    async def is_in(self, state: str) -> None:
        """Wait until it is in a state."""
        await true(lambda: self.state == state)

    async def told_of(self, name: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event was told so often."""
        await true(lambda: len(self.events(name)) >= count)
        return self.events(name)


@contextlib.asynccontextmanager
async def dialling(peer: Peer, **settings: Any) -> AsyncIterator[Dialled]:
    """A link that dials the peer, for as long as somebody is inside."""
    dialled = Dialled(connect=Address("127.0.0.1", peer.port), **settings)
    await dialled.link.start()
    try:
        yield dialled
    finally:
        await dialled.link.drain(within=1)


async def true(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""

    async def look() -> bool:
        return holds()

    await eventually(look)
