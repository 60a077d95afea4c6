"""Our own requests: none goes without its MAC, and an answer counts where its own is right."""

from __future__ import annotations

import asyncio

import pytest

from switch.wire.message import Message, encode
from tests.flows.authentic import (
    DIALECTS,
    Authentic,
    Fault,
    authentic,
    echo,
    faulty,
    gone,
    last_byte_changed,
)
from tests.flows.support import House
from tests.ledger.support import number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def file_update() -> Message:
    stan = f"{number() % 1_000_000:06d}"
    return Message(
        "0302",
        {2: "4761739000000012", 7: "1123120000", 11: stan, 91: "1", 101: "CARDS", 120: "41"},
    )


def taken(request: Message) -> Message:
    """What its network answers."""
    mti = request.mti[:2] + "1" + request.mti[3]
    fields = {n: request.fields[n] for n in (7, 11, 70, 91, 101) if n in request.fields}
    return Message(mti, dict(sorted({**fields, 39: "00"}.items())))


async def asked(one: Authentic, request: Message, within: float) -> asyncio.Task[Message | None]:
    """The request is out, and had its right MAC."""
    waiting = asyncio.create_task(one.link.ask(request, within=within))
    assert request == await one.answer()
    return waiting


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_our_own_requests(one_house: House, dialect: str) -> None:
    """A file update has a MAC, and its answer is taken where its own is right."""
    async with authentic(one_house, dialect=dialect) as one:
        request = file_update()
        waiting = await asked(one, request, within=30)
        await one.unanswered(last_byte_changed(one.sealed(taken(request))))
        await one.unanswered(encode(taken(request), one.client.spec))
        assert not waiting.done()
        assert ["wrong", "missing"] == [told["problem"] for told in one.events("mac_mismatch")]
        exchange = await one.unanswered(one.sealed(taken(request)))
        assert "taken" == exchange.outcome
        answer = await waiting
        assert answer is not None
        assert "00" == answer.fields[39]


async def test_an_answer_that_nobody_verifies(one_house: House) -> None:
    """While the HSM is down an answer to us is as none; it counts when it comes again."""
    async with authentic(one_house, is_inline=False) as one:
        request = file_update()
        waiting = await asked(one, request, within=30)
        one.hsm.faults["verify_mac"] = gone
        exchange = await one.unanswered(one.sealed(taken(request)))
        assert ("dropped", "HsmUnavailable") == (exchange.outcome, exchange.fault)
        assert not waiting.done()
        assert [] == one.events("unsolicited_response")
        one.hsm.faults.clear()
        await one.unanswered(one.sealed(taken(request)))
        assert await waiting is not None


@faulty
async def test_a_request_of_ours_without_a_mac(one_house: House, fault: Fault) -> None:
    """It is not sent."""
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults["mac"] = fault
        assert await one.link.ask(file_update(), within=30) is None
        assert ["0302"] == [told["mti"] for told in one.events("mac_not_made")]
        one.hsm.faults.clear()
        waiting = await asked(one, file_update(), within=0.01)
        assert await waiting is None


@pytest.mark.parametrize("on_network", [False, True])
async def test_our_own_network_messages(one_house: House, on_network: bool) -> None:
    """An 0800 of ours has a MAC where the link asks for one, and its answer must have one then."""
    async with authentic(one_house, on_network=on_network) as one:
        request = echo()
        waiting = asyncio.create_task(one.link.ask(request, within=30))
        assert (request, on_network) == await one.raw_answer()
        exchange = await one.unanswered(encode(taken(request), one.client.spec))
        assert ("dropped" if on_network else "taken") == exchange.outcome
        if on_network:
            await one.unanswered(one.sealed(taken(request)))
        assert await waiting is not None
