"""A link whose peer sends too much, breaks off, or reads nothing; and another beside it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from specs.spec import load as load_spec
from switch.wire.frame import Framing
from switch.wire.message import encode
from tests.client import Client, all_of, connected
from tests.faults.hit import insist
from tests.faults.load import Load, loading, settled
from tests.faults.purchases import repeat, reversal
from tests.faults.slow import Connection, hold_state, make_quick, make_slow
from tests.faults.statement_points import broken_rules
from tests.process import PATIENCE_SECONDS, Switch, running, until
from tests.traffic import add_load_cards, code, load_card, purchase

CARDS = 200
IN_FLIGHT_MAX = 256
#: A decision takes so long, one after the other on each of two connections: 100 a second.
DECISION_SECONDS = 0.02
#: For a second ten times that comes over one link, and a little over the other.
TICKS, TICK_SECONDS, FLOOD, TRICKLE = 20, 0.05, 50, 1

LINKS: dict[str, object] = {
    "database__connections": 2,
    "database__batch_max": 1,
    "links__0__answer_within_ms": 3000,
    "links__0__margin_ms": 1500,
    "links__0__in_flight_max": IN_FLIGHT_MAX,
    "links__1__name": "other",
    "links__1__listen": "127.0.0.1:0",
    "links__1__answer_within_ms": 3000,
    "links__1__margin_ms": 1500,
}

#: What the memory of a switch may grow by for one peer that does not read, in KiB.
MEMORY_KIB = 32 * 1024
#: A peer that could send nothing for this long is not being read from, in seconds.
NOT_TAKEN_SECONDS = 1.0


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A switch with two links, which every test leaves as it found it."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **LINKS) as started,
    ):
        add_load_cards(started.database_url, CARDS + 2)
        yield started


@pytest.fixture
async def ledger(switch: Switch) -> AsyncIterator[Connection]:
    """A connection to its database, which is quick again afterwards, and in order."""
    connection = await switch.connect()
    yield connection
    await make_quick(connection)
    await connection.close()
    assert [] == await broken_rules(switch.database_url)


async def sent(client: Client, load: Load, count: int) -> Counter[str]:
    """Send purchases at once; the answers by DE39 when all are there."""
    first = len(load.asked)
    messages = [purchase(load_card((first + n) % CARDS), 1 + n) for n in range(count)]
    load.asked |= {message.fields[37]: message for message in messages}
    answers = await all_of(client.send_together(messages))
    load.answered |= {answer.fields[37]: answer for answer in answers}
    return Counter(map(code, answers))


async def steadily(client: Client, load: Load, count: int) -> Counter[str]:
    """Send so many every tick, whatever has been answered; the answers by DE39."""
    sending = []
    for _ in range(TICKS):
        sending.append(asyncio.create_task(sent(client, load, count)))
        await asyncio.sleep(TICK_SECONDS)
    return sum(await asyncio.gather(*sending), Counter())


def told_as_shed(switch: Switch) -> int:
    """How many were refused in all bursts that are over."""
    return sum(line["count"] for line in switch.lines("shedding_ended"))


async def test_a_flood_over_one_link(switch: Switch, ledger: Connection) -> None:
    """Ten times too much over one link: 91 at once or decided in time; the other link is served.

    A second later it is as if nothing had been.
    """
    load = Load()
    await make_slow(ledger, {load_card(number): DECISION_SECONDS for number in range(CARDS)})
    async with connected(switch.port()) as flooding, connected(switch.port("other")) as modest:
        flood, trickle = await asyncio.gather(
            steadily(flooding, load, FLOOD), steadily(modest, load, TRICKLE)
        )
        assert {"00", "91"} == flood.keys()
        assert trickle["00"] >= 0.9 * TICKS * TRICKLE
        await asyncio.sleep(1)
        for client in (flooding, modest):
            assert {"00": TRICKLE * TICKS} == await steadily(client, load, TRICKLE)
        assert load.asked.keys() == load.answered.keys()
        assert len(load.asked) == len(flooding.answers) + len(modest.answers)

    lines = [line for line in switch.lines("message") if line["rrn"] in load.asked]
    assert len(load.asked) == len(lines)
    assert {"sent"} == {line["outcome"] for line in lines}
    assert min(line["left_ms"] for line in lines) > 0
    at_once = [line for line in lines if line["problem"] in ("overload", "Overloaded")]
    assert len(at_once) > FLOOD * TICKS / 2
    await asyncio.to_thread(until, lambda: len(at_once) == told_as_shed(switch), "an end of it")
    assert len(switch.lines("shedding")) <= 2 * TICKS
    await settled(ledger, load)


async def test_a_link_that_is_cut_under_load(switch: Switch, ledger: Connection) -> None:
    """Reset again and again under load: what was told stays, and repeats elsewhere get the rest."""
    load = Load(CARDS)
    for _ in range(5):
        async with connected(switch.port()) as client, loading(client, load):
            await load.more(50)
            await client.reset()
    async with connected(switch.port("other")) as client:
        for rrn in load.asked.keys() - load.answered.keys():
            load.answered[rrn] = await insist(client, repeat(load.asked[rrn]))
    assert load.asked.keys() == load.answered.keys()
    await settled(ledger, load)


async def test_a_link_that_is_cut_between_the_commit_and_the_answer(
    switch: Switch, ledger: Connection
) -> None:
    """The approval stands: its repeat on another link gets it whole, its reversal gives it back."""
    first, second = load_card(CARDS), load_card(CARDS + 1)
    repeated, reversed_ = purchase(first, 500), purchase(second, 700)
    await make_slow(ledger, {first: 0.3, second: 0.3})
    async with connected(switch.port()) as client:
        lost = [client.send(message) for message in (repeated, reversed_)]
        await asyncio.sleep(0.1)
        await client.reset()
    assert not any(answer.done() and not answer.exception() for answer in lost)
    for message in (repeated, reversed_):
        line = await asyncio.to_thread(switch.wait_for, "message", rrn=message.fields[37])
        assert ("link_gone", "00") == (line["outcome"], line["response_code"])
        assert "open" == await hold_state(ledger, message.fields[37])
    async with connected(switch.port("other")) as client:
        answer = await client.ask(repeat(repeated))
        assert ("00", answer) == (code(answer), await client.ask(repeat(repeated)))
        assert "00" == code(await client.ask(reversal(reversed_)))
    given = "SELECT authorization_code FROM authorizations WHERE rrn = $1"
    assert answer.fields[38] == await ledger.fetchval(given, repeated.fields[37])
    held = "SELECT held_minor FROM accounts WHERE account_id = $1"
    assert 500 == await ledger.fetchval(held, first.account_id)
    assert 0 == await ledger.fetchval(held, second.account_id)


async def test_the_same_request_on_two_links_at_once(switch: Switch, ledger: Connection) -> None:
    """It is decided once: one row, one hold, and the same answer on both."""
    load = Load()
    async with connected(switch.port()) as one, connected(switch.port("other")) as other:
        for number in range(50):
            asked = purchase(load_card(number), 1 + number)
            first, second = await all_of([one.send(asked), other.send(asked)])
            assert ("00", first) == (code(first), second)
            load.asked[asked.fields[37]], load.answered[asked.fields[37]] = asked, first
    await settled(ledger, load)


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
    switch: Switch, ledger: Connection
) -> None:
    """Who never reads is not read from and is closed; what it was not told is taken back."""
    messages = [purchase(load_card(number % CARDS)) for number in range(6000)]
    frame = Framing.parse("2-byte").frame
    frames = [frame(encode(message, load_spec("iso87-ascii"))) for message in messages]
    before = memory_kib(switch.pid)

    one = small_socket(switch.port())
    try:
        peer = "{}:{}".format(*one.getsockname())
        sending = asyncio.create_task(send_until_not_taken(one, frames))
        # A link's peers share its limits: who notices nothing is on another.
        async with connected(switch.port("other")) as neighbour:
            while not sending.done():
                assert "00" == code(await neighbour.ask(purchase(load_card(CARDS))))
                await asyncio.sleep(0.02)
        await sending
        assert memory_kib(switch.pid) - before < MEMORY_KIB
        await asyncio.to_thread(switch.wait_for, "peer_not_reading", peer=peer)
        await asyncio.to_thread(switch.wait_for, "link_down", peer=peer)
    finally:
        one.close()

    untold = {line["rrn"] for line in switch.lines("message", outcome="unread", reason="approved")}
    assert untold, "nothing was decided for the peer while it was stuck"
    for rrn in untold:
        assert "unwound" == await hold_state(ledger, rrn)
