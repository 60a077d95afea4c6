"""Peers that connect too often, say nothing, stop halfway, or never read."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from specs.spec import load as load_spec
from switch.wire.frame import Framing
from switch.wire.message import encode
from tests.client import all_of, connected
from tests.links.conftest import CARDS, locked
from tests.process import PATIENCE_SECONDS, Switch
from tests.traffic import CardInHand, code, echo, purchase

#: What the memory of a switch may grow by for one peer that does not read, in KiB.
MEMORY_KIB = 32 * 1024
#: A peer that could send nothing for this long is not being read from, in seconds.
NOT_TAKEN_SECONDS = 1.0


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


def memory_kib(pid: int) -> int:
    """What a process has in memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no such process")


def small_socket(port: int) -> socket.socket:
    """A connection whose buffers are small, on both ends."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    one.connect(("127.0.0.1", port))
    one.setblocking(False)
    return one


async def send_until_not_taken(one: socket.socket, frames: list[bytes]) -> int:
    """Send frames in order, again and again, until nothing is taken any more; the bytes taken."""
    data, sent = memoryview(b"".join(frames)), 0
    taken_at = start = time.monotonic()
    while time.monotonic() - taken_at < NOT_TAKEN_SECONDS:
        assert time.monotonic() - start < PATIENCE_SECONDS, "all is taken from who does not read"
        try:
            sent += one.send(data[sent % len(data) :])
            taken_at = time.monotonic()
        except BlockingIOError:
            await asyncio.sleep(0.005)
    return sent


async def test_a_peer_that_never_reads_costs_only_itself(
    switch: Switch, cards: list[CardInHand]
) -> None:
    """Who never reads is not read from and is closed; what it was not told is taken back."""
    messages = [purchase(cards[number % CARDS]) for number in range(6000)]
    frame = Framing.parse("2-byte").frame
    frames = [frame(encode(message, load_spec("iso87-ascii"))) for message in messages]
    before = memory_kib(switch.pid)

    one = small_socket(switch.port())
    try:
        peer = "{}:{}".format(*one.getsockname())
        sending = asyncio.create_task(send_until_not_taken(one, frames))
        # A link's peers share its limits: who notices nothing is on another.
        async with connected(switch.port("ascii4"), framing="4-ascii") as neighbour:
            while not sending.done():
                assert "00" == code(await neighbour.ask(purchase(cards[150])))
                await asyncio.sleep(0.02)
        await sending
        assert memory_kib(switch.pid) - before < MEMORY_KIB
        switch.wait_for("peer_not_reading", peer=peer)
        switch.wait_for("link_down", peer=peer)
    finally:
        one.close()

    untold = {line["rrn"] for line in switch.lines("message", outcome="unread", reason="approved")}
    assert untold, "nothing was decided for the peer while it was stuck"
    connection = await switch.connect()
    try:
        rows = await connection.fetch(
            """SELECT z.unwound_at IS NOT NULL AND h.state = 'unwound' AS is_taken_back
                 FROM authorizations z JOIN holds h USING (account_id, authorization_id)
                WHERE z.rrn = ANY ($1)""",
            list(untold),
        )
        assert [True] * len(untold) == [row[0] for row in rows]
    finally:
        await connection.close()


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
