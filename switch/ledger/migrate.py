"""
The database's schema, brought to what this version of the switch expects.

`migrations/NNNN_name.sql` are history: each runs once, in order of number, in
a transaction of its own, and is never edited afterwards. `functions/*.sql` are
the present: a file runs again whenever its text has changed. There is no way
back; a migration expands first and a later one contracts, so that the version
before still runs meanwhile.

The statements of this page keep the books of that, and so stand here and not
in a file of either folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from switch.ledger.primary import connect

MIGRATIONS = Path(__file__).parent / "migrations"
FUNCTIONS = Path(__file__).parent / "functions"

#: The advisory lock that one process at a time migrates under: "switch" in ASCII.
LOCK_KEY = int.from_bytes(b"switch", "big")

#: How long another process's migration is waited for.
TURN_LIMIT = "10min"

#: How long a migration's statement waits for a table. All traffic on the table queues behind
#: one that waits, so it gives up soon and changes nothing.
TABLE_LIMIT = "5s"

FILE_NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+")

BOOKS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS schema_functions (
    name       text        PRIMARY KEY,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
"""

HAS_BOOKS = "SELECT to_regclass('schema_migrations') IS NOT NULL"

APPLIED_MIGRATIONS = "SELECT number, name, checksum FROM schema_migrations ORDER BY number"

APPLIED_FUNCTIONS = "SELECT name, checksum FROM schema_functions"

RECORD_MIGRATION = "INSERT INTO schema_migrations (number, name, checksum) VALUES ($1, $2, $3)"

RECORD_FUNCTION = """
INSERT INTO schema_functions (name, checksum) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
"""


class MigrationError(Exception):
    """The schema cannot be brought up to date: one line that says why. It is as it was before."""


@dataclass(frozen=True, slots=True)
class Script:
    """One SQL file, as it stands in the source."""

    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Plan:
    """What is still to be run, in order."""

    migrations: tuple[tuple[int, Script], ...]
    functions: tuple[Script, ...]

    def names(self) -> list[str]:
        """As they are reported: `0001_begin`, `functions/authorize`."""
        return [
            *(script.name for _, script in self.migrations),
            *(f"functions/{script.name}" for script in self.functions),
        ]


async def migrate(
    url: str, *, migrations: Path = MIGRATIONS, functions: Path = FUNCTIONS
) -> list[str]:
    """Apply what is missing and return its names; nothing where nothing is.

    Processes that migrate at once take turns, so the connection must be to
    Postgres itself or to a pooler in session mode. Raises `MigrationError` where
    a script fails, where an applied migration's text was changed, where numbers
    are missing or given twice, and where the database is newer than we are.
    Where nothing is missing, the right to read the two tables of the books is enough.
    """
    ours = read_migrations(migrations)
    theirs = read_functions(functions)
    async with connected(url) as connection:
        await take_turn(connection)
        if not await connection.fetchval(HAS_BOOKS):
            await connection.execute(BOOKS)
        await refuse_other_history(connection, ours)
        plan = await make_plan(connection, ours, theirs)
        await connection.execute(f"SET lock_timeout = '{TABLE_LIMIT}'")
        for number, script in plan.migrations:
            async with connection.transaction():
                await run(connection, script)
                await connection.execute(RECORD_MIGRATION, number, script.name, script.checksum)
        async with connection.transaction():
            # They call each other, in whatever order their files stand.
            await connection.execute("SET LOCAL check_function_bodies = off")
            for script in plan.functions:
                await run(connection, script)
                await connection.execute(RECORD_FUNCTION, script.name, script.checksum)
        return plan.names()


async def pending(
    connection: asyncpg.Connection[asyncpg.Record],
    *,
    migrations: Path = MIGRATIONS,
    functions: Path = FUNCTIONS,
) -> list[str]:
    """Name what `migrate` would apply; changes nothing and takes no lock.

    Migrations of a newer version do not show here: while versions are
    exchanged, the older one runs on the newer one's schema.
    """
    ours, theirs = read_migrations(migrations), read_functions(functions)
    if not await connection.fetchval(HAS_BOOKS):
        return Plan(tuple(ours.items()), theirs).names()
    return (await make_plan(connection, ours, theirs)).names()


def read_migrations(folder: Path) -> dict[int, Script]:
    """The migrations of a folder by number: 1, 2, 3 and so on, each once."""
    scripts: dict[int, Script] = {}
    for script in read_functions(folder):
        name = FILE_NAME.fullmatch(script.name)
        if name is None:
            raise MigrationError(f"{script.name}.sql is not named like 0001_what_it_does.sql")
        number = int(name["number"])
        if number in scripts:
            raise MigrationError(f"{scripts[number].name} and {script.name} have the same number")
        if number != len(scripts) + 1:
            raise MigrationError(f"{script.name} comes where {len(scripts) + 1:04} is missing")
        scripts[number] = script
    return scripts


def read_functions(folder: Path) -> tuple[Script, ...]:
    """The SQL files of a folder, by name. Line ends are the same on every machine."""
    return tuple(
        Script(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql"))
    )


async def refuse_other_history(
    connection: asyncpg.Connection[asyncpg.Record], ours: dict[int, Script]
) -> None:
    """Raise `MigrationError` where what was applied is not the beginning of what we have."""
    for expected, row in enumerate(await connection.fetch(APPLIED_MIGRATIONS), start=1):
        number, name = row["number"], row["name"]
        if number not in ours:
            raise MigrationError(
                f"the database has {name}, which this version does not know: it was migrated by "
                "a newer version, run that"
            )
        if number != expected:
            raise MigrationError(f"the database has {name} but not number {expected:04}")
        if row["checksum"] != ours[number].checksum:
            raise MigrationError(
                f"{ours[number].name} was changed after it was applied: restore its text and put "
                "the change into a new migration"
            )


async def make_plan(
    connection: asyncpg.Connection[asyncpg.Record],
    migrations: dict[int, Script],
    functions: tuple[Script, ...],
) -> Plan:
    """Compare what was applied with what we have."""
    applied = {row["number"] for row in await connection.fetch(APPLIED_MIGRATIONS)}
    known = {row["name"]: row["checksum"] for row in await connection.fetch(APPLIED_FUNCTIONS)}
    return Plan(
        migrations=tuple((n, script) for n, script in migrations.items() if n not in applied),
        functions=tuple(
            script for script in functions if known.get(script.name) != script.checksum
        ),
    )


async def take_turn(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Be the one that migrates, until the connection closes, however long it takes."""
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(f"SET lock_timeout = '{TURN_LIMIT}'")
        await connection.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
    except asyncpg.LockNotAvailableError:
        raise MigrationError(f"another process has been migrating for {TURN_LIMIT}") from None


async def run(connection: asyncpg.Connection[asyncpg.Record], script: Script) -> None:
    """Run one file; raise `MigrationError` with the file's name where it fails."""
    try:
        await connection.execute(script.sql)
    except asyncpg.LockNotAvailableError:
        raise MigrationError(
            f"{script.name}: a table it needs was in use for {TABLE_LIMIT}, try again when there "
            "is less traffic"
        ) from None
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{script.name}: {described(error)}") from None


def described(error: asyncpg.PostgresError) -> str:
    """What went wrong, without the value that it went wrong with.

    A data exception (class 22) may quote a value in its message, anything else
    only in its DETAIL.
    """
    code = error.sqlstate or ""
    return type(error).__name__ if code.startswith("22") else f"{error.args[0]} ({code})"


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection of our own; one clear line where it cannot be had or is lost."""
    try:
        connection = await connect(url)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise MigrationError(f"no connection to the database: {reason}") from None
    try:
        yield connection
    except (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError):
        raise MigrationError("the connection to the database was lost: run it again") from None
    except asyncpg.PostgresError as error:
        raise MigrationError(f"the books of the migrations: {described(error)}") from None
    finally:
        await connection.close()
