"""A decline that was sent ends with no money held, whatever the database did meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import signal

import pytest

from switch.ledger.queries import QUERIES
from tests.client import connected
from tests.faults.load import Load, loading, settled
from tests.faults.slow import Connection, hold_state, is_slow, make_quick, make_slow
from tests.process import Switch, eventually
from tests.traffic import CardInHand, change, code, load_card, purchase

#: Each test has two load cards that no other uses.
_numbers = itertools.count(50, 2)


@pytest.fixture
def card() -> CardInHand:
    """A load card of this test alone; the one after it is too."""
    return load_card(next(_numbers))


def other_than(card: CardInHand) -> CardInHand:
    """The load card after this one."""
    return load_card(card.account_id - load_card(0).account_id + 1)


async def becomes(connection: Connection, rrn: str, state: str | None) -> None:
    """Wait until a message's hold has this state."""

    async def has() -> bool:
        return await hold_state(connection, rrn) == state

    await eventually(has, f"a hold that is {state}")


async def test_a_late_approval_is_taken_back(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """A commit after the deadline: 91 in time, then the hold is unwound, a repeat declined."""
    await make_slow(ledger, {card: 2.0})
    asked = purchase(card, 500)
    async with connected(switch.port()) as client:
        waiting = client.send(asked)
        assert "00" == code(await client.ask(purchase(other_than(card))))  # on the other connection
        answer = await waiting
        assert "91" == code(answer)
        line = switch.wait_for("message", rrn=asked.fields[37])
        assert "sent" == line["outcome"]
        assert line["left_ms"] > 0

        await becomes(ledger, asked.fields[37], "unwound")
        switch.wait_for("late_approval_unwound", state="unwound", account_id=card.account_id)
        assert [] == await ledger.fetch(QUERIES["audit"])
        await make_quick(ledger)
        assert "05" == code(await client.ask(change(asked, mti="0101")))
        assert "00" == code(await client.ask(purchase(card)))


async def test_a_repeat_while_its_original_is_taken_back_is_not_approved(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """Until it is known what became of the original, its repeat is answered 91."""
    await make_slow(ledger, {card: 2.5})
    asked = purchase(card)
    async with connected(switch.port()) as client:
        assert "91" == code(await client.ask(asked))
        assert "91" == code(await client.ask(asked))
        await becomes(ledger, asked.fields[37], "unwound")
        switch.wait_for("late_approval_unwound")
        assert "05" == code(await client.ask(asked))


@pytest.mark.parametrize("seconds", [0.5, pytest.param(3.0, marks=pytest.mark.long)])
async def test_a_stopped_postgres_is_answered_91_and_nothing_stays_held(
    switch: Switch, ledger: Connection, seconds: float
) -> None:
    """SIGSTOP of all of Postgres under load: 91 in time, and what commits late is undone."""
    load = Load()
    async with connected(switch.port()) as client, loading(client, load):
        await load.more(100)
        switch.signal_postgres(signal.SIGSTOP)
        await load.more(20, "91")
        await asyncio.sleep(seconds)
        switch.signal_postgres(signal.SIGCONT)
        await load.more(100)
    assert load.asked.keys() == load.answered.keys()
    assert {"00", "91"} == set(map(code, load.answered.values()))
    assert {"sent"} == {line["outcome"] for line in switch.lines("message")}
    await settled(ledger, load)


async def test_a_commit_that_a_stop_delayed_is_taken_back(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """A backend stopped inside its transaction goes on and commits: the hold is unwound."""
    await make_slow(ledger, {card: 0.5})
    asked = purchase(card)
    async with connected(switch.port()) as client:
        waiting = client.send(asked)
        await asyncio.sleep(0.25)
        switch.signal_postgres(signal.SIGSTOP)
        assert "91" == code(await waiting)
        switch.signal_postgres(signal.SIGCONT)
        await becomes(ledger, asked.fields[37], "unwound")
        assert "00" == code(await client.ask(purchase(other_than(card))))
    assert [] == await ledger.fetch(QUERIES["audit"])


@pytest.mark.parametrize("is_stopped", [False, True], ids=["slow commit", "stopped Postgres"])
async def test_a_kill_between_the_91_and_the_unwinding_loses_nothing(
    switch: Switch, ledger: Connection, card: CardInHand, is_stopped: bool
) -> None:
    """kill -9 after the 91: the commit that comes later is undone by the next start."""
    await make_slow(ledger, {card: 2.0})
    asked = purchase(card, 4200)
    async with connected(switch.port()) as client:
        waiting = client.send(asked)
        await eventually(lambda: is_slow(ledger), "a decision that is being made")
        if is_stopped:
            switch.signal_postgres(signal.SIGSTOP)
        assert "91" == code(await waiting)
        switch.kill()
    if is_stopped:
        switch.signal_postgres(signal.SIGCONT)
    await becomes(ledger, asked.fields[37], "open")  # the danger: told 91, and money is held
    await make_quick(ledger)

    await asyncio.to_thread(switch.start)
    await becomes(ledger, asked.fields[37], "unwound")
    switch.wait_for("late_approval_unwound", state="unwound")
    assert [] == await ledger.fetch(QUERIES["audit"])
    async with connected(switch.port()) as client:
        assert "05" == code(await client.ask(asked))


async def test_a_kill_before_the_commit_leaves_a_mark_for_it(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """Where the next start finds no authorization yet, one that comes later is declined."""
    await make_slow(ledger, {card: 60})
    asked = purchase(card)
    async with connected(switch.port()) as client:
        assert "91" == code(await client.ask(asked))
    switch.kill()
    await ledger.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'switch'"
    )
    await make_quick(ledger)
    await asyncio.to_thread(switch.start)
    switch.wait_for("late_request_settled", state="marked")
    async with connected(switch.port()) as client:
        assert "05" == code(await client.ask(asked))
    assert await hold_state(ledger, asked.fields[37]) is None


async def test_a_backend_that_is_told_to_leave_mid_call_holds_nothing(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """pg_terminate_backend while a decision is in flight: 91, and nothing is held."""
    await make_slow(ledger, {card: 60})
    asked = purchase(card)
    async with connected(switch.port()) as client:
        waiting = client.send(asked)
        await asyncio.sleep(0.3)
        await ledger.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        )
        assert "91" == code(await waiting)
        await make_quick(ledger)
        switch.wait_for("late_request_settled", account_id=card.account_id)
        assert "00" == code(await client.ask(purchase(card)))
    assert await hold_state(ledger, asked.fields[37]) is None
    assert [] == await ledger.fetch(QUERIES["audit"])


async def test_an_account_that_a_stranger_holds_stalls_nobody_else(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """A row lock of another process: 91 in time for that account, decisions for all others."""
    load = Load(cards=40)
    async with connected(switch.port()) as client, connected(switch.port()) as patient:
        async with ledger.transaction():
            await ledger.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", card.account_id
            )
            async with loading(client, load):
                waiting = [patient.send(purchase(card)) for _ in range(5)]
                await load.more(50)
                assert not any(answer.done() for answer in waiting), "this machine is too slow"
                assert ["91"] * 5 == [code(await answer) for answer in waiting]
        await settled(ledger, load)
        assert {"00"} == set(map(code, load.answered.values()))
        assert "00" == code(await patient.ask(purchase(card)))
    assert 100 == await ledger.fetchval(
        "SELECT held_minor FROM accounts WHERE account_id = $1", card.account_id
    )


async def test_an_unwinding_that_waits_for_its_account_delays_no_other(
    switch: Switch, ledger: Connection, card: CardInHand
) -> None:
    """What one account must give back is not held up by another account that is locked."""
    await make_slow(ledger, {card: 12.0, other_than(card): 2.0})
    late = purchase(other_than(card), 500)
    async with connected(switch.port()) as client:
        both = [client.send(message) for message in (purchase(card), late)]
        assert ["91", "91"] == [code(await answer) for answer in both]
        async with asyncio.timeout(8):  # of which the late commit takes one
            await becomes(ledger, late.fields[37], "unwound")
