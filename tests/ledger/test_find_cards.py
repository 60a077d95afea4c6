"""Finding a card by its token, with the plastics that it has."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from switch.ledger.lane import SESSION
from switch.ledger.queries import QUERIES
from switch.rules.card import Plastic
from tests.ledger.support import Books, ledger_on, within

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_card_has_its_plastics(shared_database: str, books: Books, tmp_path: Path) -> None:
    """The newest expiry comes first, of one expiry the one made last; stopped ones are left out."""
    account_id = await books.account(currency="840", card_status="blocked")
    token = await books.token(account_id)
    for expiry, sequence_number, is_stopped in (
        ("2611", "03", False),
        ("3012", "02", False),
        ("3012", "01", False),
        ("3101", "01", True),
    ):
        await books.plastic(
            account_id,
            account_id,
            expiry,
            sequence_number=sequence_number,
            service_code=f"2{sequence_number}",
            is_stopped=is_stopped,
        )
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        card = await ledger.find_card([token], within(20.0))
        nobody = await ledger.find_card([bytes(32)], within(20.0))
    assert nobody is None
    assert card is not None
    assert (account_id, account_id, "blocked", "open", "840", "visa_pvv", "10385") == (
        card.account_id, card.card_id, card.status, card.account_status, card.currency,
        card.pin_method, card.pin_reference,
    )  # fmt: skip
    assert card.plastics == (
        Plastic("01", "9912", "201"),
        Plastic("01", "3012", "201"),
        Plastic("02", "3012", "202"),
        Plastic("03", "2611", "203"),
    )


async def test_a_card_without_plastics_is_found(
    shared_database: str, books: Books, tmp_path: Path
) -> None:
    """A card whose plastics are all stopped is a card still: it has expired, it is not unknown."""
    account_id = await books.account()
    token = await books.token(account_id)
    await books.connection.execute(
        "UPDATE plastics SET is_stopped = true WHERE account_id = $1", account_id
    )
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        card = await ledger.find_card([token], within(20.0))
    assert card is not None
    assert () == card.plastics


async def test_the_plan_goes_by_the_keys(database: str) -> None:
    """A plan that was made while every table was empty finds each row by its key."""
    connection = await asyncpg.connect(database, server_settings=SESSION)
    try:
        await connection.execute(f"PREPARE found (bytea[]) AS {QUERIES['find_cards']}")
        plan = await connection.fetch("EXPLAIN (COSTS OFF) EXECUTE found ('{}')")
    finally:
        await connection.close()
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text
    assert "cards_pkey" in text or "cards_card_id" in text  # a card's number is its own, too
    for table in ("accounts", "plastics"):
        assert f"{table}_pkey" in text
    assert "(account_id = t.account_id) AND (card_id = t.card_id)" in text
