"""Loads the demo into a ledger: programs, accounts with opening postings, cards under the vault."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

import asyncpg
import orjson

from keys.software.key import Key
from keys.vault import Vault
from switch.demo.program import (
    PROGRAM_ID,
    DemoAccount,
    DemoCard,
    DemoProgram,
    load_cards,
    read_program,
)
from switch.ledger.queries import QUERIES


class DemoError(Exception):
    """The demo cannot be loaded: says why in one line."""


#: Cards that one COPY carries.
CHUNK = 5_000


async def is_empty(connection: asyncpg.Connection) -> bool:
    """Whether the ledger has no card program."""
    return bool(await connection.fetchval(QUERIES["is_empty"]))


async def reset(connection: asyncpg.Connection, vault: Vault) -> int:
    """Forget everything and load the demo's 22 cards. Gives how many.

    Raises `DemoError` where there is a program that is not the demo's.
    """
    demo = read_program()
    program = demo.program
    others = await connection.fetchval(QUERIES["other_programs"], program["name"])
    if others:
        raise DemoError(f"the database has card programs of its own ({others}): it is left alone")
    await connection.execute(QUERIES["renumber_events"])
    async with connection.transaction():
        await connection.execute(QUERIES["empty_everything"])
        await _load(connection, vault, demo)
    await connection.execute(QUERIES["analyze"])
    return len(demo.cards)


async def load(connection: asyncpg.Connection, vault: Vault) -> None:
    """Load the demo's cards into a ledger without programs, and forget nothing: operators may
    have worked there already, with keys above all.
    """
    await connection.execute(QUERIES["renumber_events"])
    async with connection.transaction():
        await _load(connection, vault, read_program())
    await connection.execute(QUERIES["analyze"])


async def _load(connection: asyncpg.Connection, vault: Vault, demo: DemoProgram) -> None:
    program = demo.program
    await connection.execute(
        QUERIES["add_program"],
        PROGRAM_ID,
        program["name"],
        program["currency"],
        program["pin_tries_max"],
        program["time_zone"],
        program["week_starts"],
        orjson.dumps(program["settings"]).decode(),
    )
    await _add(connection, vault, demo.accounts, demo.cards)


async def add_load_cards(
    connection: asyncpg.Connection,
    vault: Vault,
    pvk: Key,
    count: int,
    *,
    progress: Callable[[int], None],
) -> int:
    """Add so many load cards after those that are there. Gives the number of the first."""
    first: int = await connection.fetchval(QUERIES["load_cards_there"])
    made = load_cards(first, count, pvk)
    async with connection.transaction():
        done = 0
        while chunk := list(itertools.islice(made, CHUNK)):
            accounts, cards = zip(*chunk, strict=True)
            await _add(connection, vault, accounts, cards)
            done += len(chunk)
            progress(done)
    await connection.execute(QUERIES["analyze"])
    return first


async def _add(
    connection: asyncpg.Connection,
    vault: Vault,
    accounts: Iterable[DemoAccount],
    cards: Iterable[DemoCard],
) -> None:
    accounts, cards = tuple(accounts), tuple(cards)
    await connection.copy_records_to_table(
        "accounts",
        columns=("account_id", "reference", "program_id", "currency", "credit_limit_minor"),
        records=[
            (a.account_id, a.reference, PROGRAM_ID, a.currency, a.credit_limit_minor)
            for a in accounts
        ],
    )
    await connection.execute(
        QUERIES["open_accounts"],
        [a.account_id for a in accounts],
        [a.posted_minor for a in accounts],
    )
    tokens = [vault.pan_token(card.pan) for card in cards]
    await connection.copy_records_to_table(
        "cards",
        columns=(
            "account_id", "card_id", "program_id", "pan_ciphertext", "pan_last_four", "status",
            "pin_method", "pin_reference", "pin_tries", "channels_blocked", "mcc_blocked",
            "countries_allowed",
        ),
        records=[
            (
                c.account_id, c.card_id, PROGRAM_ID, vault.seal(c.pan, context=token), c.pan[-4:],
                c.status, c.pin_method, c.pin_reference, c.pin_tries, c.channels_blocked,
                c.mcc_blocked, c.countries_allowed,
            )
            for c, token in zip(cards, tokens, strict=True)
        ],
    )  # fmt: skip
    await connection.copy_records_to_table(
        "plastics",
        columns=("account_id", "card_id", "sequence_number", "expiry", "service_code"),
        records=[
            (c.account_id, c.card_id, c.sequence_number, c.expiry, c.service_code) for c in cards
        ],
    )
    await connection.copy_records_to_table(
        "pan_tokens",
        columns=("pan_token", "token_version", "account_id", "card_id"),
        records=[
            (token, vault.token_version, c.account_id, c.card_id)
            for c, token in zip(cards, tokens, strict=True)
        ],
    )
    await connection.executemany(
        QUERIES["add_limit"],
        [
            (
                c.account_id,
                c.card_id,
                limit["scope"],
                limit["period"],
                limit.get("amount_minor"),
                limit.get("count"),
            )
            for c in cards
            for limit in c.limits
        ],
    )
    await connection.execute(QUERIES["tell_opened"], [a.account_id for a in accounts])
