"""Adds the accounts or cards of a file: all of them in one transaction, or none."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from switch.ledger.operators import Actor, Plastic, SealedPan, refusing
from switch.ledger.queries import IMPORT, QUERIES

#: Problems that are told one by one; more are counted.
PROBLEMS_MAX = 100
#: Rows that one COPY carries.
CHUNK = 5_000
#: From this many rows on the planner is told of them at once.
ANALYZE_FROM = 1_000

Progress = Callable[[int], None]


class LineProblem(NamedTuple):
    """What is wrong in one place of a file, without the value."""

    line: int
    field: str
    problem: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field}: {self.problem}"


@dataclass(slots=True)
class Problems:
    """What is wrong with a file: the first of it, and how much there is."""

    shown: list[LineProblem] = field(default_factory=list)
    of_all: int = 0

    def add(self, line: int, column: str, problem: str) -> None:
        """Note one more."""
        self.of_all += 1
        if len(self.shown) < PROBLEMS_MAX:
            self.shown.append(LineProblem(line, column, problem))


class FileRefused(Exception):
    """Nothing of a file was imported: the first of its problems, and how many there are."""

    def __init__(self, problems: Problems) -> None:
        super().__init__(f"{problems.of_all} problems: nothing is imported")
        self.problems = problems


@dataclass(frozen=True, slots=True)
class ImportedAccount:
    """One line of a file of accounts, in minor units."""

    line: int
    reference: str
    program: str
    currency: str
    opening_minor: int
    credit_limit_minor: int


@dataclass(frozen=True, slots=True)
class ImportedCard:
    """One line of a file of cards."""

    line: int
    reference: str  #: of its account
    pan: SealedPan
    plastic: Plastic
    status: str
    pin_method: str | None
    pin_reference: str | None = field(repr=False)


async def import_accounts(
    connection: asyncpg.Connection, actor: Actor, file_name: str,
    accounts: Sequence[ImportedAccount], problems: Problems, *, progress: Progress,
) -> None:  # fmt: skip
    """Open all accounts, with their opening postings.

    `problems` are those that reading the file found. With them, or with what
    the database finds, it raises `FileRefused`; else it may `OperatorRefusal`.
    """
    columns = ("line", "reference", "program", "currency", "opening_minor", "credit_limit_minor")
    records = [tuple(getattr(one, name) for name in columns) for one in accounts]
    with refusing():
        async with connection.transaction():
            await _carry(connection, "accounts", columns, records, progress)
            await _check(connection, "accounts", problems)
            await connection.execute(IMPORT["add_accounts"])
            await connection.execute(IMPORT["post_openings"], actor.reason)
            await connection.execute(IMPORT["record_accounts"], *actor, file_name)
            await connection.execute(IMPORT["tell_accounts"])
        await _tell_planner(connection, len(records))


async def import_cards(
    connection: asyncpg.Connection, actor: Actor, file_name: str,
    cards: Sequence[ImportedCard], problems: Problems, *, progress: Progress,
) -> None:  # fmt: skip
    """Add all cards to their accounts. Raises as `import_accounts` does."""
    columns = (
        "line", "reference", "pan_tokens", "token_version", "pan_ciphertext", "pan_last_four",
        "expiry", "service_code", "sequence_number", "status", "pin_method", "pin_reference",
    )  # fmt: skip
    records = [
        (
            c.line, c.reference, list(c.pan.tokens), c.pan.token_version, c.pan.ciphertext,
            c.pan.last_four, c.plastic.expiry, c.plastic.service_code, c.plastic.sequence_number,
            c.status, c.pin_method, c.pin_reference,
        )
        for c in cards
    ]  # fmt: skip
    with refusing():
        async with connection.transaction():
            await _carry(connection, "cards", columns, records, progress)
            await _check(connection, "cards", problems)
            for name in ("add_tokens", "add_cards", "add_plastics"):
                await connection.execute(IMPORT[name])
            await connection.execute(IMPORT["record_cards"], *actor, file_name)
            await connection.execute(IMPORT["tell_cards"])
        await _tell_planner(connection, len(records))


async def _carry(
    connection: asyncpg.Connection, what: str, columns: Sequence[str],
    records: Sequence[tuple[Any, ...]], progress: Progress,
) -> None:  # fmt: skip
    await connection.execute(IMPORT[f"{what}_table"])
    for first in range(0, len(records), CHUNK):
        chunk = records[first : first + CHUNK]
        await connection.copy_records_to_table(f"imported_{what}", columns=columns, records=chunk)
        progress(first + len(chunk))
    await connection.execute(IMPORT[f"{what}_ready"])


async def _check(connection: asyncpg.Connection, what: str, problems: Problems) -> None:
    rows = await connection.fetch(IMPORT[f"{what}_problems"], PROBLEMS_MAX)
    found = [LineProblem(row["line"], row["field"], row["problem"]) for row in rows]
    of_all = problems.of_all + (rows[0]["of_all"] if rows else 0)
    if of_all:
        raise FileRefused(Problems(sorted(problems.shown + found)[:PROBLEMS_MAX], of_all))


async def _tell_planner(connection: asyncpg.Connection, count: int) -> None:
    """What was imported is committed: a failure here is no failure of the import."""
    if count >= ANALYZE_FROM:
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.execute(QUERIES["analyze"])
