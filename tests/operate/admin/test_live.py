"""Those who watch: each is told everything, and none is waited for."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from switch.operate.admin import live
from switch.operate.admin.live import BEHIND_MAX, Viewers
from tests.process import eventually

#: More than any buffer between two sockets takes.
LARGE = b"x" * 4_000_000


class Stand:
    """Viewers on a port of their own."""

    def __init__(self, viewers: Viewers, port: int) -> None:
        self.viewers = viewers
        self.port = port
        self.url = f"http://127.0.0.1:{port}/"

    async def count(self, wanted: int) -> None:
        """Wait until so many watch."""

        async def there() -> bool:
            return len(self.viewers) == wanted

        await eventually(there, f"{wanted} viewers")


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    """Viewers who are served over real sockets."""
    viewers = Viewers()
    app = web.Application()
    app.add_routes([web.get("/", viewers.watch)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield Stand(viewers, runner.addresses[0][1])
    viewers.close()
    await runner.cleanup()


async def test_all_viewers_get_the_same_events(stand: Stand) -> None:
    """Each gets the last event when it comes, then every one, as server-sent events."""
    stand.viewers.tell(b'{"second": 1}')
    async with aiohttp.ClientSession() as session, session.get(stand.url) as one, \
            session.get(stand.url) as other:  # fmt: skip
        assert "text/event-stream" == one.headers["Content-Type"]
        await stand.count(2)
        stand.viewers.tell(b'{"second": 2}')
        for viewer in (one, other):
            told = await viewer.content.readexactly(42)
            assert b'data: {"second": 1}\n\ndata: {"second": 2}\n\n' == told


async def test_a_slow_viewer_is_dropped(stand: Stand) -> None:
    """Who does not read loses its connection after some events; who reads keeps his."""
    with socket.create_connection(("127.0.0.1", stand.port)) as asleep:
        asleep.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n")
        await stand.count(1)
        async with aiohttp.ClientSession() as session, session.get(stand.url) as awake:
            await stand.count(2)
            for _ in range(BEHIND_MAX + 2):
                stand.viewers.tell(LARGE)
                await awake.content.readexactly(len(b"data: \n\n") + len(LARGE))
            await stand.count(1)


async def test_viewers_have_a_bound(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is answered 503 and when to come again; one who goes makes room."""
    monkeypatch.setattr(live, "VIEWERS_MAX", 1)
    async with aiohttp.ClientSession() as session:
        async with session.get(stand.url):
            await stand.count(1)
            async with session.get(stand.url) as refused:
                assert (503, "5") == (refused.status, refused.headers["Retry-After"])

        async def is_gone() -> bool:
            stand.viewers.tell(b"1")  # the next event shows that nobody takes it
            return not len(stand.viewers)

        await eventually(is_gone, "its going")
        async with session.get(stand.url) as admitted:
            assert 200 == admitted.status


async def test_a_stopping_switch_lets_its_viewers_go(stand: Stand) -> None:
    """Their answers end, and nobody new is taken."""
    async with aiohttp.ClientSession() as session, session.get(stand.url) as viewer:
        await stand.count(1)
        stand.viewers.close()
        await viewer.content.read()
        async with session.get(stand.url) as refused:
            assert 503 == refused.status
