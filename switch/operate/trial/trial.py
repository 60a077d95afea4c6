"""
`switch rules try`: what a period would have been under other limits and controls.

The recorded messages go through the ledger's own functions once more, in their order, each at its
moment, in a scratch database that was set back to when the period began. So what is told is what
the same SQL decides; there is no second model of it. docs/rules.md says what is taken from the
record and what cannot be known.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import asyncpg
import orjson

from switch.ledger.operators import OperatorRefusal
from switch.ledger.primary import connect
from switch.ledger.queries import AUDIT, TRIAL
from switch.operate.trial.copying import Period, Recorded
from switch.operate.trial.error import TrialError
from switch.operate.trial.rules_file import Rules

#: Things that happen in one transaction of the scratch database.
PLAY_AT_ONCE = 200

_SESSION = {
    "default_transaction_read_only": "on",
    "plan_cache_mode": "force_custom_plan",
    "statement_timeout": "0",
    "timezone": "UTC",
    "jit": "off",
    "application_name": "switch rules try",
}

#: Told what is being done with which things, how many of them are done, and how many there are.
Progress = Callable[[str, str, int, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a trial."""

    period: Period
    accounts: int  #: that had a request in the period, and a card that the rules are for
    answers: Sequence[asyncpg.Record]  #: was, now, currency, is_other, number, amount_minor
    examples: Sequence[asyncpg.Record]  #: the first that would have been answered otherwise
    beside: Sequence[asyncpg.Record]  #: what, number, currency, amount_minor

    @property
    def requests(self) -> int:
        """How many requests were played."""
        return sum(row["number"] for row in self.answers)

    @property
    def others(self) -> int:
        """How many of them would have been answered otherwise."""
        return sum(row["number"] for row in self.answers if row["is_other"])


async def try_rules(
    url: str,
    scratch: asyncpg.Connection,
    period: Period,
    rules: Rules,
    *,
    examples: int,
    progress: Progress = lambda *_: None,
) -> Outcome:
    """Play a period of the live database in the scratch one by other rules.

    Raises `TrialError` where the rules do not fit it, where rows that are needed are gone, or
    where it does not answer to the end.
    """
    async with _reading(url) as live:
        recorded = Recorded(live, period)
        await recorded.check()
        found = await recorded.accounts(rules)
        accounts = [row["account_id"] for row in found]
        limits = rules.minor_limits(sorted({row["currency"] for row in found}))
        await recorded.copy(
            scratch, accounts, lambda done: progress("copying", "accounts", done, len(accounts))
        )
        programs = None if rules.programs is None else await recorded.programs(rules.programs)
    told = {
        "programs": programs,
        "cards": rules.cards,
        "limits": limits,
        "controls": rules.controls.as_stored() if rules.controls else None,
    }
    await scratch.execute(TRIAL["take_rules"], orjson.dumps(told).decode())
    await _play(scratch, period, progress)
    return Outcome(
        period,
        len(accounts),
        answers=await scratch.fetch(TRIAL["outcome"]),
        examples=await scratch.fetch(TRIAL["examples"], examples),
        beside=await scratch.fetch(TRIAL["beside"]),
    )


async def _play(scratch: asyncpg.Connection, period: Period, progress: Progress) -> None:
    """Let everything happen again, and hold it beside what was recorded."""
    things = await scratch.fetchval(TRIAL["prepare"], *period)
    last = 0
    while last < things:
        last = await scratch.fetchval(TRIAL["play"], period.begin, last, PLAY_AT_ONCE)
        progress("playing", "things that happened", last, things)
    await scratch.execute(TRIAL["compare"], period.begin)


@contextlib.asynccontextmanager
async def _reading(url: str) -> AsyncIterator[asyncpg.Connection]:
    """One snapshot of the live database, in a transaction that can only read."""
    try:
        live = await connect(url, server_settings=_SESSION)
        try:
            async with live.transaction(isolation="repeatable_read", readonly=True):
                await live.execute(AUDIT["hold_still"])
                yield live
        finally:
            await live.close()
    except OperatorRefusal as error:
        raise TrialError(str(error)) from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # Of another kind of error the text may have the URL, password and all.
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise TrialError(f"the database does not answer: {reason}") from None
