"""What is told of what operators, clearing, keys and unknown cards do, and what is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_asyncio

from switch.ledger.migrate import MIGRATIONS
from switch.ledger.outbox import Outbox
from switch.ledger.queries import OPERATE, QUERIES
from tests.events.rebuilding import Money, kept, rebuilt, told
from tests.ledger.support import Books, ask

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def since(books: Books) -> int:
    """The last event before the test."""
    return await Outbox(books.connection).last()


async def types(books: Books, since: int) -> list[str]:
    """The types of what was told since."""
    return [event["type"] for event in await told(books.connection, since)]


async def operated(books: Books, name: str, *values: Any) -> Any:
    """What an operator's statement gives."""
    (row,) = await books.connection.fetch(OPERATE[name], "anna", "a reason", *values)
    assert row["outcome"] == "done"
    return row


async def test_an_operator_is_told_of(books: Books, since: int) -> None:
    """An account that is opened, credited, given credit and closed: its money follows from events.

    Who did it, why, and under which key, is nobody else's business.
    """
    opened = await operated(books, "create_account", "told-1", "program 1", "978", 500)
    account = int(json.loads(opened["became"])["account_id"])
    await operated(books, "post", account, 1_234, "a key of theirs")
    await operated(books, "post", account, -34, None)
    await operated(books, "change_account", "set_credit_limit", account, None, 900)
    await operated(books, "change_account", "close_account", account, "closed", None)
    events = await told(books.connection, since)
    assert [
        "account.created", "account.posted", "account.posted", "account.changed", "account.changed",
    ] == [event["type"] for event in events]  # fmt: skip
    assert {str(account): Money(1_200, 0, 900)} == rebuilt(events)
    assert (await kept(books.connection))[str(account)] == rebuilt(events)[str(account)]
    assert not {"anna", "a reason", "a key of theirs"} & set(_values(events))


async def test_a_card_is_told_of(books: Books, since: int) -> None:
    """A block, a limit, controls: what it was and what it is."""
    account = await books.account()
    await operated(books, "set_card_status", account, account, "blocked", [])
    await operated(books, "set_limit", account, account, "all", "day", 5_000, None)
    await operated(books, "remove_limit", account, account, "all", "day")
    events = await told(books.connection, since)
    assert ["block", "set_limit", "remove_limit"] == [one["details"]["action"] for one in events]
    assert {"card.changed"} == {event["type"] for event in events}
    assert {"status": "active"} == events[0]["details"]["was"]


async def test_an_unknown_card_is_told_of_once(books: Books, since: int) -> None:
    """By its token; a repeat is no event."""
    values = [[b"t" * 32], [b"k" * 16], *([one] for one in ("demo", "0100", "000001", "1123120000",
              "000000000001", "000000")), [100], ["978"], ["no_card_record"]]  # fmt: skip
    for _ in range(2):
        await books.connection.execute(QUERIES["refuse"], *values)
    (event,) = await told(books.connection, since)
    assert event["details"]["pan_token"] == (b"t" * 32).hex()
    assert "account" not in event


async def test_a_zone_key_is_told_of(books: Books, since: int) -> None:
    """Its name and check value, and nothing of the key."""
    await books.connection.execute(
        QUERIES["take_zone_key"], "demo", "zpk", "P0", "software", "a block", "ABCDEF",
        "operator", None, None, "123456", 60,
    )  # fmt: skip
    (event,) = await told(books.connection, since)
    assert {
        "action": "zone_key", "link": "demo", "name": "zpk", "kcv": "ABCDEF", "source": "operator",
    } == event["details"]  # fmt: skip


async def test_a_repeat_is_no_event(books: Books, since: int) -> None:
    """It moves nothing, and its original was told."""
    account = await books.account()
    call = ask(account)
    await books.decide(call)
    await books.decide(call)
    assert ["authorization.approved"] == await types(books, since)


async def test_what_is_taken_back_is_told_of(books: Books, since: int) -> None:
    """An unwinding, and an expiry, each with what it gave back."""
    account = await books.account()
    first, second = ask(account, 700), ask(account, 300)
    await books.decide(first)
    await books.decide(second)
    assert await books.unwind(first) == "unwound"
    await books.connection.execute(
        "UPDATE holds SET expires_at = now() WHERE account_id = $1", account
    )
    await books.connection.execute(QUERIES["expire_holds"], 1_000)
    events = await told(books.connection, since)
    assert ["authorization.unwound", "hold.expired"] == [event["type"] for event in events[2:]]
    assert [700, 300, -700, -300] == [event["money"]["held_change_minor"] for event in events]
    assert events[3]["message"]["rrn"] == second.rrn


async def test_existing_accounts_are_carried(books: Books) -> None:
    """The migration's own words for what was there before."""
    account = await books.account(posted_minor=77, credit_limit_minor=5)
    text = _migration().partition("INSERT INTO events")[2]
    since = await Outbox(books.connection).last()
    async with books.connection.transaction():
        await books.connection.execute(f"INSERT INTO events{text}")
    events = [one for one in await told(books.connection, since) if one["account"] == str(account)]
    assert {str(account): Money(77, 0, 5)} == rebuilt(events)


def _migration() -> str:
    return (MIGRATIONS / "0009_events.sql").read_text()


def _values(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [value for one in tree.values() for value in _values(one)]
    if isinstance(tree, list):
        return [value for one in tree for value in _values(one)]
    return [tree]
