"""What a trial needs of the live database: read in one snapshot, changed in nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import orjson

from switch.flows.calls import books, clue_of_rrn, clue_of_scheme
from switch.ledger.clearing_record import read_programs
from switch.ledger.queries import TRIAL
from switch.operate.trial.error import TrialError
from switch.operate.trial.rules_file import Rules
from switch.rules.holds import HoldRuleError, HoldRules

#: Accounts that are copied by one statement.
BATCH_ACCOUNTS = 1_000
#: Rows that a cursor brings at once.
_PREFETCH = 1_000
#: What is read to follow something from, or comes with a row, and is nobody's to keep twice.
_NOT_COPIED = ("key_token", "issuer_authentication")
#: What a week or a time zone may add to the month in which a period begins.
_WEEK, _DAY = timedelta(days=7), timedelta(days=1)

Progress = Callable[[int], None]
Change = Callable[[asyncpg.Record], tuple[Any, ...]]


class Period(NamedTuple):
    """What is played: from a moment until before another."""

    begin: datetime
    end: datetime

    @property
    def counted_from(self) -> datetime:
        """Since when a limit of a month or a week may have been counting when it begins."""
        month = self.begin.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return min(month, self.begin - _WEEK) - _DAY


class Recorded:
    """The live database, in one snapshot."""

    def __init__(self, live: asyncpg.Connection, period: Period) -> None:
        """The connection is within a transaction that reads."""
        self._live = live
        self._period = period

    async def check(self) -> None:
        """Raise `TrialError` where something that a trial needs has been taken away."""
        begin, counted_from = self._period.begin, self._period.counted_from
        gone = await self._live.fetchrow(TRIAL["gone"], begin, counted_from)
        if gone is not None:
            raise TrialError(
                f"{gone['table_name']} of before {gone['before']:%Y-%m-%d} are gone (`switch "
                "maintain`), and this period needs them: begin it later"
            )

    async def accounts(self, rules: Rules) -> list[asyncpg.Record]:
        """The accounts, each with its currency, on which something was asked in the period, and
        that have a card which the rules are for.

        Raises `TrialError` where the rules name a program or a card that there is not.
        """
        programs = None if rules.programs is None else await self.programs(rules.programs)
        if rules.cards is not None:
            unknown = await self._live.fetch(TRIAL["unknown_cards"], rules.cards)
            if unknown:
                raise TrialError(f"cards: there is no card {unknown[0]['number']}")
        return await self._live.fetch(
            TRIAL["accounts_with_requests"], *self._period, programs, rules.cards, rules.currency
        )

    async def programs(self, names: Sequence[str]) -> list[int]:
        """The numbers of card programs. Raises `TrialError` where there is not one of them."""
        rows = await self._live.fetch(TRIAL["programs"])
        numbers = {row["name"]: row["program_id"] for row in rows}
        if unknown := [name for name in names if name not in numbers]:
            raise TrialError(
                f"programs: there is no {unknown[0]!r}; there is {', '.join(sorted(numbers))}"
            )
        return [numbers[name] for name in names]

    async def copy(
        self, scratch: asyncpg.Connection, accounts: Sequence[int], progress: Progress
    ) -> None:
        """Bring what belongs to some accounts into the scratch database."""
        begin, end = self._period
        programs = await self._live.fetch(TRIAL["programs"])
        follows = Following(programs)
        await self._bring(scratch, "programs", TRIAL["programs"], ())
        for first in range(0, len(accounts), BATCH_ACCOUNTS):
            batch = accounts[first : first + BATCH_ACCOUNTS]
            for name, parameters in (
                ("accounts", (begin,)),
                ("cards", ()),
                ("limits", ()),
                ("limits_set", (begin,)),
                ("counted", (begin,)),
                ("used", (begin, self._period.counted_from)),
                ("marks", (begin, end)),
                ("presentments", (end,)),
                ("postings", (begin, end)),
                ("actions", (begin,)),
            ):
                await self._bring(scratch, f"trial_{name}", TRIAL[name], (batch, *parameters))
            await self._bring(
                scratch, "trial_rows", TRIAL["rows"], (batch, begin, end), follows=follows
            )
            progress(first + len(batch))

    async def _bring(
        self,
        scratch: asyncpg.Connection,
        table: str,
        statement: str,
        parameters: Sequence[Any],
        *,
        follows: Following | None = None,
    ) -> None:
        """Copy what a statement finds into a table, row by row: there may be more than fits."""
        prepared = await self._live.prepare(statement)
        names = [attribute.name for attribute in prepared.get_attributes()]
        kept = [name for name in names if name not in _NOT_COPIED]
        columns = [*kept, *(follows.columns if follows is not None else ())]

        async def rows() -> AsyncIterator[tuple[Any, ...]]:
            async for row in prepared.cursor(*parameters, prefetch=_PREFETCH):
                more = follows.values(row) if follows is not None else ()
                yield (*(row[name] for name in kept), *more)

        await scratch.copy_records_to_table(table, records=rows(), columns=columns)


class Following:
    """What a request asked that is not in its journal row, but follows from it: by its program,
    and by what its card's clues are made with.
    """

    columns = ("hold_seconds", "tolerance_percent", "books", "rrn_clue", "scheme_clue")

    def __init__(self, programs: Sequence[asyncpg.Record]) -> None:
        """Raises `TrialError` where a program's settings cannot be used."""
        self._holds: dict[int, HoldRules] = {}
        for row in programs:
            try:
                hours: Mapping[str, Any] = orjson.loads(row["settings"]).get("hold_hours", {})
                self._holds[row["program_id"]] = HoldRules.parse(hours)
            except HoldRuleError as error:
                raise TrialError(f"program {row['name']!r}: {error}") from None
        self._programs = read_programs(programs)

    def values(self, row: asyncpg.Record) -> tuple[Any, ...]:
        """The values of the columns."""
        token: bytes | None = row["key_token"]
        return (
            self._holds[row["program_id"]].seconds(row["mcc"]),
            self._programs[row["program_id"]].tolerance_percent,
            books(row["mti"], row["kind"]),
            clue_of_rrn(row["acquirer"], row["rrn"], token) if token else None,
            clue_of_scheme(row["scheme_transaction_id"], token) if token else None,
        )
