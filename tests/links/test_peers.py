"""Peers that connect too often, say nothing, or stop halfway."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket

from specs.spec import load as load_spec
from switch.wire.frame import Framing
from switch.wire.message import encode
from tests.client import all_of, connected
from tests.links.conftest import locked
from tests.process import Switch
from tests.traffic import CardInHand, code, echo, purchase


async def test_connections_beyond_the_limit_are_refused(switch: Switch) -> None:
    """One connection too many is closed at once; when another leaves there is room again."""
    port = switch.port("crowded")
    async with connected(port) as first:
        async with connected(port) as second, connected(port) as third:
            await third.ended()
            assert ["00", "00"] == [code(await each.ask(echo())) for each in (first, second)]
            switch.wait_for("connection_refused", peer=third.address)
        switch.wait_for("link_down", peer=second.address)
        async with connected(port) as fourth:
            assert "00" == code(await fourth.ask(echo()))


async def test_a_silent_peer_is_closed(switch: Switch) -> None:
    """A connection that says nothing for idle_timeout_s is closed; one that speaks is not."""
    port = switch.port("impatient")
    async with connected(port) as silent, connected(port) as speaking:
        for _ in range(4):
            assert "00" == code(await speaking.ask(echo()))
            await asyncio.sleep(0.4)
        await silent.ended()
        assert "00" == code(await speaking.ask(echo()))
    switch.wait_for("idle_timeout", peer=silent.address)


async def test_a_peer_that_drips_is_closed(switch: Switch) -> None:
    """Bytes now and then do not keep a frame open beyond frame_timeout_s; whole frames do not
    wait for it."""
    async with connected(switch.port("brisk")) as dripping, connected(switch.port("brisk")) as apt:
        frame = apt.framing.frame(encode(echo(), apt.spec))
        dripping.write(frame)
        apt.write(frame[:-10])
        for byte in frame:
            if dripping.closed.done():
                break
            dripping.write(bytes([byte]))
            apt.write(frame[-10:] + frame[:-10])  # always amid a frame, and each one ends
            await asyncio.sleep(0.1)
        await dripping.ended()
    switch.wait_for("frame_timeout", peer=dripping.address)
    assert not [line for line in switch.lines("frame_timeout") if line["peer"] == apt.address]


async def test_a_peer_that_has_said_all_still_gets_its_answers(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """A peer that closes its sending side is answered, then closed."""
    async with connected(switch.port()) as client:
        async with locked(switch, cards[140]):
            waiting = client.send_together([purchase(cards[140]), purchase(cards[141])])
            client.transport.write_eof()
            await asyncio.sleep(0.2)
        assert ["00", "00"] == [code(answer) for answer in await all_of(waiting)]
        await client.ended()


async def test_a_peer_that_says_nothing_and_closes_half_is_closed(switch: Switch) -> None:
    """A peer that closes its sending side and waits for nothing is closed."""
    async with connected(switch.port()) as client:
        client.transport.write_eof()
        await client.ended()


async def test_an_approval_whose_peer_has_gone_stays(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """A peer that broke off before its answer finds it with a repeat on another connection."""
    asked = purchase(cards[142])
    async with locked(switch, cards[142]):
        async with connected(switch.port()) as gone:
            gone.send(asked)
            await asyncio.sleep(0.1)
            await gone.reset()
        switch.wait_for("link_down", peer=gone.address)
    switch.wait_for("message", rrn=asked.fields[37], outcome="link_gone")
    async with connected(switch.port()) as client:
        answer = await client.ask(asked)
    assert "00" == code(answer)
    assert switch.wait_for("message", rrn=asked.fields[37], outcome="sent")["repeat"]


def fill(port: int, frames: bytes) -> socket.socket:
    """A connection on which all is sent that fits between two processes that do not read."""
    one = socket.create_connection(("127.0.0.1", port))
    one.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            one.send(frames)
    return one


async def test_a_flood_on_one_link_makes_nobody_else_late(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """Thousands of frames in one read are taken in turns: another link is answered in time."""
    frames = b"".join(
        Framing.parse("2-byte").frame(encode(purchase(cards[160]), load_spec("iso87-ascii")))
        for _ in range(500)
    )
    async with connected(switch.port("prompt"), framing="4-ascii") as neighbour:
        assert "00" == code(await neighbour.ask(echo()))
        os.kill(switch.pid, signal.SIGSTOP)
        flood = await asyncio.to_thread(fill, switch.port(), frames)
        os.kill(switch.pid, signal.SIGCONT)
        try:
            for number in range(3):
                assert "00" == code(await neighbour.ask(purchase(cards[170 + number])))
        finally:
            flood.close()
