"""The rules that a schema distributed by account must keep, on one plain Postgres."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import asyncpg
import pytest

from switch.ledger.ledger import Ledger
from switch.ledger.queries import QUERIES
from switch.rules.decision import Approved
from tests.ledger.distributing import DISTRIBUTION, guarded
from tests.ledger.support import Books, ask, authorize, ledger_on, within
from tests.process import eventually

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

#: What a distributed ledger calls about one account, by the names of its statements.
CALLS = (
    "authorize_of", "book_of", "find_card_of", "unwind", "untold", "expire_holds_of",
    "settle_file_update", "stand_in",
)  # fmt: skip
CALL = re.compile(r"SELECT (?:\* FROM )?(\w+)\(\$1(?:, (?:\$\d+|to_timestamp\(\$\d+\)))*\)")
TABLES = """
    SELECT relname FROM pg_class
     WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
UNIQUE = """
    SELECT t.relname, i.relname, a.attname
      FROM pg_index AS x
      JOIN pg_class AS t ON t.oid = x.indrelid
      JOIN pg_class AS i ON i.oid = x.indexrelid
      JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = x.indkey[0]
     WHERE x.indisunique AND t.relname = ANY ($1::text[])
"""
TRIGGERS = """
    SELECT tgname FROM pg_trigger
     WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY ($1::text[])
"""
FOREIGN_KEYS = """
    SELECT conname FROM pg_constraint
     WHERE contype = 'f' AND conparentid = 0
       AND (conrelid::regclass::text = ANY ($1::text[])
            OR confrelid::regclass::text = ANY ($1::text[]))
"""
NUMBERED = """
    SELECT s.relname
      FROM pg_depend AS d
      JOIN pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
     WHERE d.refobjid::regclass::text = ANY ($1::text[]) AND d.deptype IN ('a', 'i')
     UNION
    SELECT s.relname
      FROM pg_attrdef AS f
      JOIN pg_depend AS d ON d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
      JOIN pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
     WHERE f.adrelid::regclass::text = ANY ($1::text[])
"""


async def test_every_table_has_its_place(books: Books) -> None:
    """A table moves with its accounts, is on every node, or stays with the coordinator: each is in
    one list of the file, and the file knows no other.
    """
    there = {row[0] for row in await books.connection.fetch(TABLES)}
    lists = DISTRIBUTION.distributed, DISTRIBUTION.reference, DISTRIBUTION.stays
    assert there == frozenset[str]().union(*lists)
    assert len(there) == sum(map(len, lists))


async def test_the_account_leads_every_key(books: Books) -> None:
    """Every primary key and unique index of a table that moves with an account begins with it;
    those that do not are dropped before.
    """
    rows = await books.connection.fetch(UNIQUE, list(DISTRIBUTION.distributed))
    # An event has a number and no unique key: events are appended, and nobody looks for one.
    assert {table for table, *_ in rows} == DISTRIBUTION.distributed - {"events"}
    others = {index for _, index, column in rows if column != "account_id"}
    assert others == DISTRIBUTION.indexes


async def test_nothing_hangs_on_the_tables(books: Books) -> None:
    """No foreign key leads to or from a table that is distributed, and none of its triggers, nor
    of a small table's, is left.
    """
    tables = list(DISTRIBUTION.distributed | DISTRIBUTION.reference)
    assert [] == await books.connection.fetch(FOREIGN_KEYS, tables)
    triggers = {row[0] for row in await books.connection.fetch(TRIGGERS, tables)}
    assert triggers == DISTRIBUTION.triggers


async def test_every_node_has_the_sequences_of_a_call(books: Books) -> None:
    """What a call takes numbers from is the default of a column that moves with it."""
    tables = list(DISTRIBUTION.distributed)
    numbered = {row[0] for row in await books.connection.fetch(NUMBERED, tables)}
    taken = await taken_by_calls(books, re.compile(r"nextval\('(\w+)'\)"))
    assert taken
    assert taken <= numbered | DISTRIBUTION.sequences


async def test_a_call_asks_tables_that_its_node_has(books: Books) -> None:
    """What a call names, or a function that it calls, is distributed or on every node: no table of
    the coordinator.
    """
    names = "|".join(sorted(DISTRIBUTION.stays))
    assert set() == await taken_by_calls(
        books, re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE) ({names})\b")
    )


async def taken_by_calls(books: Books, words: re.Pattern[str]) -> set[str]:
    """What the bodies of the calls, and of all that they call, say."""
    rows = await books.connection.fetch(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " AND prolang IN (SELECT oid FROM pg_language WHERE lanname IN ('sql', 'plpgsql'))"
    )
    bodies: dict[str, str] = {}
    for name, body in rows:
        bodies[name] = bodies.get(name, "") + re.sub(r"--.*", "", body)
    reached: set[str] = set()
    waiting = {call.partition("(")[0] for call in DISTRIBUTION.calls}
    while waiting:
        name = waiting.pop()
        reached.add(name)
        called = set(re.findall(r"\b(\w+)\(", bodies[name])) & bodies.keys()
        waiting |= called - reached
    return {word for name in reached for word in words.findall(bodies[name])}


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_is_one_statement_that_begins_with_its_account(
    books: Books, name: str
) -> None:
    """A call is one function, whose first argument is the account's number, and a node makes it."""
    call = CALL.fullmatch(bare(QUERIES[name]))
    assert call is not None, QUERIES[name]
    (signature,) = [one for one in DISTRIBUTION.calls if one.startswith(f"{call[1]}(")]
    (argument,) = await books.connection.fetch(
        "SELECT proargnames[1], proargtypes[0]::regtype::text, lanname FROM pg_proc AS p"
        "  JOIN pg_language AS l ON l.oid = p.prolang WHERE p.oid = $1::text::regprocedure",
        signature,
    )
    # One in SQL would be put in its call's place before anybody asks whose it is.
    assert ("p_account_id", "bigint", "plpgsql") == tuple(argument)


async def test_nodes_make_no_other_calls() -> None:
    """The file names the functions of these calls, and no other."""
    assert len(CALLS) == len(DISTRIBUTION.calls)


async def test_no_transaction_stands_around_a_call(
    books: Books, shared_database: str, tmp_path: Path
) -> None:
    """What a ledger sends, as the server counts it: the calls by account and what looks for them;
    no BEGIN, and none of the calls that take many accounts.
    """
    database = await books.connection.fetchval("SELECT current_database()")
    await books.connection.execute(
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements;"
        f"ALTER DATABASE {database} SET pg_stat_statements.track_utility = on"
    )
    token = await books.token(await books.account())
    account_id = await books.connection.fetchval(QUERIES["token_owners"], [token])
    crowd = [await books.account() for _ in range(9)]
    async with ledger_on(
        shared_database, tmp_path / "journal", one_account_per_call=True
    ) as ledger:
        await books.connection.execute("SELECT pg_stat_statements_reset()")
        card = await ledger.find_card([bytes(32), token], within(20.0))
        assert card is not None
        assert account_id == card.account_id
        assert await ledger.find_card([bytes(32)], within(20.0)) is None
        call = ask(account_id)
        assert isinstance(await authorize(ledger, call), Approved)
        answers = await asyncio.gather(*(authorize(ledger, ask(one)) for one in crowd * 3))
        assert all(isinstance(answer, Approved) for answer in answers)
        await ledger.take_back(call)
        await eventually(lambda: is_unwound(ledger))
    sent = {
        bare(row[0]): row[1]
        for row in await books.connection.fetch(
            "SELECT query, sum(calls)::int FROM pg_stat_statements AS s"
            "  JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE d.datname = $1"
            r"   AND (query ~ '_v[0-9]+\(' OR query ~* '^(begin|start|commit|set )')"
            " GROUP BY query",
            database,
        )
    }
    ours = {bare(QUERIES[name]) for name in CALLS}
    assert {} == {query: calls for query, calls in sent.items() if query not in ours}
    # More than one call of an account may be rounds of one statement; those of two are never.
    assert 10 <= sent[bare(QUERIES["authorize_of"])] <= 28


def bare(statement: str) -> str:
    """A statement without its sentence and its semicolon."""
    return re.sub(r"^--.*\n", "", statement, flags=re.MULTILINE).strip().removesuffix(";")


async def is_unwound(ledger: Ledger) -> bool:
    """Nothing waits to be taken back."""
    return ledger.unwinding == 0


async def test_a_call_reaches_rows_of_its_account_alone(database: str) -> None:
    """Unwinding, a lost answer, an expiry and a network's word; a decision for another account is
    refused. What decisions and bookings reach is tried by tests/life/test_by_account.py.
    """
    own = await Books.open(database)
    first, other = [await own.account() for _ in range(2)]
    calls = [ask(one) for one in (first, other, first, other)]
    await own.decide(*calls)
    await own.connection.execute("UPDATE holds SET expires_at = now()")
    guest = await asyncpg.connect(await guarded(own.connection, database))
    try:
        # Outside of such a call no account is there, and so nothing is decided.
        assert 0 == await guest.fetchval("SELECT count(*) FROM accounts")
        (decided,) = await guest.fetchval(QUERIES["authorize"], [(0, *ask(first))])
        assert "stale" == decided["outcome"]
        gone = calls[0]
        words = gone.account_id, gone.message_key, gone.authorization_code
        await guest.execute(QUERIES["untold"], *words)
        assert "unwound" == await guest.fetchval(QUERIES["unwind"], *words)
        assert 1 == await guest.fetchval(QUERIES["expire_holds_of"], first)
        assert 0 == await guest.fetchval(QUERIES["expire_holds_of"], first)
        assert not await guest.fetchval(
            QUERIES["settle_file_update"], first, 1, "000001", "1123120000", "accepted", "00"
        )
        with pytest.raises(asyncpg.RaiseError, match="of another account"):
            await guest.fetchval(QUERIES["authorize_of"], other, [(0, *ask(first))])
    finally:
        await guest.close()
    assert (0, 2_000) == (await own.held(first), await own.held(other))
    await own.connection.close()
