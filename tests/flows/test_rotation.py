"""A token key is exchanged: what was sent before is known again, and moves no money twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from keys.vault import Vault
from switch.ledger.clearing_record import ClearingRecord
from switch.wire.requests import Money
from tests.flows.day import Day, suspense
from tests.flows.later import advice, completion, later, repeat, reversal
from tests.flows.support import House, as_the_demo, open_house
from tests.ledger.presentments import clear, presentment
from tests.ledger.presentments import reversal as taken_back
from tests.ledger.rotating import BOTH, NEW, OLD, issue, rotate, stranger, vault
from tests.ledger.support import Books, ledger_on


@dataclass
class Street:
    """One ledger, and a house for every vault that stands over it."""

    books: Books
    house: Callable[[Vault], House]

    def day(self, account_id: int, pan: str, keys: Vault) -> Day:
        """A card as a switch with these keys sees it."""
        return Day(self.house(keys), account_id, pan, 100_000)


@pytest_asyncio.fixture
async def street(database: str, quick_path: Path) -> AsyncIterator[Street]:
    """A database of the test's own."""
    books = await Books.open(database)
    await as_the_demo(books)
    async with ledger_on(database, quick_path / "journal") as ledger:
        houses = {
            keys: await open_house(ledger, books, [], vault=keys) for keys in (OLD, BOTH, NEW)
        }
        yield Street(books, houses.__getitem__)
        assert [] == await books.wrong_balances()
    await books.connection.close()


@pytest_asyncio.fixture(params=[False, True], ids=["new card", "card of before"])
async def card(street: Street, request: pytest.FixtureRequest) -> tuple[int, str]:
    """A card under the old key."""
    return await issue(street.books, is_of_before=request.param)


@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_a_repeat_over_it(street: Street, card: tuple[int, str], mti: str) -> None:
    """It gets its original's answer and moves no money, half way, after it, and without the old."""
    before, half, after = (street.day(*card, keys) for keys in (OLD, BOTH, NEW))
    asked = before.asks(1_000, mti=mti)
    first = await before.send(asked)
    assert ("00", False) == (first.code, first.is_repeat)
    money = await before.money()

    async def is_known(day: Day) -> None:
        told = await day.send(repeat(asked))
        assert ("00", True, first.authorization_code) == (
            told.code, told.is_repeat, told.authorization_code,
        )  # fmt: skip
        assert money == await day.money()

    await is_known(half)
    await rotate(street.books)
    await is_known(half)
    await is_known(after)
    await rotate(street.books, vault(2, 3))
    assert ["14"] == await after.codes(repeat(asked))  # the third key is not there


async def test_a_reversal_after_it(street: Street, card: tuple[int, str]) -> None:
    """It finds its original by STAN and DE7, and gives all back; the original again is declined."""
    asked = await street.day(*card, OLD).approved(1_000)
    await rotate(street.books)
    after = street.day(*card, NEW)
    sent = reversal(asked, _37="000000000000")
    told = await after.send(sent)
    assert ("00", "reversed", (0, 0)) == (told.code, told.effect, await after.money())
    assert (await after.send(repeat(sent))).is_repeat
    assert ["05"] == await after.codes(repeat(asked))


async def test_a_reversal_before_its_original(street: Street, card: tuple[int, str]) -> None:
    """The mark that it left is found by the original that comes after the rotation."""
    before = street.day(*card, OLD)
    asked = before.asks(1_000)
    assert "remembered" == (await before.send(reversal(asked))).effect
    await rotate(street.books)
    after = street.day(*card, NEW)
    assert ["05"] == await after.codes(asked)
    assert (0, 0) == await after.money()


async def test_an_advice_before_its_request(street: Street, card: tuple[int, str]) -> None:
    """The clues of an advice, its RRN too, are found by the request that comes after it."""
    before = street.day(*card, OLD)
    by_trace, by_rrn = before.asks(1_000), before.asks(2_000)
    await before.send(advice(by_trace))
    sent = advice(by_rrn)
    await before.send(sent)
    await rotate(street.books)
    after = street.day(*card, NEW)
    assert "STIP01" == (await after.send(by_trace)).authorization_code
    assert "STIP01" == (await after.send(by_rrn)).authorization_code
    assert (await after.send(repeat(sent))).is_repeat
    assert (0, 3_000) == await after.money()


async def test_a_completion_after_it(street: Street, card: tuple[int, str]) -> None:
    """It closes the hold of before and posts once, however often it comes."""
    asked = await street.day(*card, OLD).approved(1_000)
    await rotate(street.books)
    after = street.day(*card, NEW)
    sent = completion(asked, 900, _37="000000000000")
    await after.send(sent)
    assert (await after.send(repeat(sent))).is_repeat
    assert (-900, 0) == await after.money()


async def test_a_closed_account(street: Street, card: tuple[int, str]) -> None:
    """What was booked in suspense for a card of ours is known there again, and taken back."""
    before = street.day(*card, OLD)
    await before.close_account()
    sent = later("0220", before.asks(1_000))
    assert "posted" == (await before.send(sent)).effect
    money = await suspense(before.house, "978")
    await rotate(street.books)
    after = street.day(*card, NEW)
    assert (await after.send(repeat(sent))).is_repeat
    assert money == await suspense(after.house, "978")
    assert "reversed" == (await after.send(reversal(sent))).effect
    assert 1_000 == (await suspense(after.house, "978")).posted - money.posted


async def test_a_card_that_is_not_ours(street: Street) -> None:
    """It is known by the oldest key that is live: the same while both are, whatever is rotated."""
    await issue(street.books)
    pan = stranger()
    before, half = street.day(0, pan, OLD), street.day(0, pan, BOTH)
    asked, sent = before.asks(1_000), later("0220", before.asks(1_000))
    assert ["14", "14"] == await before.codes(asked) + await half.codes(repeat(asked))
    assert "posted" == (await before.send(sent)).effect
    money = await suspense(half.house, "978")
    await rotate(street.books)
    assert (await half.send(repeat(sent))).is_repeat
    assert money == await suspense(half.house, "978")
    assert ["14"] == await half.codes(repeat(asked))
    assert 1 == await street.books.connection.fetchval("SELECT count(*) FROM refused")
    assert "reversed" == (await half.send(reversal(sent))).effect


async def test_history_is_not_touched(street: Street, card: tuple[int, str]) -> None:
    """No row of the journal, of message keys, holds, postings or marks changes."""
    before = street.day(*card, OLD)
    await before.approved(1_000)
    await before.approved(1_000, mti="0200")
    await before.send(reversal(before.asks(500)))

    async def history() -> dict[str, list[str]]:
        tables = ("authorizations", "message_keys", "holds", "postings", "early_marks", "accounts")
        return {
            table: [
                row[0]
                for row in await street.books.connection.fetch(
                    f"SELECT t::text FROM {table} AS t ORDER BY 1"
                )
            ]
            for table in tables
        }

    was = await history()
    assert all(was.values())
    await rotate(street.books)
    assert was == await history()


async def test_one_look_a_message(street: Street, card: tuple[int, str]) -> None:
    """With two live keys a card is still found by one statement."""
    day = street.day(*card, BOTH)
    await day.house.books.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    await street.books.connection.execute("SELECT pg_stat_statements_reset()")
    await day.approved(1_000)
    asked = await street.books.connection.fetchval(
        "SELECT sum(calls) FROM pg_stat_statements"
        " JOIN pg_database AS d ON d.oid = dbid AND d.datname = current_database()"
        " WHERE query LIKE '%find_cards_v4(%'"
    )
    assert 1 == asked


# Clearing.


async def test_a_clearing_record_over_it(street: Street, card: tuple[int, str]) -> None:
    """Again in another file it is a duplicate; its reversal finds it; so of a strange card."""
    account_id, pan = card
    other = stranger()

    def record_of(keys: Vault, of: str, reference: str) -> ClearingRecord:
        return presentment(
            OLD.pan_token(of), pan_tokens=tuple(keys.lookup_tokens(of)), reference=reference,
            transaction=Money(1_000, "978"),
        )  # fmt: skip

    ours, theirs, early = (
        (pan, "1" * 23), (other, "2" * 23), (pan, "3" * 23),
    )  # fmt: skip
    assert ["unmatched", "suspense", "remembered"] == await clear(
        street.books,
        record_of(OLD, *ours), record_of(OLD, *theirs), taken_back(record_of(OLD, *early)),
    )  # fmt: skip
    await rotate(street.books)
    assert ["duplicate", "duplicate"] == await clear(
        street.books, record_of(BOTH, *ours), record_of(BOTH, *theirs)
    )
    assert ["unmatched"] == await clear(street.books, record_of(NEW, *early))
    assert ["duplicate", "reversed"] == await clear(
        street.books, record_of(NEW, *ours), taken_back(record_of(NEW, *ours))
    )
    assert ["reversed"] == await clear(street.books, taken_back(record_of(BOTH, *theirs)))
    posted = "SELECT posted_minor FROM accounts WHERE account_id = ANY ($1) ORDER BY 1"
    rows = await street.books.connection.fetch(posted, [account_id, -1_978])
    assert [0, 100_000] == [row[0] for row in rows]
