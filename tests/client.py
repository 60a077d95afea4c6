"""A scheme's end of a link: sends messages and awaits their answers, in any order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from typing import Self, cast

from specs.spec import Spec
from specs.spec import load as load_spec
from switch.wire import mti
from switch.wire.frame import Framer, Framing
from switch.wire.message import Message, decode, encode
from tests.process import PATIENCE_SECONDS

_STAN = 11


class Client(asyncio.Protocol):
    """One connection. Answers are matched by STAN; what nobody waits for is kept too."""

    def __init__(self, spec: Spec, framing: Framing) -> None:
        self.spec = spec
        self.framing = framing
        self.frames: list[bytes] = []
        self.answers: list[Message] = []
        self.closed = asyncio.get_running_loop().create_future()
        self._waiting: dict[str, asyncio.Future[Message]] = {}
        self._framer = Framer(framing)
        self._arrived = asyncio.Event()
        self._address = ""
        self.transport: asyncio.Transport

    @classmethod
    async def connect(
        cls,
        port: int,
        *,
        dialect: str = "iso87-ascii",
        framing: str = "2-byte",
        tls: ssl.SSLContext | None = None,
    ) -> Self:
        """Connect to a link on 127.0.0.1, over TLS where a context is given."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: cls(load_spec(dialect), Framing.parse(framing)), "127.0.0.1", port, ssl=tls
        )
        return client

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast("asyncio.Transport", transport)
        one = self.transport.get_extra_info("socket")
        self._address = "{}:{}".format(*one.getsockname())
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Take every whole frame, and give answers to those who wait."""
        for payload in self._framer.receive(data):
            self.frames.append(payload)
            if not payload:
                continue
            answer = decode(payload, self.spec)
            self.answers.append(answer)
            if mti.is_request(answer.mti):  # its STAN is another's
                continue
            waiting = self._waiting.pop(answer.fields[_STAN], None)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)
        self._arrived.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; who still waits gets no answer."""
        if not self.closed.done():
            self.closed.set_result(None)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("closed before the answer"))
                waiting.exception()  # a test that expects this need not look
        self._arrived.set()

    # What tests ask.

    @property
    def address(self) -> str:
        """Our own address, as the log of the other side has it."""
        return self._address

    def send(self, message: Message) -> asyncio.Future[Message]:
        """Send a message; its answer is to come."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[message.fields[_STAN]] = waiting
        self.write(self.framing.frame(encode(message, self.spec)))
        return waiting

    def send_together(self, messages: Iterable[Message]) -> list[asyncio.Future[Message]]:
        """Send messages as one write; their answers are to come."""
        answers, frames = [], b""
        for message in messages:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting[message.fields[_STAN]] = waiting
            answers.append(waiting)
            frames += self.framing.frame(encode(message, self.spec))
        self.write(frames)
        return answers

    async def ask(self, message: Message) -> Message:
        """Send a message and await its answer."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.send(message)

    def write(self, data: bytes) -> None:
        """Send raw bytes."""
        self.transport.write(data)

    def write_frame(self, payload: bytes) -> None:
        """Send a payload that may be no message."""
        self.write(self.framing.frame(payload))

    async def received(self, count: int) -> list[bytes]:
        """Wait until so many frames came, and give them all."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.frames) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.frames

    async def ended(self) -> None:
        """Wait until the other side closed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.shield(self.closed)

    async def reset(self) -> None:
        """End the connection as a peer that crashed does."""
        one = self.transport.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self.close()

    async def close(self) -> None:
        """Close, at once."""
        self.transport.abort()
        await self.closed


@contextlib.asynccontextmanager
async def connected(
    port: int,
    *,
    dialect: str = "iso87-ascii",
    framing: str = "2-byte",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Client]:
    """A client for as long as somebody is inside."""
    client = await Client.connect(port, dialect=dialect, framing=framing, tls=tls)
    try:
        yield client
    finally:
        await client.close()


async def all_of(answers: Iterable[asyncio.Future[Message]]) -> list[Message]:
    """All answers, in the order of their questions."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        return list(await asyncio.gather(*answers))
