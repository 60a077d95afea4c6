"""A link that dials a peer over real sockets: signs on, finds it gone, dials again, signs off."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
from multiprocessing.connection import Connection as Pipe

import pytest

from specs.spec import load as load_spec
from switch.flows.router import Router
from switch.settings import Address
from switch.wire import mti
from switch.wire.message import Message, decode, encode
from tests.client import connected
from tests.links.peer import (
    Dialled,
    Peer,
    accepts,
    accepts_only_sign_on,
    dialling,
    listening,
    refuses,
    true,
    with_a_wrong_stan,
)
from tests.traffic import code, echo

QUICK = {"echo_after_s": 1, "unanswered_max": 2}


def network(code: str, stan: str) -> Message:
    """A network management request of the peer's own."""
    return Message("0800", {7: "1122120000", 11: stan, 70: code})


async def test_a_link_signs_on_and_off() -> None:
    """It dials, signs on with 001, and signs off with 002 before it closes."""
    async with listening() as peer:
        async with dialling(peer) as dialled:
            await dialled.is_in("signed_on")
            assert ["0800/001"] == peer.codes()
        assert ["0800/001", "0800/002"] == peer.codes()
        assert ["connected", "signed_on", "draining"] == dialled.states
        await peer.has(0)
    first, second = (message.fields[11] for message in peer.asked)
    assert first != second


@pytest.mark.parametrize(
    ("dialect", "digit", "yes"), [("iso93-ascii", "1", "800"), ("cmf-2003", "2", "8000")]
)
async def test_the_codes_of_later_versions(dialect: str, digit: str, yes: str) -> None:
    """Where no setting says otherwise a link of 1993 or 2003 signs on with 804 and 801, asks for an
    echo with 831, signs off with 802, and takes 800 or 8000 for yes."""

    def says_yes(request: Message) -> Message:
        return Message(mti.response(request.mti), {**request.fields, 39: yes})

    async with (
        listening(says_yes, dialect=dialect) as peer,
        dialling(peer, **QUICK, dialect=dialect) as dialled,
    ):
        await dialled.is_in("signed_on")
        await true(lambda: dialled.link.last_echo is not None)
        await dialled.link.drain(within=1)
    codes = [f"{digit}804/801", f"{digit}804/831", f"{digit}804/802"]
    assert codes == list(dict.fromkeys(peer.codes()))
    assert "signed_on" == dialled.states[1]


async def test_codes_and_fields_are_settings() -> None:
    """What a scheme wants is sent: its codes, and its own data elements."""
    given = {"sign_on_code": "071", "sign_off_code": "072", "network_fields": ("33=476173",)}
    async with listening() as peer, dialling(peer, **given) as dialled:
        await dialled.is_in("signed_on")
    assert [("071", "476173"), ("072", "476173")] == [
        (message.fields[70], message.fields[33]) for message in peer.asked
    ]


async def test_nothing_is_said_where_nobody_asks_for_it() -> None:
    """With network management off, and on a listening link, nothing of ours is sent."""
    async with listening() as peer:
        async with dialling(peer, network_management="off") as dialled:
            await dialled.is_in("connected")
        assert [] == peer.asked
    listener = Dialled(listen=Address("127.0.0.1", 0), echo_after_s=1)
    await listener.link.start()
    async with connected(listener.events("link_listening")[0]["port"]) as client:
        await asyncio.sleep(1.2)
        assert [] == client.frames
    await listener.link.drain(within=1)


async def test_a_listening_link_that_is_told_to_signs_on_too() -> None:
    """With network management on, whoever connects is signed on to."""
    listener = Dialled(listen=Address("127.0.0.1", 0), network_management="on")
    await listener.link.start()
    async with connected(listener.events("link_listening")[0]["port"]) as client:
        await client.received(1)
        client.write_frame(encode(accepts(client.answers[0]), client.spec))
        await listener.is_in("signed_on")
        draining = asyncio.create_task(listener.link.drain(within=1))
        await client.received(2)
        assert ["001", "002"] == [message.fields[70] for message in client.answers]
        client.write_frame(encode(accepts(client.answers[1]), client.spec))
        await client.ended()
        await draining
    assert [] == listener.events("network_unanswered")


async def test_a_peer_that_is_away_and_comes_back() -> None:
    """A peer that is not there is dialled again and again; when it is, it is signed on to."""
    async with listening() as peer, dialling(peer) as dialled:
        await dialled.is_in("signed_on")
        await peer.leave()
        await dialled.told_of("dial_failed", 3)
        assert "down" == dialled.state
        await peer.listen()
        await dialled.is_in("signed_on")
        assert ["connected", "signed_on", "down", "connected", "signed_on"] == dialled.states
    refused = dialled.events("dial_failed")[0]
    assert "Connection refused" == refused["problem"]
    assert all(0.01 <= each["seconds"] <= 0.05 for each in dialled.events("dial_failed"))


async def test_a_silent_peer_is_half_open() -> None:
    """Who answers no echo, nor its repeat with the same STAN, is closed and dialled again."""
    async with listening(accepts_only_sign_on) as peer, dialling(peer, **QUICK) as dialled:
        await dialled.told_of("network_unanswered", 2)
        await dialled.is_in("down")
        peer.script = accepts
        await dialled.is_in("signed_on")
        assert ["0800/001", "0800/301", "0801/301", "0800/001"] == peer.codes()[:4]
        assert peer.asked[1].fields == peer.asked[2].fields
        assert [1, 2] == [each["count"] for each in dialled.events("network_unanswered")][:2]
        await true(lambda: dialled.link.last_echo is not None)


async def test_who_speaks_is_not_asked() -> None:
    """An echo is for silence: a peer that keeps asking is not asked."""
    async with listening() as peer, dialling(peer, **QUICK) as dialled:
        await dialled.is_in("signed_on")
        for _ in range(8):
            assert "00" == code(await peer.ends[0].ask(echo()))
            await asyncio.sleep(0.3)
        assert ["0800/001"] == [each for each in peer.codes() if each.startswith("08")]


async def test_another_stan_is_no_answer() -> None:
    """An answer with a wrong STAN is nobody's: the sign-on stays unanswered and is dialled anew."""
    async with listening(with_a_wrong_stan) as peer:
        async with dialling(peer, unanswered_max=1) as dialled:
            await dialled.told_of("network_unanswered")
            await dialled.is_in("down")
            peer.script = accepts
            await dialled.is_in("signed_on")
        assert dialled.events("unsolicited_response")
        assert "signed_on" not in dialled.states[:2]


async def test_a_late_answer_is_told() -> None:
    """The answer to a sign-on answers its repeat, if it comes after that; a second one is told."""
    async with listening(lambda _: None) as peer, dialling(peer, unanswered_max=3) as dialled:
        await true(lambda: len(peer.asked) == 2)
        for _ in range(2):
            peer.ends[0].write_frame(encode(accepts(peer.asked[0]), peer.ends[0].spec))
        await dialled.is_in("signed_on")
        assert "0801" == peer.asked[1].mti
        assert ["0810"] == [each["mti"] for each in await dialled.told_of("late_response")]
        peer.script = accepts


async def test_a_refused_sign_on() -> None:
    """A sign-on that is answered 05 is told with its code, and the peer is dialled again."""
    async with listening(refuses) as peer, dialling(peer) as dialled:
        refused = await dialled.told_of("sign_on_refused", 2)
        assert ["05", "05"] == [each["response_code"] for each in refused[:2]]
        assert "signed_on" not in dialled.states
        peer.script = accepts
        await dialled.is_in("signed_on")


async def test_a_peer_that_signs_off_is_still_answered() -> None:
    """Their sign-off and sign-on move the state; in between whatever they ask is answered."""
    async with listening() as peer, dialling(peer) as dialled:
        await dialled.is_in("signed_on")
        end = peer.ends[0]
        assert "00" == code(await end.ask(network("002", "900001")))
        await dialled.is_in("signed_off")
        assert "00" == code(await end.ask(echo()))
        assert "12" == code(await end.ask(network("999", "900002")))
        assert "signed_off" == dialled.state
        assert "00" == code(await end.ask(network("071", "900003")))
        await dialled.is_in("signed_on")
        assert "signed_off" in dialled.states


async def test_an_hsm_that_is_away_takes_no_link_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has no MAC is not sent and not counted; when it can be made it is sent."""

    async def no_mac(router: Router, request: Message) -> None:
        pass

    async with listening() as peer, dialling(peer, unanswered_max=1) as dialled:
        await dialled.is_in("signed_on")
        with monkeypatch.context() as away:
            away.setattr(Router, "request_bytes", no_mac)
            await peer.ends[0].reset()
            await true(lambda: len(peer.open) == 1 and dialled.state == "connected")
            await asyncio.sleep(1.5)
            assert 2 == len(peer.ends)
        await dialled.is_in("signed_on")
        assert [] == dialled.events("network_unanswered")


async def test_several_connections() -> None:
    """Each connection of a link is dialled, signed on and kept for itself."""
    async with listening() as peer, dialling(peer, connections=3) as dialled:
        await peer.has(3)
        await true(lambda: len(peer.asked) == 3)
        assert ["0800/001"] * 3 == peer.codes()
        assert 3 == len({message.fields[11] for message in peer.asked})
        await peer.ends[0].reset()
        await true(lambda: len(peer.ends) == 4)
        await peer.has(3)
        assert "down" not in dialled.states
        await true(lambda: 3 == dialled.link.described()["connections"])


async def test_two_links_to_one_peer() -> None:
    """Two links that dial one address know nothing of each other."""
    async with listening() as peer, dialling(peer) as one, dialling(peer) as other:
        await one.is_in("signed_on")
        await other.is_in("signed_on")
        await peer.has(2)


async def test_a_peer_that_cuts_a_frame() -> None:
    """Half an answer and the end: nothing is taken for an answer, and the peer is dialled again."""
    async with listening(lambda _: None) as peer, dialling(peer) as dialled:
        await true(lambda: len(peer.asked) == 1)
        end = peer.ends[0]
        whole = end.framing.frame(encode(accepts(peer.asked[0]), end.spec))
        end.write(whole[: len(whole) // 2])
        await asyncio.sleep(0.05)
        await end.reset()
        await true(lambda: len(peer.asked) == 2)
        assert "signed_on" not in dialled.states
        peer.script = accepts
        await peer.ends[1].reset()
        await dialled.is_in("signed_on")


async def test_a_stopping_link_does_not_wait_for_ever_to_sign_off() -> None:
    """A peer that does not answer the sign-off is told of, and left."""
    async with listening(accepts_only_sign_on) as peer:
        async with dialling(peer) as dialled:
            await dialled.is_in("signed_on")
        assert ["sign_off"] == [each["problem"] for each in dialled.events("network_unanswered")]
        await peer.has(0)


async def test_a_link_that_stops_while_it_dials() -> None:
    """A link whose peer was never there stops at once, and dials no more."""
    peer = Peer()
    await peer.listen()
    await peer.leave()
    async with dialling(peer) as dialled:
        await dialled.told_of("dial_failed")
    failed = len(dialled.events("dial_failed"))
    await asyncio.sleep(0.2)
    assert failed == len(dialled.events("dial_failed"))
    assert ["draining"] == dialled.states


def accept_and_stop(pipe: Pipe) -> None:
    """A process that accepts a connection and answers its first request, then tells of it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        pipe.send(server.getsockname()[1])
        one, _ = server.accept()
        with one:
            frame = one.recv(4096)
            # The same fields, with 0810 for 0800 and DE39 of 00.
            pipe.send(frame)
            one.sendall(pipe.recv())
            pipe.send("answered")
            while one.recv(4096):
                pass


async def test_a_stopped_process_is_half_open() -> None:
    """The kernel of a stopped process acknowledges all; that it does not answer is what tells."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=accept_and_stop, args=(theirs,))
    process.start()
    try:
        peer = Peer()
        peer.port = await asyncio.to_thread(ours.recv)
        async with dialling(peer, **QUICK, reconnect_min_ms=60_000, reconnect_max_ms=60_000) as one:
            frame = await asyncio.to_thread(ours.recv)
            spec = load_spec("iso87-ascii")
            answer = encode(accepts(decode(frame[2:], spec)), spec)
            ours.send(len(answer).to_bytes(2, "big") + answer)
            assert "answered" == await asyncio.to_thread(ours.recv)
            await one.is_in("signed_on")
            assert process.pid is not None
            os.kill(process.pid, signal.SIGSTOP)
            await one.is_in("down")
            assert ["echo", "echo"] == [
                each["problem"] for each in one.events("network_unanswered")
            ]
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
        theirs.close()
