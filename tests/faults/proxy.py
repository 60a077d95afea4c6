"""A wire between a switch and its Postgres that can be cut at the worst moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.process import eventually

#: The most that is forwarded at once, bytes: far more than any call or answer of ours.
CHUNK = 1 << 20


@dataclass
class Proxy:
    """Forwards TCP connections to a Postgres on a Unix socket."""

    socket: str
    database: str
    port: int = 0
    cut_before: bytes = b""  #: a call that has these bytes never arrives
    cut_after: bytes = b""  #: a call that has these bytes is made, and its answer never arrives
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The database's address, through here."""
        return f"postgresql://switch@127.0.0.1:{self.port}/{self.database}"

    @property
    def is_armed(self) -> bool:
        """Whether the moment to cut has not come yet."""
        return bool(self.cut_before or self.cut_after)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes or it is cut."""
        there_reader, there_writer = await asyncio.open_unix_connection(self.socket)
        both = (writer, there_writer)
        self._writers.update(both)
        doomed = asyncio.Event()

        async def calls() -> None:
            while data := await reader.read(CHUNK):
                if self.cut_before and self.cut_before in data:
                    self.cut_before = b""
                    break
                if self.cut_after and self.cut_after in data:
                    self.cut_after = b""
                    doomed.set()
                there_writer.write(data)

        async def answers() -> None:
            while data := await there_reader.read(CHUNK):
                if doomed.is_set():  # Postgres answers when it has committed
                    break
                writer.write(data)

        ways = [asyncio.create_task(calls()), asyncio.create_task(answers())]
        self._tasks.update(ways)
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._tasks.difference_update(ways)
        for end in both:
            end.close()
        self._writers.difference_update(both)

    async def close(self) -> None:
        """Cut everything, and wait until it is quiet."""
        for task in self._tasks:
            task.cancel()
        for writer in tuple(self._writers):
            writer.close()

        async def is_quiet() -> bool:
            return not self._writers

        await eventually(is_quiet)


@contextlib.asynccontextmanager
async def proxied(url: str) -> AsyncIterator[Proxy]:
    """A wire to a database that is reached over a Unix socket."""
    parts = urlsplit(url)
    place = {name: values[0] for name, values in parse_qs(parts.query).items()}
    proxy = Proxy(f"{place['host']}/.s.PGSQL.{place['port']}", parts.path.removeprefix("/"))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
