"""Cards that a process keeps as it found them: what is old never decides."""

from __future__ import annotations

import asyncio
from dataclasses import astuple
from pathlib import Path

import pytest

from switch.ledger.kept_cards import KeptCards, card_of
from switch.ledger.ledger import Ledger
from switch.rules.card import Card
from tests.ledger.support import Books, ask, card_row, ledger_on, number, within
from tests.process import eventually
from tests.rules.support import CARD

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE, TWO, THREE = b"1" * 32, b"2" * 32, b"3" * 32

#: Every way in which a fact of a card that the rules know can change, by hand too. $1 is the number
#: of the account, of its card and of another card that has no token.
CHANGES = {
    "status": "UPDATE cards SET status = 'blocked' WHERE account_id = $1",
    "PIN": "UPDATE cards SET pin_reference = '19999' WHERE account_id = $1",
    "PIN method": "UPDATE cards SET pin_method = 'ibm3624' WHERE account_id = $1",
    "program": "UPDATE cards SET program_id = program_id WHERE account_id = $1",
    "account closed": "UPDATE accounts SET status = 'closed' WHERE account_id = $1",
    "currency": "UPDATE accounts SET currency = '840' WHERE account_id = $1",
    "plastic made": (
        "INSERT INTO plastics (account_id, card_id, sequence_number, expiry, service_code)"
        " VALUES ($1, $1, '07', '3112', '201')"
    ),
    "plastic stopped": "UPDATE plastics SET is_stopped = true WHERE account_id = $1",
    "plastic gone": "DELETE FROM plastics WHERE account_id = $1",
    "service code": "UPDATE plastics SET service_code = '999' WHERE account_id = $1",
    "token gone": "DELETE FROM pan_tokens WHERE account_id = $1",
    "another's token": "UPDATE pan_tokens SET card_id = card_id + 1 WHERE account_id = $1",
    "key of its clues": "UPDATE pan_tokens SET key_token = sha256('x') WHERE account_id = $1",
    "card gone": "DELETE FROM cards WHERE account_id = $1",
}
#: What changes without any of them.
NO_CHANGES = {
    "PIN tries": "UPDATE cards SET pin_tries = 2 WHERE account_id = $1",
    "controls": "UPDATE cards SET mcc_blocked = '{5411}' WHERE account_id = $1",
    "money": "UPDATE accounts SET held_minor = held_minor WHERE account_id = $1",
    "token under a new key": (
        "UPDATE pan_tokens SET pan_token = sha256(pan_token), token_version = 1,"
        " key_token = coalesce(key_token, pan_token) WHERE account_id = $1"
    ),
}


async def all_read(ledger: Ledger) -> None:
    """Wait until it has read the cards that it keeps."""

    async def is_done() -> bool:
        return ledger._reader.is_done

    await eventually(is_done, "reading cards")


async def known(books: Books) -> tuple[int, bytes]:
    """An account whose card has a token."""
    account_id, token = await books.account(), number().to_bytes(32)
    await books.connection.execute(
        "INSERT INTO pan_tokens (pan_token, token_version, account_id, card_id)"
        " VALUES ($1, 0, $2, $2)",
        token,
        account_id,
    )
    return account_id, token


async def found(books: Books, url: str, folder: Path) -> tuple[int, Card]:
    """The same, and its card as a ledger finds it."""
    account_id, token = await known(books)
    async with ledger_on(url, folder / "journal") as ledger:
        card = await ledger.find_card([token], within(20.0))
    assert card is not None
    return account_id, card


@pytest.mark.parametrize("change", CHANGES)
async def test_an_old_card_decides_nothing(
    change: str, shared_database: str, books: Books, tmp_path: Path
) -> None:
    """Whatever of a card has changed since it was found: nothing is decided, held or recorded."""
    account_id, card = await found(books, shared_database, tmp_path)
    await books.connection.execute(CHANGES[change], account_id)
    call = ask(account_id, card_version=card.version)
    assert "stale" == await books.reason(call)
    assert 0 == await books.held(account_id)
    recorded = "SELECT count(*) FROM authorizations WHERE account_id = $1"
    assert 0 == await books.connection.fetchval(recorded, account_id)


@pytest.mark.parametrize("change", NO_CHANGES)
async def test_what_is_no_fact_of_a_card(
    change: str, shared_database: str, books: Books, tmp_path: Path
) -> None:
    """What the ledger asks for itself, or what leaves a card as it is, makes nothing old."""
    account_id, card = await found(books, shared_database, tmp_path)
    await books.connection.execute(NO_CHANGES[change], account_id)
    assert "stale" != await books.reason(ask(account_id, card_version=card.version))


async def test_cards_are_read_from_the_start_on(
    shared_database: str, books: Books, tmp_path: Path
) -> None:
    """A ledger that has room for cards has them before anybody asked for one."""
    account_id, token = await known(books)
    async with ledger_on(shared_database, tmp_path / "journal", cards_kept=100_000) as ledger:
        async with asyncio.timeout(20):
            while (card := ledger.kept_card([token])) is None:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    assert account_id == card.account_id


def card(account_id: int) -> Card:
    """A card that differs from others by its account."""
    return Card(account_id, 1, 1, "active", "open", "978", None, None, 1, bytes(32), CARD.plastics)


async def test_who_was_not_asked_for_longest_goes() -> None:
    """There is room for so many; asking for one keeps it."""
    kept = KeptCards(2)
    kept.keep([ONE], card(1))
    kept.keep([TWO], card(2))
    assert card(1) == kept.get(ONE)
    kept.keep([THREE], card(3))
    assert (card(1), None, card(3)) == (kept.get(ONE), kept.get(TWO), kept.get(THREE))
    assert 2 == len(kept)
    assert not kept.has_room


async def test_what_was_found_last_is_kept() -> None:
    """One under another token of its PAN goes, and a card that is no longer there too."""
    kept = KeptCards(9)
    kept.keep([ONE], card(1))
    kept.keep([TWO, ONE], card(2))
    assert (None, card(2)) == (kept.get(ONE), kept.get(TWO))
    kept.keep([TWO, ONE], None)
    assert 0 == len(kept)


async def test_what_is_forgotten_goes_bit_by_bit() -> None:
    """Nothing that was forgotten is found again, and no more than so many are freed at once."""
    kept = KeptCards(9)
    for _ in range(2):
        for account_id in range(5):
            kept.keep([bytes([account_id]) * 32], card(account_id))
        kept.forget()
    assert (None, 0, True) == (kept.get(bytes(32)), len(kept), kept.has_room)
    kept.keep([ONE], card(1))
    assert [True, True, True, True, False] == [kept.let_go(3) for _ in range(5)]
    assert card(1) == kept.get(ONE)


async def test_columns_that_do_not_fit() -> None:
    """A card whose columns of plastics are not of one length is no card."""
    row = card_row(ONE)
    assert [("00", "3012", "201")] == [astuple(plastic) for plastic in card_of(row).plastics]
    with pytest.raises(ValueError, match="longer"):
        card_of((*row[:-1], ["201", "101"]))


async def test_none_are_kept() -> None:
    """With room for none, none is kept."""
    kept = KeptCards(0)
    kept.keep([ONE], card(1))
    assert (None, False) == (kept.get(ONE), kept.has_room)


async def test_reading_pushes_nothing_out(
    shared_database: str, books: Books, tmp_path: Path
) -> None:
    """Cards that are read from the start on take no place from one that the traffic asked for."""
    _, token = await known(books)
    await known(books)
    async with ledger_on(shared_database, tmp_path / "journal", cards_kept=1) as ledger:
        await ledger.find_card([token], within(20.0))
        await all_read(ledger)
        assert ledger.kept_card([token]) is not None


async def test_what_was_kept_of_another_database_is_forgotten(
    shared_database: str, books: Books, tmp_path: Path
) -> None:
    """A connection that comes back may be to a database made anew: what was kept is forgotten."""
    account_id, token = await known(books)
    async with ledger_on(shared_database, tmp_path / "journal", cards_kept=100_000) as ledger:
        await all_read(ledger)
        assert ledger.kept_card([token]) is not None
        await books.connection.execute("DELETE FROM pan_tokens WHERE account_id = $1", account_id)
        for lane in ledger._deciding:
            assert lane._connection is not None
            lane._connection.terminate()

        async def is_forgotten() -> bool:
            return ledger.kept_card([token]) is None

        await eventually(is_forgotten, "forgetting")
