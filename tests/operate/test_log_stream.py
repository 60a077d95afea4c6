"""The log of a running switch, for those who watch it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import web

from switch import log as log_module
from switch.log import configure, get_logger
from switch.operate import log_stream
from switch.operate.log_stream import PATH, READERS_MAX, LogStream, Queue
from switch.operate.tail.lines import ServerSentEvents
from tests.process import PATIENCE_SECONDS, until


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Where a log is served that goes nowhere else."""
    writer = configure("info", 100, os.open(os.devnull, os.O_WRONLY))
    app = web.Application()
    LogStream().mount(app)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await runner.cleanup()
    writer.stop()


@contextlib.asynccontextmanager
async def reading(address: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """A reader whose first bytes have come."""
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        assert 200 == response.status
        assert "text/event-stream" == response.content_type
        assert b": the log from now on\n" == await response.content.readline()
        yield response


async def told(response: aiohttp.ClientResponse, count: int) -> list[dict[str, object]]:
    """The next lines."""
    events = ServerSentEvents()
    lines: list[bytes] = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(lines) < count:
            lines += events.feed(await response.content.readany())
    return [json.loads(line) for line in lines]


async def test_readers_get_every_line(address: str) -> None:
    """All that read get all lines from then on, each as one event; then the log goes on alone."""
    log = get_logger("test")
    log.info("link_up", link="before")
    async with reading(address) as one, reading(address) as other:
        for number in range(3):
            log.info("link_up", count=number)
        for response in (one, other):
            assert [0, 1, 2] == [line["count"] for line in await told(response, 3)]
    # Then nobody listens, and a line costs nothing.
    await asyncio.to_thread(until, lambda: log_module._output.listener is None)


async def test_a_reader_too_many(address: str) -> None:
    """So many read at once, and one more is refused with a reason."""
    async with contextlib.AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        for _ in range(READERS_MAX):
            await stack.enter_async_context(reading(address))
        async with session.get(address) as refused:
            assert 503 == refused.status
            assert "8 read the log already" in await refused.text()


async def test_silence_is_told(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is logged a comment comes, so that both sides know that the other lives."""
    monkeypatch.setattr(log_stream, "BEAT_S", 0.0)
    async with reading(address) as response, asyncio.timeout(PATIENCE_SECONDS):
        assert b"\n" == await response.content.readline()
        assert b":\n" == await response.content.readline()


async def test_a_stop_waits_for_no_reader() -> None:
    """A reader gets what was written before; one that does not read is cut off."""
    writer = configure("info", 100, os.open(os.devnull, os.O_WRONLY))
    app = web.Application()
    LogStream().mount(app)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    stuck = socket.create_connection(("127.0.0.1", port))
    stuck.sendall(b"GET /api/log HTTP/1.1\r\nHost: x\r\n\r\n")
    async with reading(f"http://127.0.0.1:{port}{PATH}") as response:
        for _ in range(20):
            for _ in range(200):
                get_logger("test").info("link_up", problem="x" * 500)
            await asyncio.sleep(0)
        get_logger("test").info("stopping")
        stopping = asyncio.create_task(runner.cleanup())
        lines = await told(response, 4001)
        assert "stopping" == lines[-1]["event"]
        async with asyncio.timeout(5):
            await stopping
    stuck.close()
    writer.stop()


def test_a_slow_reader_is_told_what_it_lost() -> None:
    """What did not fit is counted, and told where it is missing."""
    queue = Queue(queue_max=3)
    for number in range(5):
        queue.put(b"data: %d\n\n" % number)
    lines = ServerSentEvents().feed(queue.take())
    assert [b"0", b"1", b"2"] == lines[:3]
    lost = orjson.loads(lines[3])
    assert ("log_lines_lost", "warning", 2) == (lost["event"], lost["level"], lost["count"])
    assert b"" == queue.take()
    queue.put(b"data: 5\n\n")
    assert b"data: 5\n\n" == queue.take()


def test_a_write_is_bounded() -> None:
    """Many lines go out in several writes, and the gap is told after the last before it."""
    queue = Queue(queue_max=log_stream.WRITE_MAX + 1)
    for _ in range(log_stream.WRITE_MAX + 3):
        queue.put(b"data: x\n\n")
    assert log_stream.WRITE_MAX == queue.take().count(b"data: x")
    last = queue.take()
    assert (1, 1) == (last.count(b"data: x"), last.count(b'"count":2'))
