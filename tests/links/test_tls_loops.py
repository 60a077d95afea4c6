"""TLS under the loop of production and under that of tests: both ends, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop

from switch.links.door import Door
from switch.setting_sections import Link
from tests.pki import Ca, client_context
from tests.process import PATIENCE_SECONDS

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

#: Enough that both sides have to wait for each other.
LONG = bytes(range(256)) * 20_000


class Carried(asyncio.Protocol):
    """Keeps what came; the answering end sends it back."""

    def __init__(self, *, is_echo: bool = False) -> None:
        self.data = b""
        self.has_end = asyncio.Event()
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport | None = None
        self._is_echo = is_echo
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._arrived.set()
        if self._is_echo and self.transport is not None:
            self.transport.write(data)

    def pause_writing(self) -> None:
        if self._is_echo and self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        if self._is_echo and self.transport is not None:
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        self.has_end.set()
        if self._is_echo:  # one word more, after the peer has said all
            assert self.transport is not None
            self.transport.write(b" bye")
            self.transport.close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.has_end.set()
        self._arrived.set()

    async def until(self, length: int) -> bytes:
        while len(self.data) < length and not self.lost.is_set():
            self._arrived.clear()
            await self._arrived.wait()
        return self.data


class Stage:
    """Two doors: one that listens, one that dials it; and what they told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = Ca("ca")
        self.file = self.ca.file(folder)
        self.ca.signed(folder, "server", names=("IP:127.0.0.1", "DNS:server.example"))
        self.ca.signed(folder, "client", names=("DNS:client.example",))
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.came: list[Carried] = []
        self.port = 0

    def door(self, name: str = "", **tls: object) -> Door:
        ours = {"certificate": self.folder / f"{name}.pem", "key": self.folder / f"{name}.key"}
        given = {"name": "x", "listen": "127.0.0.1:0", "tls": (ours if name else {}) | tls}
        return Door(Link.model_validate(given), on_event=self._note)

    def problems(self, event: str) -> list[object]:
        return [fields.get("problem") for name, fields in self.events if name == event]

    @contextlib.asynccontextmanager
    async def serving(self, door: Door) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: door.protocol(self._carried()), "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        door.open()
        try:
            yield
        finally:
            server.close()
            door.close()
            for one in self.came:
                if one.transport is not None:
                    one.transport.abort()
                    await one.lost.wait()
            await server.wait_closed()

    @contextlib.asynccontextmanager
    async def dialled(self, door: Door, **named: str) -> AsyncIterator[Carried]:
        carried = Carried()
        await door.dial(carried, "127.0.0.1", self.port, **named)
        assert carried.transport is not None
        try:
            yield carried
        finally:
            carried.transport.abort()
            await carried.lost.wait()

    async def problem_of_dialling(self, door: Door, **named: str) -> str:
        carried = Carried()
        with pytest.raises(OSError) as caught:  # noqa: PT011 - its words are looked at
            await door.dial(carried, "127.0.0.1", self.port, **named)
        assert carried.transport is None
        return str(caught.value.strerror)

    def _carried(self) -> Carried:
        self.came.append(Carried(is_echo=True))
        return self.came[-1]

    def _note(self, name: str, **fields: object) -> None:
        self.events.append((name, fields))


Play = Callable[[Callable[[Stage], Awaitable[None]]], None]


@pytest.fixture(params=LOOPS)
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Play:
    """Runs a coroutine function on a loop of that kind."""

    def run(work: Callable[[Stage], Awaitable[None]]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await work(Stage(tmp_path))

        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(bounded())

    return run


@contextlib.asynccontextmanager
async def server_that_says(said: bytes) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A server without TLS: its port, and what is set once its peer has gone."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(said)
            while await reader.read(4096):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ended
    finally:
        server.close()
        await server.wait_closed()


def test_both_ends_of_ours_understand_each_other(play: Play) -> None:
    """A link that dials and one that listens: megabytes there and back, and both know the end."""

    async def work(stage: Stage) -> None:
        listening = stage.door("server", client_ca=stage.file, allow=["DNS:client.example"])
        dialling = stage.door("client", server_ca=stage.file)
        async with stage.serving(listening), stage.dialled(dialling) as carried:
            assert carried.transport is not None
            assert carried.transport.get_extra_info("ssl_object").version() == "TLSv1.3"
            carried.transport.write(LONG)
            assert await carried.until(len(LONG)) == LONG
            carried.transport.write_eof()
            # Whoever has said all still gets what the other side has to say.
            assert await carried.until(len(LONG) + 4) == LONG + b" bye"
            await carried.has_end.wait()
        assert stage.events == []

    play(work)


def test_a_server_is_verified(play: Play) -> None:
    """Whoever dials takes no certificate of another CA or for another host."""

    async def work(stage: Stage) -> None:
        dialling = stage.door("client", server_ca=stage.file)
        stranger = stage.door("client", server_ca=Ca("other").file(stage.folder))
        async with stage.serving(stage.door("server")):
            async with stage.dialled(dialling, server_name="server.example"):
                pass
            assert "certificate of another host" == await stage.problem_of_dialling(
                dialling, server_name="another.example"
            )
            assert "untrusted certificate" == await stage.problem_of_dialling(stranger)

    play(work)


def test_a_server_that_refuses_us_is_told(play: Play) -> None:
    """In TLS 1.3 whoever dials hears of a refused certificate when it is in already."""

    async def work(stage: Stage) -> None:
        listening = stage.door("server", client_ca=Ca("other").file(stage.folder))
        dialling = stage.door("client", server_ca=stage.file)
        async with stage.serving(listening), stage.dialled(dialling) as carried:
            await carried.lost.wait()
        assert stage.problems("tls_refused") == ["untrusted certificate"]
        assert stage.problems("tls_broken") == ["the peer refused: unknown ca"]

    play(work)


def test_what_is_no_tls_is_told_by_whoever_dials(play: Play) -> None:
    """A server that speaks first and in plain text, and one that says nothing."""

    async def work(stage: Stage) -> None:
        dialling = stage.door("client", server_ca=stage.file, handshake_timeout_ms=200)

        for said, problem in (
            (b"\x00\x040800", "the peer has no TLS"),
            (b"", "handshake timeout"),
        ):
            async with server_that_says(said) as (port, ended):
                stage.port = port
                assert problem == await stage.problem_of_dialling(dialling)
                await ended.wait()

    play(work)


def test_a_dialler_that_changes_its_mind_leaves_nothing(play: Play) -> None:
    """A cancelled dial closes its connection."""

    async def work(stage: Stage) -> None:
        dialling = stage.door("client", server_ca=stage.file)
        async with server_that_says(b"") as (port, ended):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await dialling.dial(Carried(), "127.0.0.1", port)
            await ended.wait()

    play(work)


def test_bytes_one_by_one(play: Play) -> None:
    """Handshake and data cut into single bytes are the same."""

    async def work(stage: Stage) -> None:
        async with stage.serving(stage.door("server", client_ca=stage.file)):
            reader, writer = await asyncio.open_connection("127.0.0.1", stage.port)
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            context = client_context(stage.file, stage.folder / "client.pem")
            peer = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")

            async def step(do: Callable[[], bytes | None]) -> bytes | None:
                while True:
                    try:
                        done = do()
                    except ssl.SSLWantReadError:
                        done = b"more"
                    for one in outgoing.read():
                        writer.write(bytes([one]))
                        await asyncio.sleep(0)
                    if done != b"more":
                        return done
                    incoming.write(await reader.read(1))

            await step(peer.do_handshake)
            peer.write(b"hello")
            assert await step(lambda: peer.read(100)) == b"hello"
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    play(work)


def test_addresses_of_both_families(play: Play) -> None:
    """An IPv4 peer of an IPv6 socket is the IPv4 peer; what is no address comes in nowhere."""

    async def work(stage: Stage) -> None:
        given = {"name": "x", "listen": "h:0", "peers": ["10.0.0.0/8", "fe80::/10"]}
        door = Door(Link.model_validate(given), on_event=stage._note)
        for host in ("10.1.2.3", "::ffff:10.1.2.3", "fe80::1%eth0"):
            assert door.refusal_of(host) is None
        for host in ("11.1.2.3", "::ffff:11.1.2.3", "::1"):
            assert door.refusal_of(host) == "address not allowed"
        assert door.refusal_of("?") == "address unknown"

    play(work)
