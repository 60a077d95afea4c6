"""Slow commits without a hook in the product: a trigger that sleeps where money is held."""

from __future__ import annotations

from typing import TypeAlias

import asyncpg

from tests.traffic import CardInHand

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def make_slow(connection: Connection, seconds: dict[CardInHand, float]) -> None:
    """From now on each hold on these load cards' accounts takes so long, then commits."""
    naps = " ".join(f"WHEN {card.account_id} THEN {nap}" for card, nap in seconds.items())
    await connection.execute(
        f"""CREATE OR REPLACE FUNCTION sleep_before_hold() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN PERFORM pg_sleep(CASE NEW.account_id {naps} ELSE 0 END); RETURN NEW; END $$;
            CREATE OR REPLACE TRIGGER sleep_before_hold BEFORE INSERT ON holds
            FOR EACH ROW EXECUTE FUNCTION sleep_before_hold()"""
    )


async def make_quick(connection: Connection) -> None:
    """Holds are as quick as before; who sleeps is told to leave."""
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    )
    await connection.execute("DROP TRIGGER IF EXISTS sleep_before_hold ON holds")


async def is_slow(connection: Connection) -> bool:
    """Whether one of those decisions is being made."""
    napping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return bool(await connection.fetchval(napping))


async def hold_state(connection: Connection, rrn: str) -> str | None:
    """The state of the hold of a message; None where there is none."""
    state: str | None = await connection.fetchval(
        "SELECT state FROM authorizations JOIN holds USING (account_id, authorization_id) "
        "WHERE rrn = $1",
        rrn,
    )
    return state
