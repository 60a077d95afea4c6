"""`switch maintain`: what is short-lived is purged; who may maintain, and how it is typed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio

from switch.ledger.maintain import MaintainError
from tests.ledger import by_hand
from tests.ledger.maintaining import KEEP, assert_right, maintained, with_history
from tests.ledger.support import Books
from tests.process import as_setting
from tests.typed import typed


@pytest_asyncio.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for months are everybody's."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


# What is short-lived.


async def test_what_is_short_lived_is_purged(books: Books, database: str) -> None:
    """Keys, marks, refusals and use go when they are older than the days that are kept."""
    account = await books.account()
    now = by_hand.noon()
    for days in (59, 61):
        then = now - timedelta(days=days)
        await by_hand.month(books, 2)
        await by_hand.month(books, 3)
        await by_hand.month(books, 1)
        await by_hand.row(books, account, reason="lost", received_at=then)
        clue = days.to_bytes(8)
        await by_hand.insert(
            books, "early_marks", account_id=account, clue=clue, verdict="reversed", noted_at=then
        )
        await by_hand.insert(
            books, "approvals_repeated", account_id=account, message_key=clue,
            authorization_code="000000", told_at=then,
        )  # fmt: skip
        await by_hand.insert(
            books, "refused", pan_token=clue, message_key=clue, received_at=then, link="demo",
            mti="0100", stan="000001", transmission_datetime="1123120000", rrn="1",
            processing_code="000000", transaction_minor=1, transaction_currency="978",
            reason="no_card_record",
        )  # fmt: skip
        await by_hand.insert(
            books, "limit_usage", account_id=account, card_id=account, scope="all", period="month",
            period_start=(then - timedelta(days=32)).date(), amount_minor=0, count=0,
            counted_from=then,
        )  # fmt: skip
    assert [
        "purged 1 of message_keys", "purged 1 of early_marks", "purged 1 of approvals_repeated",
        "purged 1 of refused", "purged 1 of limit_usage",
    ] == await maintained(database)  # fmt: skip
    assert now - timedelta(days=59) == await books.connection.fetchval(
        "SELECT received_at FROM message_keys"
    )
    assert [] == await maintained(database)
    await assert_right(database)


async def test_every_page_is_purged(
    books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However few pages a transaction takes, all that is old goes and all that is young stays."""
    monkeypatch.setattr("switch.ledger.maintain.PURGE_PAGES", 1)
    await books.connection.execute(
        "INSERT INTO refused SELECT int8send(n), int8send(n),"
        " now() - make_interval(days => n % 90), 'demo', '0100', '000001', '1123120000', '1',"
        " '000000', 1, '978', 'no_card_record'"
        " FROM generate_series(1, 900) AS n"
    )
    old = await books.connection.fetchval(
        "SELECT count(*) FROM refused WHERE received_at < now() - interval '60 days'"
    )
    assert [f"purged {old} of refused"] == await maintained(database)
    assert 900 - old == await books.connection.fetchval("SELECT count(*) FROM refused")


async def test_no_key_leads_to_a_month_that_is_gone(books: Books, database: str) -> None:
    """Keys go with their month, however many days are kept."""
    await with_history(books, 4)
    keep = replace(KEEP, days=3650)
    assert "purged 4 of message_keys" in await maintained(database, keep)
    await assert_right(database)


# Who may, and when.


async def test_one_at_a_time(books: Books, database: str) -> None:
    """While one process maintains, another one refuses."""
    assert await books.connection.fetchval("SELECT pg_try_advisory_lock(8583, 2)")
    with pytest.raises(MaintainError, match="another process maintains this database"):
        await maintained(database)


async def test_only_the_owner(books: Books, database: str) -> None:
    """A role that serves, and owns nothing, is told who may."""
    await by_hand.month(books, 4)
    await books.connection.execute(
        "CREATE ROLE server LOGIN;"
        " GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO server;"
        " GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO server"
    )
    try:
        with pytest.raises(MaintainError, match="run it as their owner"):
            await maintained(database.replace("user=switch", "user=server"))
    finally:
        await books.connection.execute("DROP OWNED BY server; DROP ROLE server")


async def test_the_command(books: Books, database: str) -> None:
    """It says what it did, a line each; without anything to do, nothing."""
    await with_history(books, 4)
    settings = {"database__url": as_setting(database)}
    words = ("maintain", "--keep-months", "3", "--keep-days", "60")
    said = await asyncio.to_thread(typed, *words, settings=settings)
    assert (0, "") == (said.exit_code, said.stderr)
    assert 2 == said.stdout.count("\ndetached ")
    again = await asyncio.to_thread(typed, *words, settings=settings)
    assert (0, "") == (again.exit_code, again.output)


def test_the_command_helps_with_an_example() -> None:
    """Help says what it does, and shows how it is typed."""
    said = typed("maintain", "--help")
    assert (0, "") == (said.exit_code, said.stderr)
    assert "switch maintain" in said.stdout.partition("Example: ")[2]


def test_the_command_refuses_in_one_line(raw_database: str) -> None:
    """A database that is behind is not maintained; less than two months are not kept."""
    settings = {"database__url": as_setting(raw_database)}
    for words in ((), ("--keep-months", "1"), ("--keep-days", "1")):
        said = typed("maintain", *words, settings=settings)
        assert (1, "") == (said.exit_code, said.stdout)
        assert said.stderr.startswith("switch: ")
        assert 1 == said.stderr.count("\n")
