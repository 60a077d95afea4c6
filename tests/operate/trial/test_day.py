"""The demo's day on a real switch: what a trial tells of it, and what a second day then is."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import Result

from switch.ledger.queries import OPERATE
from tests.conftest import PostgresServer
from tests.process import Switch, as_setting, running
from tests.traffic import GOLDEN
from tests.typed import typed

SCENARIO = GOLDEN / "scenario.jsonl"

RULES = """
currency = "978"

[[limits]]
scope = "all"
period = "transaction"
amount = 79.99

[[limits]]
scope = "cash"
period = "day"
amount = 250.00

[[limits]]
scope = "purchase"
period = "day"
amount = 1600
count = 3

[controls]
block_channels = ["ecommerce"]
allow_mccs = ["7995"]
countries = "all"
"""
#: The same as operators set it: scope, period, amount and count.
LIMITS = [
    ("all", "transaction", 7_999, None),
    ("cash", "day", 25_000, None),
    ("purchase", "day", 160_000, 3),
]
CONTROLS: tuple[Any, ...] = (["ecommerce"], [], [], ["7995"], True, None)

ROWS = """
SELECT mti, stan, rrn, reason, partial_minor, available_minor FROM authorizations
 WHERE account_id > 0 AND account_id = ANY (ARRAY(SELECT account_id FROM accounts
                                                   WHERE currency = '978'))
"""
#: The tables of a database, and of each everything that a change of a row changes.
TABLES = "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 2200"
STATE = "SELECT md5(string_agg(t.ctid::text || t.xmin || t.xmax || t::text, ',')) FROM {} AS t"


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A running switch with the demo's cards. It publishes nothing: what changes while a trial runs
    is the trial's.
    """
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), events__sink="none") as started,
    ):
        yield started


@pytest.fixture
def rules_file(quick_path: Path) -> Path:
    path = quick_path / "rules.toml"
    path.write_text(RULES)
    return path


def settings_of(switch: Switch) -> Mapping[str, object]:
    return {"database__url": switch.database_url}


def day(switch: Switch) -> tuple[str, str]:
    """Play the day on new cards; when it began and ended."""
    assert 0 == typed("demo", "reset", settings=settings_of(switch)).exit_code
    return played(switch)


def played(switch: Switch) -> tuple[str, str]:
    begin = datetime.now(UTC).isoformat()
    typed("replay", str(SCENARIO), "--to", f"127.0.0.1:{switch.port()}")
    return begin, datetime.now(UTC).isoformat()


def try_(switch: Switch, file: Path, period: tuple[str, str], *words: str) -> Result:
    begin, end = period
    return typed(
        "rules",
        "try",
        str(file),
        "--from",
        begin,
        "--to",
        end,
        *words,
        settings=settings_of(switch),
    )


async def rows(url: str) -> list[tuple[Any, ...]]:
    """What was decided and booked, message by message."""
    connection = await asyncpg.connect(url)
    found = sorted(map(tuple, await connection.fetch(ROWS)), key=str)
    await connection.close()
    return found


async def everything(url: str) -> dict[str, str]:
    """A fingerprint of every table."""
    connection = await asyncpg.connect(url)
    tables = [row[0] for row in await connection.fetch(TABLES)]
    found = {table: await connection.fetchval(STATE.format(table)) for table in tables}
    await connection.close()
    return found


async def operate(url: str) -> None:
    """Set every card of the currency by what the operator's commands call."""
    connection = await asyncpg.connect(url)
    cards = await connection.fetch(
        "SELECT c.account_id, c.card_id FROM cards AS c JOIN accounts AS a USING (account_id)"
        " WHERE a.currency = '978'"
    )
    for card in cards:
        for limit in LIMITS:
            await connection.execute(OPERATE["set_limit"], "me", "trial", *card, *limit)
        await connection.execute(OPERATE["set_controls"], "me", "trial", *card, *CONTROLS)
    await connection.close()


def test_a_trial_is_a_second_day(
    switch: Switch, rules_file: Path, postgres_server: PostgresServer
) -> None:
    """Message by message: the reason and the balance that a real day by the rules gives; and the
    database that was asked is byte for byte what it was.
    """
    period = day(switch)
    before = asyncio.run(everything(switch.database_url))
    for scratch in postgres_server.fresh("template0"):
        words = ("--json", "--examples", "100", "--scratch", as_setting(scratch))
        said = try_(switch, rules_file, period, *words)
        assert 0 == said.exit_code, said.output
        tried = asyncio.run(rows(scratch))
    assert before == asyncio.run(everything(switch.database_url))

    typed("demo", "reset", settings=settings_of(switch))
    asyncio.run(operate(switch.database_url))
    played(switch)
    real = asyncio.run(rows(switch.database_url))
    assert real == tried

    told = json.loads(said.stdout)
    changed = {
        (row["was"], row["now"]): row["number"] for row in told["answers"] if row["is_other"]
    }
    assert {
        ("approved", "limit_amount"): 6, ("approved", "not_permitted"): 2,
        ("limit_amount", "approved"): 2, ("not_permitted", "approved"): 2,
        ("insufficient_funds", "approved"): 1, ("limit_count", "approved"): 1,
    } == changed  # fmt: skip
    completed = [{"number": 1, "currency": "978", "amount_minor": 6_235}]
    assert {"booked_all_the_same": completed} == told["beside"]
