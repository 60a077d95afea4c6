"""Whatever is killed between two statements of a message: it is done once, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from switch.ledger.queries import QUERIES
from tests.client import Client, connected
from tests.faults.conftest import CARDS
from tests.faults.hit import (
    ask_all,
    check_done_once,
    check_rolled_back,
    hit,
    is_decided,
    next_card,
    reconnected,
    unhurt,
)
from tests.faults.purchases import LIVES, increment, repeat
from tests.faults.slow import Connection
from tests.faults.statement_points import (
    Books,
    books_of,
    broken_rules,
    install,
    let_go,
    stopped,
    unwatch,
    watch,
)
from tests.process import Switch, eventually, until
from tests.traffic import CardInHand, add_load_cards, code, load_card, purchase

#: Each purchase has a load card of its own.
OWN_CARDS = 250

Chore = Callable[[Connection, CardInHand], Coroutine[Any, Any, None]]
FOUR = ("authorization", "advice", "completion", "reversal")


@pytest.fixture(scope="module")
def prepared(hurt: Switch) -> Switch:
    """The switch, with points in its database and cards of this page, which have limits."""
    add_load_cards(hurt.database_url, OWN_CARDS)

    async def work() -> None:
        connection = await hurt.connect()
        await install(connection)
        await connection.execute(
            "INSERT INTO limits (account_id, card_id, scope, period, amount_minor)"
            " SELECT account_id, card_id, 'all', 'day', 1000000 FROM cards"
            " WHERE account_id >= $1",
            load_card(CARDS).account_id,
        )
        await connection.close()

    asyncio.run(work())
    return hurt


@pytest.fixture
async def ledger(prepared: Switch, switch: Switch) -> AsyncIterator[Connection]:
    """The test's own connection. It does not outlive its Postgres."""
    connection = await switch.connect()
    yield connection
    connection.terminate()


@pytest.fixture
async def client(prepared: Switch, switch: Switch) -> AsyncIterator[Client]:
    """A sender. It does not outlive its switch."""
    async with connected(switch.port()) as connection:
        yield connection


@pytest.mark.parametrize("name", LIVES)
async def test_a_backend_that_leaves_between_two_statements(
    switch: Switch, client: Client, ledger: Connection, name: str
) -> None:
    """At every statement: nothing of the message is there, and its repeat is right."""
    wanted = await unhurt(client, ledger, LIVES[name])
    for point in range(1, len(wanted.points) + 1):
        one = await hit(client, ledger, LIVES[name], point)
        await ledger.execute("SELECT pg_terminate_backend($1)", one.backend)
        await let_go(ledger)
        await check_rolled_back(client, ledger, one, wanted)
    assert [] == await broken_rules(switch.database_url)


@pytest.mark.parametrize("name", FOUR)
async def test_a_backend_that_is_killed_between_two_statements(
    switch: Switch, client: Client, ledger: Connection, name: str
) -> None:
    """kill -9 at each table: Postgres starts anew, and nothing of the message is there."""
    wanted = await unhurt(client, ledger, LIVES[name])
    for point in {what: place for place, what in enumerate(wanted.points, start=1)}.values():
        one = await hit(client, ledger, LIVES[name], point)
        os.kill(one.backend, signal.SIGKILL)
        ledger = await reconnected(switch, ledger)
        await check_rolled_back(client, ledger, one, wanted)
    assert [] == await broken_rules(switch.database_url)
    await ledger.close()


@pytest.mark.parametrize("name", FOUR)
async def test_a_switch_that_is_killed_between_two_statements(
    switch: Switch, client: Client, ledger: Connection, name: str
) -> None:
    """kill -9 of the switch: the transaction goes on alone, also while the next switch is asked.

    It commits, though nobody is told: the repeat gets its answer.
    """
    wanted = await unhurt(client, ledger, LIVES[name])
    one = await hit(client, ledger, LIVES[name], len(wanted.points) // 2)
    switch.kill()
    await asyncio.to_thread(switch.start)
    async with connected(switch.port()) as other:
        early = other.send(repeat(one.message))
        if is_decided(one.message):
            assert "91" == code(await early)
        await ask_all(other, [purchase(load_card(0))])
        assert is_decided(one.message) == early.done()
        await let_go(ledger)
        first = await early
        answer = await check_done_once(other, ledger, one, wanted)
        assert is_decided(one.message) or answer == first
    assert [] == await broken_rules(switch.database_url)


@pytest.mark.parametrize("name", ["authorization", "completion"])
async def test_all_that_is_killed_before_a_commit_was_never_there(
    switch: Switch, client: Client, ledger: Connection, name: str
) -> None:
    """kill -9 of the switch and of Postgres, as a power cut does: the repeat is as new."""
    wanted = await unhurt(client, ledger, LIVES[name])
    one = await hit(client, ledger, LIVES[name], len(wanted.points))
    switch.kill()
    switch.signal_postgres(signal.SIGKILL)
    until(lambda: not switch.postgres_pids(), "the end of Postgres")
    await asyncio.to_thread(switch.start)
    ledger = await reconnected(switch, ledger)
    async with connected(switch.port()) as other:
        await check_done_once(other, ledger, one, wanted)
    assert [] == await broken_rules(switch.database_url)
    await ledger.close()


async def expire(ledger: Connection, _: CardInHand) -> None:
    """Sweep what is past its time."""
    await ledger.execute(QUERIES["expire_holds"], 100)


async def unwind(ledger: Connection, card: CardInHand) -> None:
    """Take back the account's newest approval."""
    row = await ledger.fetchrow(
        "SELECT message_key, authorization_code FROM authorizations WHERE account_id = $1"
        " ORDER BY authorization_id DESC LIMIT 1",
        card.account_id,
    )
    assert row is not None
    await ledger.execute(QUERIES["unwind"], card.account_id, *row)


async def overdue(
    client: Client, ledger: Connection, chore: Chore, point: int | None = None
) -> CardInHand:
    """A purchase in two parts for a chore that is watched from now on, also by the sweeper."""
    card = next_card()
    first = purchase(card, 500)
    await ask_all(client, [first, increment(first, 200)])
    async with ledger.transaction():
        if chore is expire:
            await ledger.execute(
                "UPDATE holds SET expires_at = now() - interval '1 second' WHERE account_id = $1",
                card.account_id,
            )
        await watch(ledger, card.account_id, point)
    return card


async def done(ledger: Connection, chore: Chore, card: CardInHand) -> Books:
    """Do the chore until it is done; the books then."""
    left = [] if chore is expire else [(500,)]

    async def is_done() -> bool:
        await chore(ledger, card)
        books = await books_of(ledger, card.account_id)
        return bool(books.money["held"] == left)

    await eventually(is_done, "the end of a chore")
    await chore(ledger, card)
    return await books_of(ledger, card.account_id)


@pytest.mark.parametrize("chore", [expire, unwind])
async def test_a_chore_that_leaves_between_two_statements(
    switch: Switch, client: Client, ledger: Connection, chore: Chore
) -> None:
    """At every statement nothing of a sweep or an unwinding is there, and the next one does all."""
    card = await overdue(client, ledger, chore)
    wanted = await done(ledger, chore, card)
    points = await unwatch(ledger, card.account_id)
    for point in range(1, len(points) + 1):
        card = await overdue(client, ledger, chore, point)
        other = await switch.connect()
        working = asyncio.create_task(chore(other, card))
        backend = await stopped(ledger)
        await unwatch(ledger, card.account_id)
        before = (await books_of(ledger, card.account_id)).money
        await ledger.execute("SELECT pg_terminate_backend($1)", backend)
        await asyncio.gather(working, return_exceptions=True)
        await let_go(ledger)
        assert before == (await books_of(ledger, card.account_id)).money
        assert wanted == await done(ledger, chore, card)
        other.terminate()
    assert [] == await broken_rules(switch.database_url)
