"""A trial tells, message by message, what a second real run by the changed rules tells."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from switch.operate.trial import Outcome, Period, Rules, scratch_database, try_rules
from tests.conftest import PostgresServer
from tests.life.steps import Send, Step, sequences
from tests.operate.trial.timed import (
    BALANCES,
    HOLDS,
    MESSAGES,
    PLAYED,
    USE,
    Later,
    Player,
    copy_of,
    do,
    house_on,
    make_worlds,
    now,
    prepare,
)

#: By which limits the second half of a story is decided.
NARROW: Mapping[str, Any] = {
    "limits": (
        {"scope": "all", "period": "day", "amount": "5.00", "count": 4},
        {"scope": "all", "period": "week", "amount": "12.00"},
        {"scope": "cash", "period": "day", "amount": "1.00"},
        {"scope": "purchase", "period": "month", "count": 9},
        {"scope": "all", "period": "transaction", "amount": "7.00"},
    )
}
SAME: Mapping[str, Any] = {}

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def timed(postgres_server: PostgresServer) -> Iterator[str]:
    """A migrated database with a clock that can be put forward, to copy."""
    for url in postgres_server.fresh("template0"):
        postgres_server.background.run(prepare(url))
        yield url


async def change(connection: asyncpg.Connection, rules: Rules) -> None:
    """Give every card the limits of some rules. What is not given stays."""
    await connection.executemany(
        "INSERT INTO limits AS l SELECT account_id, card_id, $1, $2, $3, $4 FROM cards"
        " ON CONFLICT (account_id, card_id, scope, period) DO UPDATE"
        "    SET amount_minor = coalesce(excluded.amount_minor, l.amount_minor),"
        "        count = coalesce(excluded.count, l.count)",
        [
            (one["scope"], one["period"], one["amount_minor"], one["count"])
            for one in rules.minor_limits(["978"])
        ],
    )


async def told(
    connection: asyncpg.Connection, accounts: Sequence[int], period: Period
) -> dict[str, set[tuple[Any, ...]]]:
    """What two ledgers must have in common of some accounts after a period."""
    messages = await connection.fetch(MESSAGES, accounts, *period)
    return {
        "messages": {tuple(row) for row in messages},
        "balances": {tuple(row) for row in await connection.fetch(BALANCES, accounts)},
        "holds": {tuple(row) for row in await connection.fetch(HOLDS, accounts)},
        "use": {tuple(row) for row in await connection.fetch(USE, accounts, period.begin)},
    }


class Stage:
    """Three ledgers: as it was, as it would have been, and the trial's."""

    def __init__(self, server: PostgresServer, timed: str, folder: Path) -> None:
        self.server, self.timed, self.folder = server, timed, folder

    async def run(
        self, before: Sequence[Sequence[Step]], after: Sequence[Sequence[Step]], rules: Rules
    ) -> tuple[Outcome, dict[str, Any]]:
        """Play before and after in one ledger; both in another, the second by other rules; and
        try these rules on what the first recorded. Gives the outcome, and where the last two
        ledgers differ.
        """
        copies: list[Iterator[str]] = []

        def database(of: Iterator[str]) -> str:
            copies.append(of)
            return next(of)

        try:
            first = database(copy_of(self.server, self.timed))
            async with house_on(first, self.folder) as house:
                worlds = await make_worlds(house, len(before))
            second = database(copy_of(self.server, first))
            scratch = database(self.server.fresh("template0"))
            async with house_on(first, self.folder) as house:
                players = [Player(house, world) for world in worlds]
                for player, steps in zip(players, before, strict=True):
                    await player.play(steps)
                begin = await now(house)
                done_before = [len(player.deeds) for player in players]
                for player, steps in zip(players, after, strict=True):
                    await player.play(steps)
                period = Period(begin, await now(house))

            async with house_on(second, self.folder) as house:
                for player, count in zip(players, done_before, strict=True):
                    for deed in player.deeds[:count]:
                        await do(house, deed)
                await change(house.books.connection, rules)
                real_period = Period(await now(house), _NEVER)
                for player, count in zip(players, done_before, strict=True):
                    for deed in player.deeds[count:]:
                        await do(house, deed)
                async with scratch_database(scratch) as playing:
                    outcome = await try_rules(first, playing, period, rules, examples=1_000)
                    accounts = [row[0] for row in await playing.fetch(PLAYED)]
                    tried = await told(playing, accounts, period)
                real = await told(house.books.connection, accounts, real_period)
            wrong = {
                what: (real[what] - tried[what], tried[what] - real[what])
                for what in real
                if real[what] != tried[what]
            }
            return outcome, wrong
        finally:
            for copy in copies[::-1]:
                for _ in copy:
                    pass


@pytest.fixture
def stage(postgres_server: PostgresServer, timed: str, quick_path: Path) -> Stage:
    return Stage(postgres_server, timed, quick_path)


#: What a record cannot tell of a request that was refused stands in tests of its own.
def _is_recorded(step: Step) -> bool:
    return not isinstance(step, Send) or not (step.addition or step.takes_less)


_LATER: st.SearchStrategy[Step] = st.builds(Later, days=st.sampled_from([0.2, 1.0, 2.0, 5.0, 9.0]))


@st.composite
def _stories(draw: Any, pieces: int) -> Sequence[Step]:
    """Some pieces of life, days apart."""
    steps: list[Step] = []
    for _ in range(pieces):
        steps += filter(_is_recorded, draw(sequences(2)))
        steps.append(draw(_LATER))
    return steps


_PAIRS = st.lists(st.tuples(_stories(2), _stories(3)), min_size=4, max_size=4)


@pytest.mark.parametrize("narrow", [NARROW, SAME], ids=["narrow", "same"])
def test_any_life(stage: Stage, narrow: Mapping[str, Any]) -> None:
    """Whatever messages came, over days: a trial of other limits is a real run by them."""
    rules = Rules.model_validate(narrow)

    @settings(
        deadline=None, derandomize=True, max_examples=2, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(pairs=_PAIRS)
    def tried(pairs: Sequence[tuple[Sequence[Step], Sequence[Step]]]) -> None:
        before, after = zip(*pairs, strict=True)
        outcome, wrong = asyncio.run(stage.run(before, after, rules))
        assert {} == wrong
        assert {"accounts_astray", "bookings_of_before"}.isdisjoint(
            row["what"] for row in outcome.beside
        )
        assert bool(narrow) is bool(outcome.others)

    tried()
