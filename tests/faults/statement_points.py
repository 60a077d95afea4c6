"""Stops a transaction of the ledger between two of its statements, without a hook in the product.

A trigger on each table that messages write counts the rows that one transaction writes for an
account. At the number that was asked for it waits for an advisory lock that the test holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from switch.operate.audit import audit
from tests.faults.slow import Connection
from tests.process import eventually

TABLES = (
    "accounts", "authorizations", "message_keys", "holds", "postings", "limit_usage",
    "early_marks", "approvals_repeated",
)  # fmt: skip
#: The point after the last statement, before the commit.
COMMIT = "commit"
_LOCK = 4217

_INSTALL = f"""
CREATE TABLE statement_points (account_id bigint PRIMARY KEY, stop_at int);
CREATE TABLE statements_passed (account_id bigint, number int, what text);
CREATE FUNCTION statement_point() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    v_stop_at  int;
    v_number   int;
    v_what     text := CASE TG_ARGV[0] WHEN 'commit' THEN 'commit'
                                       ELSE lower(TG_OP) || ' ' || TG_ARGV[0] END;
BEGIN
    SELECT stop_at INTO v_stop_at FROM statement_points WHERE account_id = NEW.account_id;
    IF NOT FOUND OR (v_what = 'commit' AND current_setting('points.last', true) = 'commit') THEN
        RETURN NEW;
    END IF;
    v_number := coalesce(nullif(current_setting('points.number', true), ''), '0')::int + 1;
    PERFORM set_config('points.number', v_number::text, true),
            set_config('points.last', v_what, true);
    INSERT INTO statements_passed VALUES (NEW.account_id, v_number, v_what);
    IF v_number = v_stop_at THEN
        PERFORM pg_advisory_xact_lock_shared({_LOCK});
    END IF;
    RETURN NEW;
END
$$;
"""


async def install(connection: Connection) -> None:
    """Make the triggers; they let everything pass until an account is watched."""
    await connection.execute(_INSTALL)
    for table in TABLES:
        await connection.execute(
            f"CREATE TRIGGER statement_point BEFORE INSERT OR UPDATE ON {table}"
            f" FOR EACH ROW EXECUTE FUNCTION statement_point('{table}')"
        )
    for table in ("message_keys", "accounts"):  # of any transaction that does something
        await connection.execute(
            f"CREATE CONSTRAINT TRIGGER statement_point_commit AFTER INSERT OR UPDATE ON {table}"
            " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
            f" EXECUTE FUNCTION statement_point('{COMMIT}')"
        )


async def watch(connection: Connection, account_id: int, stop_at: int | None = None) -> None:
    """From now on count an account's statements; stop at the one with that number, from 1."""
    if stop_at is not None:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
    await connection.execute("INSERT INTO statement_points VALUES ($1, $2)", account_id, stop_at)


async def unwatch(connection: Connection, account_id: int) -> list[str]:
    """Let everything pass that comes from now on; the statements that were counted and committed.

    Who has stopped stays stopped.
    """
    await connection.execute("DELETE FROM statement_points WHERE account_id = $1", account_id)
    rows = await connection.fetch(
        "SELECT what FROM statements_passed WHERE account_id = $1 ORDER BY number", account_id
    )
    return [row["what"] for row in rows]


async def stopped(connection: Connection) -> int:
    """Wait until a transaction has stopped at its point; its backend's process id."""
    pids: list[Any] = []

    async def is_there() -> bool:
        pids[:] = await connection.fetch(
            "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted",
            _LOCK,
        )
        return bool(pids)

    await eventually(is_there, "a transaction that stops at its point")
    pid: int = pids[0]["pid"]
    return pid


async def let_go(connection: Connection) -> None:
    """Let who has stopped go on, and wait until it has committed."""
    await connection.execute("SELECT pg_advisory_unlock_all()")

    async def is_over() -> bool:
        held: int = await connection.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1", _LOCK
        )
        return held == 0

    await eventually(is_over, "the commit")


@dataclass(frozen=True)
class Books:
    """What a card's account came to, without the numbers that differ from card to card."""

    money: dict[str, Any]  #: balances, what is held, what is used of limits
    record: dict[str, Any]  #: the journal, holds of every state, postings, marks


async def books_of(connection: Connection, account_id: int) -> Books:
    """Read an account."""

    async def rows(statement: str) -> list[tuple[Any, ...]]:
        return sorted(map(tuple, await connection.fetch(statement, account_id)), key=repr)

    return Books(
        money={
            "balances": await rows(
                "SELECT posted_minor, held_minor FROM accounts WHERE account_id = $1"
            ),
            "held": await rows(
                "SELECT amount_minor FROM holds WHERE account_id = $1 AND state = 'open'"
            ),
            "use": await rows(
                "SELECT scope, period, amount_minor, count FROM limit_usage"
                " WHERE account_id = $1 AND (amount_minor, count) <> (0, 0)"
            ),
        },
        record={
            "journal": await rows(
                "SELECT left(mti, 3), reason, amount_minor, standing_minor,"
                " posted_minor, using_minor, reversed_at IS NULL, advised_at IS NULL"
                " FROM authorizations WHERE account_id = $1"
            ),
            "holds": await rows("SELECT amount_minor, state FROM holds WHERE account_id = $1"),
            "postings": await rows(
                "SELECT contra, amount_minor FROM postings WHERE account_id = $1"
            ),
            "marks": await rows("SELECT verdict FROM early_marks WHERE account_id = $1"),
            "keys": await rows("SELECT count(*) FROM message_keys WHERE account_id = $1"),
        },
    )


async def broken_rules(url: str) -> list[str]:
    """What an audit of all accounts finds wrong."""
    return [str(finding) for finding in await audit(url) if finding.wrong]
