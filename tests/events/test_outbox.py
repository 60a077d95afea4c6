"""The outbox: what is settled is read once, in order, and nothing is skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger.lane import SESSION
from switch.ledger.outbox import Outbox
from switch.ledger.queries import QUERIES
from tests.events.rebuilding import told
from tests.ledger.support import Books, ask, ledger_on

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def other(shared_database: str) -> AsyncIterator[Books]:
    """A second connection to the same books."""
    connection = await asyncpg.connect(shared_database, server_settings=SESSION)
    yield Books(connection)
    await connection.close()


@pytest_asyncio.fixture(loop_scope="module")
async def outbox(shared_database: str) -> AsyncIterator[Outbox]:
    """The outbox over a connection of its own."""
    connection = await asyncpg.connect(shared_database)
    yield Outbox(connection)
    await connection.close()


async def accounts_in(outbox: Outbox, after: int) -> tuple[list[int], int]:
    """The accounts of the events that are settled and follow one, and the last event's number."""
    rows = await outbox.stretch(after, await outbox.settled(), 100)
    return [int(row.account) for row in rows], rows[-1].number if rows else after


async def test_what_commits_late_is_not_skipped(books: Books, other: Books, outbox: Outbox) -> None:
    """An event whose transaction stays open holds back the later ones, and then all come once."""
    first, second = await books.account(), await books.account()
    after = await outbox.last()
    slow = other.connection.transaction()
    await slow.start()
    await other.decide(ask(first))
    await books.decide(ask(second))
    assert ([], after) == await accounts_in(outbox, after)
    assert ([], after) == await accounts_in(outbox, after)
    await slow.commit()
    assert [first, second] == (await accounts_in(outbox, after))[0]


async def test_no_number_comes_again(
    books: Books, outbox: Outbox, shared_database: str, tmp_path: Path
) -> None:
    """A database that was restored goes on above every number that it ever gave: a ledger that
    connects sees to it, and another one that connects at once takes nothing back.
    """
    account = await books.account()
    before = await outbox.last()
    await books.decide(ask(account))
    had = await outbox.last()
    await books.connection.execute("SELECT setval('event_ids', $1)", before)
    async with ledger_on(shared_database, tmp_path / "journal"):
        lifted = await outbox.last()
        await books.decide(ask(account))
        next_one = await outbox.last()
    assert had < lifted < next_one
    async with ledger_on(shared_database, tmp_path / "journal"):
        assert next_one <= await outbox.last()


async def test_numbers_are_lifted_one_after_the_other(
    books: Books, other: Books, outbox: Outbox
) -> None:
    """Who lifts them reads the clock when nobody else does: a slow one never sets them back."""
    await books.connection.execute("SELECT setval('event_ids', 1)")
    slow = other.connection.transaction()
    await slow.start()
    await other.connection.execute(QUERIES["renumber_events"])
    waits = asyncio.create_task(books.connection.execute(QUERIES["renumber_events"]))
    await asyncio.sleep(0.1)
    assert not waits.done()
    lifted = await outbox.last()
    await slow.commit()
    await waits
    assert lifted == await outbox.last()


async def test_what_is_rolled_back_holds_nothing_up(
    books: Books, other: Books, outbox: Outbox
) -> None:
    """Its number is a gap."""
    account = await books.account()
    after = await outbox.last()
    slow = other.connection.transaction()
    await slow.start()
    await other.decide(ask(account))
    await slow.rollback()
    await books.decide(ask(account))
    assert ([account], after + 2) == await accounts_in(outbox, after)


async def test_order_is_that_of_the_lock(books: Books, other: Books, outbox: Outbox) -> None:
    """A transaction that began first and came to an account last is told last of it."""
    early, account = await books.account(), await books.account()
    after = await outbox.last()
    slow = other.connection.transaction()
    await slow.start()
    await other.decide(ask(early))  # its transaction has a lower id from here on
    await books.decide(ask(account, 100))
    await other.decide(ask(account, 200))
    await slow.commit()
    rows = await outbox.stretch(after, await outbox.settled(), 100)
    assert [early, account, account] == [int(row.account) for row in rows]
    events = await told(books.connection, after)
    assert [100, 200] == [event["message"]["amount_minor"] for event in events[1:]]
    assert [100, 300] == [event["money"]["held_minor"] for event in events[1:]]


async def test_who_only_reads_holds_nothing_up(books: Books, other: Books, outbox: Outbox) -> None:
    """A long report has no transaction id."""
    account = await books.account()
    after = await outbox.last()
    async with other.connection.transaction(isolation="repeatable_read", readonly=True):
        await other.connection.fetchval("SELECT count(*) FROM accounts")
        await books.decide(ask(account))
        assert [account] == (await accounts_in(outbox, after))[0]


async def test_one_has_the_turn(shared_database: str, outbox: Outbox) -> None:
    """A second connection is told no until the first one ends. The cursor moves on, not back."""
    connection = await asyncpg.connect(shared_database)
    assert await Outbox(connection).take_turn()
    assert not await outbox.take_turn()
    published = await outbox.published()
    assert await Outbox(connection).move(published, published + 5)
    assert not await outbox.move(published, published + 7)
    await connection.close()
    while not await outbox.take_turn():
        pass
    assert published + 5 == await outbox.published()


async def test_a_look_at_one_account(books: Books, outbox: Outbox) -> None:
    """The last so many of an account, or of a type."""
    account, another = await books.account(), await books.account(posted_minor=0)
    for minor in (100, 200, 300):
        await books.decide(ask(account, minor), ask(another))
    last = await outbox.last()
    begin = await outbox.before_last(last, 2, account, "")
    rows = await outbox.stretch(begin, last, 100, account_id=account)
    assert [account, account] == [int(row.account) for row in rows]
    begin = await outbox.before_last(last, 2, None, "authorization.decl")
    rows = await outbox.stretch(begin, last, 100, type_="authorization.decl")
    assert [another, another] == [int(row.account) for row in rows]
    assert last == await outbox.before_last(last, 2, another, "card.")
