"""A trial tells, message by message, what a second real run by the changed rules comes to."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest

from switch.operate.trial import Outcome, Period, Rules, scratch_database, try_rules
from tests.conftest import PostgresServer
from tests.life.steps import CREDIT_SLOT, Again, Send, Step, Unwind
from tests.operate.trial.timed import (
    COMPARED,
    Deed,
    Player,
    copy_of,
    do,
    house_on,
    make_worlds,
    now,
    prepare,
)

#: How many worlds of three cards live beside each other, and what happens to each in a chapter.
WORLDS, STEPS = 3, 10

#: How many lives are tried; many more by hand, with TRIALS=100.
TRIALS = int(os.environ.get("TRIALS", "2"))

#: By which limits the second half of a life is decided; those of before are never reached.
NARROW: Mapping[str, Any] = {
    "limits": (
        {"scope": "all", "period": "day", "amount": "5.00", "count": 4},
        {"scope": "all", "period": "week", "amount": "9.00"},
        {"scope": "cash", "period": "day", "amount": "1.00"},
        {"scope": "purchase", "period": "month", "count": 9},
        {"scope": "all", "period": "transaction", "amount": "7.00"},
    )
}
SAME: Mapping[str, Any] = {}

_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


class Chapter(NamedTuple):
    """What happens in each world, and how many days later the next begins."""

    steps: Sequence[Sequence[Step]]
    days: float


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
    return {
        what: {tuple(row) for row in await connection.fetch(statement, accounts, *period)}
        for what, statement in COMPARED.items()
    }


async def tell(players: Sequence[Player], chapters: Sequence[Chapter]) -> None:
    """Let chapters happen."""
    for chapter in chapters:
        for player, steps in zip(players, chapter.steps, strict=True):
            await player.play(steps)
        await players[0].do(Deed(days=chapter.days))


async def lived(
    server: PostgresServer,
    timed: str,
    folder: Path,
    before: Sequence[Chapter],
    after: Sequence[Chapter],
    rules: Rules,
) -> tuple[Outcome, dict[str, Any]]:
    """Let before and after happen in one ledger; both in another, the second by other rules; and
    try these rules on what the first recorded. Gives the outcome, and in what the last two differ.
    """
    with contextlib.ExitStack() as databases:

        def new(of: Iterator[str]) -> str:
            url = next(of)
            databases.callback(next, of, None)
            return url

        first = new(copy_of(server, timed))
        async with house_on(first, folder) as house:
            worlds = await make_worlds(house, WORLDS)
        second = new(copy_of(server, first))

        deeds: list[Deed] = []
        async with house_on(first, folder) as house:
            players = [Player(house, world, deeds) for world in worlds]
            await tell(players, before)
            begin, done = await now(house), len(deeds)
            await tell(players, after)
            period = Period(begin, await now(house))

        async with house_on(second, folder) as house:
            for deed in deeds[:done]:
                await do(house, deed)
            await change(house.books.connection, rules)
            since = Period(await now(house), _NEVER)
            for deed in deeds[done:]:
                await do(house, deed)

            async with scratch_database(new(server.fresh("template0"))) as playing:
                outcome = await try_rules(first, playing, period, rules, examples=0)
                accounts = [
                    row[0] for row in await playing.fetch("SELECT account_id FROM accounts")
                ]
                tried = await told(playing, accounts, period)
            real = await told(house.books.connection, accounts, since)
        return outcome, {
            what: {"real": real[what] - tried[what], "tried": tried[what] - real[what]}
            for what in real
            if real[what] != tried[what]
        }


def any_step(chance: random.Random, number: int) -> Step:
    """A message, its repeat or its unwinding. A record does not tell what a terminal takes in part,
    nor what an increment would have added to that was refused: that stands in tests of its own.
    """
    pick = chance.choice
    card, slot = pick([0, 0, 1, 1, 2]), pick([0, 0, 1, 1, 2, 3])
    what = pick(["request"] * 5 + ["advice"] + ["completion"] * 3 + ["reversal"] * 2 + ["rest"])
    if what == "rest":
        kind = pick([Again, Unwind])
        return kind(mti=pick(["0100", "0200"]), card=card, slot=slot)
    how: dict[str, Any] = {
        "card": card,
        "slot": slot,
        "number": number,
        "amount": pick([50, 100, 101, 200, 300, 333, 700]),
        "kind": pick(["purchase"] * 3 + ["cash", "cashback"]) if slot < CREDIT_SLOT else "refund",
        "is_billed": chance.random() < 0.8,
        "has_rrn": chance.random() < 0.8,
        "has_scheme_id": chance.random() < 0.4,
    }
    earlier = chance.randrange(max(0, number - 3), number + 1)
    match what:
        case "request":
            return Send(mti=pick(["0100", "0100", "0200"]), **how)
        case "advice":
            return Send(mti="0120", has_code=True, response=pick(["00", "00", "05"]), **how)
        case "completion":
            named = pick([None, ("0100", earlier), ("0100", earlier), ("0200", earlier)])
            final = chance.random() < 0.7
            return Send(
                mti="0220", names=named, has_code=pick([True, False]), is_final=final, **how
            )
    named = pick([None, ("0100", earlier), ("0200", earlier), ("0120", earlier), ("0220", earlier)])
    return Send(mti=pick(["0400", "0420"]), names=named, keep=pick([None, None, 0, 40]), **how)


def any_chapter(chance: random.Random, place: int) -> Chapter:
    """What happens in a chapter. In a world no STAN comes twice, but for repeats."""
    numbers = range(place * STEPS, (place + 1) * STEPS)
    return Chapter(
        steps=[[any_step(chance, number) for number in numbers] for _ in range(WORLDS)],
        days=chance.choice([0.2, 0.2, 1.0, 2.0, 5.0]),
    )


@pytest.mark.parametrize("seed", range(1, TRIALS + 1))
async def test_any_life(
    postgres_server: PostgresServer, timed: str, quick_path: Path, seed: int
) -> None:
    """Whatever messages came, over days: a trial of other limits is a real run by them, and one of
    none tells no difference.
    """
    chance = random.Random(seed)
    changed = NARROW if seed % 2 else SAME
    chapters = [any_chapter(chance, place) for place in range(5)]
    rules = Rules.model_validate(changed)
    outcome, wrong = await lived(
        postgres_server, timed, quick_path, chapters[:2], chapters[2:], rules
    )
    assert {} == wrong
    assert {"accounts_astray", "bookings_of_before"}.isdisjoint(
        row["what"] for row in outcome.beside
    )
    assert outcome.requests > WORLDS * STEPS / 2
    assert outcome.others > outcome.requests / 20 if changed else 0 == outcome.others
