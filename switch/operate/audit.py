"""
`switch audit`: whether the books are right, asked of a live database.

Accounts are looked at in batches. Everything that is compared about a batch is
read in one snapshot, in one read-only transaction, so that a decision which
commits meanwhile is seen whole or not at all; and no transaction is longer
than a batch takes. What the rules are stands in `ledger/audit.sql`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from switch.ledger.primary import connect
from switch.ledger.queries import AUDIT

#: The rules, in the order in which they are told.
RULES = (
    "posted",
    "held",
    "entries",
    "bookings",
    "decisions",
    "purchases",
    "undone",
    "uses",
    "usage",
    "keys",
    "expiry",
)
#: Accounts that are read in one snapshot. A batch touches most pages of a large journal, in which
#: an account's rows are scattered: ten times as many batches would read it ten times as often.
BATCH_ACCOUNTS = 20_000
#: How many of what is wrong a rule names.
NAMED_MOST = 20

#: Account numbers lie between these; those of suspense accounts are below zero.
_FIRST, _LAST = -(2**63), 2**63 - 1
#: A batch's own plan costs nothing beside it, and knows how few accounts it has.
_SESSION = {
    "default_transaction_read_only": "on",
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "0",
    "work_mem": "64MB",  # of what is compared of a batch less goes to disk
    "max_parallel_workers_per_gather": "0",  # one processor, beside those who decide
    "timezone": "UTC",
    "jit": "off",
    "application_name": "switch audit",
}

_STATEMENTS = {rule: AUDIT["found"].replace(":rule", AUDIT[rule]) for rule in RULES}


class AuditError(Exception):
    """The audit could not be made to its end: one line that says why."""


@dataclass(slots=True)
class Finding:
    """What one rule found."""

    rule: str
    says: str  #: the rule in words
    checked: int = 0
    wrong: int = 0
    named: list[str] = field(default_factory=list)  #: account/authorization, never a PAN

    def add(self, row: asyncpg.Record) -> None:
        """Take in what a batch gave."""
        self.checked += row["checked"]
        self.wrong += row["wrong"]
        self.named += row["named"][: NAMED_MOST - len(self.named)]

    def __str__(self) -> str:
        if not self.wrong:
            return f"ok      {self.rule:<10} {self.checked:>12,}"
        more = self.wrong - len(self.named)
        names = ", ".join(self.named) + (f" and {more:,} more" if more else "")
        told = f"{self.wrong:,} wrong: {names} — {self.says}"
        return f"BROKEN  {self.rule:<10} {self.checked:>12,}  {told}"


async def audit(
    url: str,
    *,
    batch: int = BATCH_ACCOUNTS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Sequence[Finding]:
    """Ask every rule about every account; `progress` is told how many of how many are done.

    Raises `AuditError` where the database does not answer to the end.
    """
    try:
        connection = await connect(url, server_settings=_SESSION)
        try:
            return await _all_batches(connection, batch, progress)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AuditError(f"the database does not answer the audit: {reason}") from None


async def _all_batches(
    connection: asyncpg.Connection, batch: int, progress: Callable[[int, int], None]
) -> Sequence[Finding]:
    findings = [Finding(rule, _sentence(AUDIT[rule])) for rule in RULES]
    accounts = await connection.fetchval(AUDIT["accounts"])
    done, after = 0, _FIRST
    while after < _LAST:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(AUDIT["hold_still"])
            ((last, count),) = await connection.fetch(AUDIT["batch"], after, batch)
            if count < batch:  # the end: also what hangs on accounts that do not exist
                last = _LAST
            for finding in findings:
                statement = _STATEMENTS[finding.rule]
                (row,) = await connection.fetch(statement, after, last, NAMED_MOST)
                finding.add(row)
        done, after = done + count, last
        progress(done, max(done, accounts))
    return findings


def _sentence(statement: str) -> str:
    """The first line of a statement, which is a comment."""
    return statement.partition("\n")[0].removeprefix("-- ")
