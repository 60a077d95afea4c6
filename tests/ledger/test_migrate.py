"""Migrations: once each, in order, all or nothing, by one process at a time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from switch.ledger.migrate import LOCK_KEY, MigrationError, migrate, pending

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

FUNCTION = "CREATE OR REPLACE FUNCTION answer() RETURNS int LANGUAGE sql AS 'SELECT {}';"


class Source:
    """The two folders of a version of the switch, written by a test."""

    def __init__(self, root: Path) -> None:
        self.migrations = root / "migrations"
        self.functions = root / "functions"
        self.migrations.mkdir()
        self.functions.mkdir()

    def migration(self, name: str, sql: str) -> None:
        (self.migrations / f"{name}.sql").write_text(sql)

    def function(self, name: str, sql: str) -> None:
        (self.functions / f"{name}.sql").write_text(sql)

    async def migrate(self, url: str) -> list[str]:
        return await migrate(url, migrations=self.migrations, functions=self.functions)

    async def pending(self, connection: Connection) -> list[str]:
        return await pending(connection, migrations=self.migrations, functions=self.functions)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Two migrations and a function."""
    source = Source(tmp_path)
    source.migration("0001_accounts", "CREATE TABLE accounts (id int); CREATE TABLE cards (id int)")
    source.migration("0002_held", "ALTER TABLE accounts ADD held_minor bigint;")
    source.function("answer", FUNCTION.format(1))
    return source


@pytest_asyncio.fixture
async def connection(raw_database: str) -> AsyncIterator[Connection]:
    """A connection to the empty database."""
    connection = await asyncpg.connect(raw_database)
    yield connection
    await connection.close()


async def tables(connection: Connection) -> set[str]:
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_twice(source: Source, raw_database: str) -> None:
    """What is missing is applied in order, and a second time nothing is missing."""
    assert ["0001_accounts", "0002_held", "functions/answer"] == await source.migrate(raw_database)
    assert [] == await source.migrate(raw_database)


async def test_pending(source: Source, raw_database: str, connection: Connection) -> None:
    """What is pending is what the next migrate applies."""
    assert ["0001_accounts", "0002_held", "functions/answer"] == await source.pending(connection)
    await source.migrate(raw_database)
    assert [] == await source.pending(connection)
    source.migration("0003_more", "CREATE TABLE more (id int);")
    source.function("answer", FUNCTION.format(2))
    assert ["0003_more", "functions/answer"] == await source.pending(connection)
    assert ["0003_more", "functions/answer"] == await source.migrate(raw_database)


async def test_pending_of_an_older_version(
    source: Source, raw_database: str, connection: Connection
) -> None:
    """Nothing is pending for a version whose database was migrated by a newer one."""
    await source.migrate(raw_database)
    (source.migrations / "0002_held.sql").unlink()
    assert [] == await source.pending(connection)


async def test_function_replaced(source: Source, raw_database: str, connection: Connection) -> None:
    """A function's file runs again when its text has changed, and only then."""
    source.function("other", FUNCTION.format(5).replace("answer", "other"))
    await source.migrate(raw_database)
    source.function("answer", FUNCTION.format(2))
    assert ["functions/answer"] == await source.migrate(raw_database)
    assert 2 == await connection.fetchval("SELECT answer()")


async def test_two_at_once(source: Source, raw_database: str) -> None:
    """Of two processes that migrate at once, one applies everything and the other nothing."""
    source.migration("0003_slow", "SELECT pg_sleep(0.3); CREATE TABLE slow (id int);")
    script = (
        "import asyncio, sys; from pathlib import Path; from switch.ledger.migrate import migrate; "
        "print(len(asyncio.run(migrate(sys.argv[1], "
        "migrations=Path(sys.argv[2]), functions=Path(sys.argv[3])))))"
    )
    words = [
        *(sys.executable, "-c", script, raw_database),
        *(str(source.migrations), str(source.functions)),
    ]
    both = [
        await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    said = [(await process.communicate())[0].strip() for process in both]
    assert [b"0", b"4"] == sorted(said)


async def test_waits_its_turn(
    source: Source, raw_database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that never gets its turn says so and changes nothing."""
    monkeypatch.setattr("switch.ledger.migrate.TURN_LIMIT", "50ms")
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    with pytest.raises(MigrationError, match="another process has been migrating for 50ms"):
        await source.migrate(raw_database)
    assert set() == await tables(connection)


async def test_changed_checksum(source: Source, raw_database: str) -> None:
    """A migration that was edited after it was applied is refused."""
    await source.migrate(raw_database)
    source.migration("0001_accounts", "CREATE TABLE accounts (id bigint);")
    with pytest.raises(MigrationError, match="0001_accounts was changed after it was applied"):
        await source.migrate(raw_database)


async def test_line_ends(source: Source, raw_database: str) -> None:
    """A checkout with other line ends is the same migration."""
    source.migration("0003_lines", "SELECT 1;\nSELECT 2;\n")
    await source.migrate(raw_database)
    (source.migrations / "0003_lines.sql").write_bytes(b"SELECT 1;\r\nSELECT 2;\r\n")
    assert [] == await source.migrate(raw_database)


async def test_newer_database(source: Source, raw_database: str) -> None:
    """A database that is newer than the code is refused."""
    await source.migrate(raw_database)
    (source.migrations / "0002_held.sql").unlink()
    with pytest.raises(MigrationError, match="0002_held, which this version does not know"):
        await source.migrate(raw_database)


async def test_hole_in_the_database(
    source: Source, raw_database: str, connection: Connection
) -> None:
    """A database from which an applied migration was struck out is refused."""
    await source.migrate(raw_database)
    await connection.execute("DELETE FROM schema_migrations WHERE number = 1")
    with pytest.raises(MigrationError, match="has 0002_held but not number 0001"):
        await source.migrate(raw_database)


@pytest.mark.parametrize(
    ("name",        "refusal"),
    [
        ("0004_far",  "0004_far comes where 0003 is missing"),
        ("0002_copy", "0002_copy and 0002_held have the same number"),
        ("0000_zero", "0000_zero comes where 0001 is missing"),
        ("3_short",   "3_short.sql is not named like 0001_what_it_does.sql"),
    ],
)  # fmt: skip
async def test_numbers(
    source: Source, raw_database: str, connection: Connection, name: str, refusal: str
) -> None:
    """A number that is missing, given twice or not a number is refused before anything runs."""
    source.migration(name, "CREATE TABLE never (id int);")
    with pytest.raises(MigrationError) as raised:
        await source.migrate(raw_database)
    assert refusal == str(raised.value)
    assert set() == await tables(connection)


async def test_failing_migration(source: Source, raw_database: str, connection: Connection) -> None:
    """A migration that fails leaves nothing of itself behind, and what came before it stays."""
    source.migration("0003_half", "CREATE TABLE half (id int); ALTER TABLE nowhere ADD x int;")
    source.migration("0004_after", "CREATE TABLE after (id int);")
    with pytest.raises(MigrationError, match=r"^0003_half: relation \"nowhere\" does not exist"):
        await source.migrate(raw_database)
    assert {"accounts", "cards"} == await tables(connection) - {
        "schema_migrations",
        "schema_functions",
    }
    assert ["0003_half", "0004_after", "functions/answer"] == await source.pending(connection)
    source.migration("0003_half", "CREATE TABLE half (id int);")
    assert ["0003_half", "0004_after", "functions/answer"] == await source.migrate(raw_database)


async def test_failing_function(source: Source, raw_database: str, connection: Connection) -> None:
    """When one function fails, none is replaced."""
    await source.migrate(raw_database)
    source.function("answer", FUNCTION.format(2))
    source.function("broken", "CREATE OR REPLACE FUNCTION broken() RETURNS int AS 'not sql';")
    with pytest.raises(MigrationError, match=r"^broken: "):
        await source.migrate(raw_database)
    assert 1 == await connection.fetchval("SELECT answer()")


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO accounts (id) SELECT '4111111111111111'::int;",
        "CREATE UNIQUE INDEX u ON cards (id); INSERT INTO cards VALUES (4111111), (4111111);",
    ],
)
async def test_no_value_in_an_error(source: Source, raw_database: str, sql: str) -> None:
    """A migration's error names what failed, never the value that it failed on."""
    source.migration("0003_data", sql)
    with pytest.raises(MigrationError) as raised:
        await source.migrate(raw_database)
    assert "4111" not in str(raised.value)
    assert raised.value.__cause__ is None


async def test_table_in_use(
    source: Source, raw_database: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration does not make traffic queue behind it for a table in use: it gives up."""
    await source.migrate(raw_database)
    monkeypatch.setattr("switch.ledger.migrate.TABLE_LIMIT", "50ms")
    source.migration("0003_more", "ALTER TABLE accounts ADD more int;")
    async with connection.transaction():
        await connection.execute("LOCK TABLE accounts IN SHARE MODE")
        with pytest.raises(MigrationError, match="0003_more: a table it needs was in use for 50ms"):
            await source.migrate(raw_database)
    assert ["0003_more"] == await source.migrate(raw_database)


async def test_a_role_that_may_only_read(
    source: Source, raw_database: str, connection: Connection
) -> None:
    """A role without the right to migrate gets one line, and where nothing is missing, nothing."""
    reader = raw_database.replace("user=switch", "user=reader")
    await connection.execute("CREATE ROLE reader LOGIN")
    try:
        with pytest.raises(MigrationError, match="permission denied for schema public"):
            await source.migrate(reader)
        await source.migrate(raw_database)
        await connection.execute("GRANT SELECT ON schema_migrations, schema_functions TO reader")
        assert [] == await source.migrate(reader)
    finally:
        await connection.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_no_database(source: Source, tmp_path: Path) -> None:
    """Without a database there is one clear line."""
    with pytest.raises(MigrationError, match=r"^no connection to the database: "):
        await source.migrate(f"postgresql:///switch?host={tmp_path}&user=switch")


async def test_the_real_ones(database: str) -> None:
    """The switch's own migrations and functions apply, and then nothing is pending."""
    connection = await asyncpg.connect(database)
    try:
        assert [] == await pending(connection)
        assert 0 < await connection.fetchval("SELECT count(*) FROM schema_migrations")
    finally:
        await connection.close()
    assert [] == await migrate(database)
