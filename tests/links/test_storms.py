"""Storms of echoes and polls: each turn of the loop takes so many frames of a link, and no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from switch.links.connection import Connection
from switch.links.turns import FRAMES_A_TURN, Turns
from switch.settings import Address
from switch.wire.header import Opened
from switch.wire.message import encode
from tests.client import Client, connected
from tests.links.peer import Dialled, true
from tests.traffic import code, echo

CONNECTIONS, FRAMES = 20, 400


class Counted:
    """A link that counts what each turn of the loop takes of its connections."""

    def __init__(self, one: Dialled) -> None:
        self.one = one
        self.turn = 0
        self.by_turn: Counter[int] = Counter()
        self._loop = asyncio.get_running_loop()
        self._received, one.link.received = one.link.received, self._count  # type: ignore[method-assign]
        self._tick()

    def _tick(self) -> None:
        self.turn += 1
        self._handle = self._loop.call_soon(self._tick)

    def stop(self) -> None:
        """Count no more turns."""
        self._handle.cancel()

    def _count(self, connection: Connection, message: Opened, received_at: float) -> None:
        self.by_turn[self.turn] += 1
        self._received(connection, message, received_at)


@contextlib.asynccontextmanager
async def counted() -> AsyncIterator[tuple[Counted, int]]:
    """Such a link, and its port."""
    one = Dialled(listen=Address("127.0.0.1", 0), answer_within_ms=60_000)
    await one.link.start()
    link = Counted(one)
    try:
        yield link, one.events("link_listening")[0]["port"]
    finally:
        link.stop()
        await one.link.drain(within=1)


def storm(client: Client) -> bytes:
    """Many echoes in one write."""
    return b"".join(client.framing.frame(encode(echo(), client.spec)) for _ in range(FRAMES))


async def test_a_storm_of_echoes_has_its_share_of_a_turn() -> None:
    """However many connections a link has, a turn takes so many frames of all; all are answered."""
    async with counted() as (link, port), contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(port)) for _ in range(CONNECTIONS)]
        quiet = await stack.enter_async_context(connected(port))
        for client in clients:
            client.write(storm(client))
        await true(lambda: len(link.by_turn) > 2)
        assert "00" == code(await quiet.ask(echo()))
        answered = sum(len(client.answers) for client in clients)
        assert answered < CONNECTIONS * FRAMES, "the storm was over before anybody else's turn"
        for client in clients:
            await client.received(FRAMES)
        assert CONNECTIONS * FRAMES + 1 == link.by_turn.total()
        # The loop's turn and ours begin at different points: one of ours can touch two of its.
        assert max(link.by_turn.values()) <= 2 * FRAMES_A_TURN


async def test_a_storm_of_polls_has_its_share_too() -> None:
    """Empty frames are frames: thousands of them make nobody late, and are not answered."""
    async with counted() as (_, port), connected(port) as client, connected(port) as quiet:
        client.write(b"\0\0" * 20_000)
        assert "00" == code(await quiet.ask(echo()))
        assert "00" == code(await client.ask(echo()))
        assert 1 == len(client.frames)


async def test_turns_are_shared_out_in_order() -> None:
    """Who waits is called in a later turn, in order, while there is room; then in the next one."""
    loop = asyncio.get_running_loop()
    turns, called = Turns(loop), []

    def go(name: str, count: int) -> None:
        called.append((name, turns.room))
        turns.took(count)

    turns.took(FRAMES_A_TURN)
    assert 0 == turns.room
    for name, count in (("a", FRAMES_A_TURN - 1), ("b", 1), ("c", 1)):
        turns.wait(lambda name=name, count=count: go(name, count))  # type: ignore[misc]
    assert [] == called
    await asyncio.sleep(0)
    assert [("a", FRAMES_A_TURN), ("b", 1)] == called
    await asyncio.sleep(0)
    assert [("c", FRAMES_A_TURN)] == called[2:]
    await asyncio.sleep(0)
    assert FRAMES_A_TURN == turns.room


@pytest.mark.parametrize("count", [1_000])
async def test_a_thousand_connections_then_gone(count: int) -> None:
    """A thousand connections that come, speak and are gone leave a link as it was."""
    one = Dialled(listen=Address("127.0.0.1", 0), connections_max=count)
    await one.link.start()
    port = one.events("link_listening")[0]["port"]
    clients = [await Client.connect(port) for _ in range(count)]
    await true(lambda: one.link.connections == count)
    assert "00" == code(await clients[-1].ask(echo()))
    for client in clients:
        await client.reset()
    await one.is_in("down")
    assert 0 == one.link.connections
    async with connected(port) as client:
        assert "00" == code(await client.ask(echo()))
    await one.link.drain(within=1)
    assert ["connected", "down", "connected"] == one.states[:3]
