"""A link with MACs whose HSM is silent, slow, wrong or asked too much: an outage is no mismatch."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from keys.hsm import HsmRejected
from switch.wire.message import Message, encode
from tests.flows.authentic import (
    Authentic,
    Fault,
    advice,
    asleep,
    authentic,
    echo,
    faulty,
    holds,
    last_byte_changed,
    plain,
    reversal_of,
    typed_in,
)
from tests.flows.support import House
from tests.process import eventually

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@faulty
async def test_nobody_verifies(one_house: House, fault: Fault) -> None:
    """An outage is no mismatch: 91 to a request, nothing to an advice, and later all is well."""
    _, pan = await one_house.card()
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults["verify_mac"] = fault
        before, asked, told = await one.rows(), typed_in(pan), advice(pan)
        assert "91" == (await one.ask(one.sealed(asked))).fields[39]
        assert "91" == (await one.ask(one.sealed(echo()))).fields[39]
        for message in (told, reversal_of(asked), Message("0190", asked.fields)):
            exchange = await one.unanswered(one.sealed(message))
            assert ("dropped", "HsmUnavailable") == (exchange.outcome, exchange.fault)
        assert [] == one.events("mac_mismatch")
        assert before == await one.rows()
        one.hsm.faults.clear()
        assert "00" == (await one.ask(one.sealed(told))).fields[39]
        assert "00" == (await one.ask(one.sealed(Message("0101", asked.fields)))).fields[39]


@faulty
async def test_nobody_makes_the_answer_s(one_house: House, fault: Fault) -> None:
    """An approval that has no MAC is not sent, and is taken back; a repeat is declined."""
    account_id, pan = await one_house.card()
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults["mac"] = fault
        asked = typed_in(pan)
        exchange = await one.unanswered(one.sealed(asked))
        assert ("dropped", "HsmUnavailable") == (exchange.outcome, exchange.fault)
        assert [("0110",)] == [(told["mti"],) for told in one.events("mac_not_made")]
        one.hsm.faults.clear()
        await eventually(lambda: holds(one_house, account_id, 0), "the unwinding")
        assert "05" == (await one.ask(one.sealed(Message("0101", asked.fields)))).fields[39]


@faulty
async def test_nobody_makes_the_answer_to_an_advice(one_house: House, fault: Fault) -> None:
    """An advice is booked once, and answered when it comes again."""
    account_id, pan = await one_house.card()
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults["mac"] = fault
        told = advice(pan)
        await one.unanswered(one.sealed(told))
        assert 1_000 == await one_house.books.held(account_id)
        one.hsm.faults.clear()
        assert "00" == (await one.ask(one.sealed(Message("0121", told.fields)))).fields[39]
        assert 1_000 == await one_house.books.held(account_id)


@faulty
async def test_an_hsm_that_is_quite_gone(one_house: House, fault: Fault) -> None:
    """Not even 91 is answered, for it would need a MAC; nothing is held."""
    account_id, pan = await one_house.card()
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults |= {"verify_mac": fault, "mac": fault}
        before = await one.rows()
        for message in (typed_in(pan), advice(pan), echo()):
            exchange = await one.unanswered(one.sealed(message))
            assert "HsmUnavailable" == exchange.fault
        assert before == await one.rows()
        assert 0 == await one_house.books.held(account_id)


async def test_a_slow_hsm_makes_nothing_late(one_house: House) -> None:
    """It is waited for until the deadline and no longer, though its budget be greater."""
    account_id, pan = await one_house.card()
    prompt: dict[str, Any] = {"answer_within_ms": 60, "margin_ms": 30, "hsm_budget": 3600.0}
    async with authentic(one_house, is_inline=False, **prompt) as one:
        one.hsm.faults["mac"] = asleep
        exchange = await one.unanswered(one.sealed(typed_in(pan)))
        assert "dropped" == exchange.outcome
        one.hsm.faults["verify_mac"] = asleep
        await one.unanswered(one.sealed(typed_in(pan)))
        await eventually(lambda: holds(one_house, account_id, 0), "the unwinding")


@pytest.mark.parametrize("question", ["verify_mac", "mac"])
async def test_a_key_that_is_configured_wrong(one_house: House, question: str) -> None:
    """An HSM that rejects the question is a fault of ours: no mismatch, and nothing is held."""

    async def reject() -> None:
        raise HsmRejected("key: not for this")

    account_id, pan = await one_house.card()
    async with authentic(one_house, is_inline=False) as one:
        one.hsm.faults[question] = reject
        if question == "mac":
            assert "HsmRejected" == (await one.unanswered(one.sealed(typed_in(pan)))).fault
        else:
            assert "96" == (await one.ask(one.sealed(typed_in(pan)))).fields[39]
        exchange = await one.unanswered(one.sealed(advice(pan)))
        assert "HsmRejected" == exchange.fault
        assert [] == one.events("mac_mismatch")
        booked = 1_000 if question == "mac" else 0  # by the advice
        await eventually(lambda: holds(one_house, account_id, booked), "the unwinding")


@contextlib.asynccontextmanager
async def crowded(one: Authentic) -> Any:
    """As many messages are in flight as the link takes."""
    one.link.in_flight += one.link.settings.in_flight_max
    try:
        yield
    finally:
        one.link.in_flight -= one.link.settings.in_flight_max


async def test_what_is_too_much(one_house: House) -> None:
    """It is answered 91 at once, with a MAC, and its own MAC is not looked at."""
    account_id, pan = await one_house.card()
    async with authentic(one_house, in_flight_max=2) as one:
        async with crowded(one):
            for payload in (
                one.sealed(typed_in(pan)),
                last_byte_changed(one.sealed(typed_in(pan))),
            ):
                assert "91" == (await one.ask(payload)).fields[39]
        assert {"mac": 2} == one.hsm.asked
        assert 0 == await one_house.books.held(account_id)


async def test_what_is_too_much_for_an_hsm_that_takes_time(one_house: House) -> None:
    """It is not answered, and costs the HSM nothing."""
    _, pan = await one_house.card()
    async with authentic(one_house, in_flight_max=2, is_inline=False) as one:
        async with crowded(one):
            one.send(one.sealed(typed_in(pan)))
            one.send(one.sealed(typed_in(pan)))
            await one.done(2)
        assert [("dropped", "overload")] * 2 == [(e.outcome, e.fault) for e in one.exchanges]
        assert {} == one.hsm.asked
        assert [] == one.client.frames


@pytest.mark.parametrize("is_inline", [True, False])
async def test_network_messages_and_advices_are_not_too_much(
    one_house: House, is_inline: bool
) -> None:
    """They are taken beyond the limit, once their MAC is right."""
    _, pan = await one_house.card()
    how: dict[str, Any] = {"in_flight_max": 2, "is_inline": is_inline, "on_network": True}
    async with authentic(one_house, **how) as one, crowded(one):
        assert "00" == (await one.ask(one.sealed(echo()))).fields[39]
        assert "63" == (await one.ask(last_byte_changed(one.sealed(echo())))).fields[39]
        assert "00" == (await one.ask(one.sealed(advice(pan)))).fields[39]


@pytest.mark.parametrize("is_inline", [True, False])
async def test_network_messages_that_need_no_mac(one_house: House, is_inline: bool) -> None:
    """They are answered at once under overload, and cost the HSM nothing."""
    async with authentic(one_house, in_flight_max=2, is_inline=is_inline) as one:
        async with crowded(one):
            answer, has_mac = await plain(one, encode(echo(), one.client.spec))
        assert ("00", False) == (answer.fields[39], has_mac)
        assert {} == one.hsm.asked
