"""Loading the demo into a ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from keys.vault import LocalDataKeys, Vault
from switch.demo import loader
from switch.ledger.queries import QUERIES
from tests.faults.slow import Connection
from tests.traffic import KEYS, PLAIN, load_card

VAULT = Vault(LocalDataKeys(KEYS["pan_token"], KEYS["pan_data"]))


@pytest.fixture
async def ledger(database: str) -> AsyncIterator[Connection]:
    """A connection to a migrated, empty database."""
    connection = await asyncpg.connect(database)
    await connection.execute(QUERIES["make_partitions"], 0)
    yield connection
    await connection.close()


async def count(ledger: Connection, table: str) -> int:
    """The rows of a table."""
    rows: int = await ledger.fetchval(f"SELECT count(*) FROM {table}")
    return rows


async def test_the_demo_fills_an_empty_ledger(ledger: Connection) -> None:
    """22 cards of one plastic each on 21 accounts, whose opening balances are postings."""
    assert await loader.is_empty(ledger)
    assert 22 == await loader.reset(ledger, VAULT)
    assert not await loader.is_empty(ledger)
    assert (22, 22, 22, 21) == (
        await count(ledger, "cards"),
        await count(ledger, "plastics"),
        await count(ledger, "pan_tokens"),
        await count(ledger, "accounts"),
    )
    assert [] == await ledger.fetch(QUERIES["audit"])
    assert 100_000 == await ledger.fetchval(
        "SELECT sum(amount_minor)::bigint FROM postings WHERE account_id = 1 AND contra = 'opening'"
    )


async def test_a_first_load_forgets_nothing(ledger: Connection) -> None:
    """What operators did before there was a card, with keys above all, stays on record."""
    await ledger.execute(
        "INSERT INTO operator_actions (operator, reason, action) VALUES ('a', 'b', 'import_key')"
    )
    await loader.load(ledger, VAULT)
    assert 22 == await count(ledger, "cards")
    assert 1 == await count(ledger, "operator_actions")


async def test_a_reset_forgets_all_that_was(ledger: Connection) -> None:
    """Whatever stood in the ledger before, it has the demo's cards alone afterwards."""
    await loader.reset(ledger, VAULT)
    await loader.add_load_cards(ledger, VAULT, KEYS["pvk"], 3, progress=lambda _: None)
    await ledger.execute("UPDATE cards SET pin_tries = 2; UPDATE accounts SET held_minor = 5")
    await loader.reset(ledger, VAULT)
    assert (22, 22) == (await count(ledger, "cards"), await count(ledger, "plastics"))
    assert 0 == await ledger.fetchval("SELECT sum(held_minor) FROM accounts")
    assert 5 == await ledger.fetchval("SELECT sum(pin_tries) FROM cards")  # the demo's own
    assert [] == await ledger.fetch(QUERIES["audit"])


async def test_load_cards_follow_those_that_are_there(ledger: Connection) -> None:
    """Added twice, load cards go on after the last; progress tells how many are done."""
    await loader.reset(ledger, VAULT)
    told: list[int] = []
    add = [
        await loader.add_load_cards(ledger, VAULT, KEYS["pvk"], number, progress=told.append)
        for number in (3, 4)
    ]
    assert ([0, 3], [3, 4]) == (add, told)
    accounts = await ledger.fetch(
        "SELECT account_id FROM accounts WHERE reference LIKE 'load-%' ORDER BY 1"
    )
    assert [load_card(number).account_id for number in range(7)] == [row[0] for row in accounts]
    plastics = await ledger.fetch(
        "SELECT sequence_number, expiry, service_code FROM plastics WHERE account_id = ANY ($1)",
        [row[0] for row in accounts],
    )
    card = load_card(0)
    own = (card.pan_sequence_number, card.expiry, card.service_code)
    assert [own] * 7 == [tuple(row) for row in plastics]


async def test_a_pan_stands_in_no_table(ledger: Connection) -> None:
    """Cards have a token and a ciphertext that opens under the same token alone."""
    await loader.reset(ledger, VAULT)
    row = await ledger.fetchrow(
        """SELECT pan_token, pan_ciphertext, pan_last_four
             FROM cards JOIN pan_tokens USING (account_id, card_id) WHERE card_id = 1"""
    )
    assert row is not None
    assert (VAULT.pan_token(PLAIN.pan), PLAIN.pan[-4:]) == (row["pan_token"], row["pan_last_four"])
    assert PLAIN.pan == VAULT.open(row["pan_ciphertext"], context=row["pan_token"])
    text = await ledger.fetchval("SELECT string_agg(c::text, '') FROM cards AS c")
    assert PLAIN.pan not in text
    assert PLAIN.pan.encode().hex() not in text
