"""Purchases whose messages race over the links of two switches, of which one is killed."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.faults.crowd import HASTY, NOTHING, Came, Crowd, Purchase
from tests.faults.slow import Connection
from tests.faults.statement_points import broken_rules
from tests.faults.stories import DECIDED, EVERY, Story
from tests.process import Switch, eventually, running
from tests.traffic import CardInHand, add_load_cards, code, load_card

#: So few that they collide; each test has its own.
CARDS = 3
PURCHASES = 80
AT_ONCE = 12
#: Of what is sent when and over which link; what then happens is never the same.
SEED = 1
#: A link without patience: many decisions are too late for it, and taken back.
SECOND_LINK = {
    "links__1__name": HASTY, "links__1__listen": "127.0.0.1:0",
    "links__1__answer_within_ms": 60, "links__1__margin_ms": 40,
}  # fmt: skip

_CAME = """
WITH asked AS (
    SELECT account_id, authorization_id, rrn, standing_minor FROM authorizations
     WHERE rrn = ANY ($1)
)
SELECT z.rrn, sum(z.standing_minor)::bigint AS stands,
       sum((SELECT coalesce(sum(h.amount_minor), 0) FROM holds AS h
             WHERE h.account_id = z.account_id AND h.purchase_id = z.authorization_id
               AND h.state = 'open'))::bigint AS held,
       sum((SELECT coalesce(-sum(p.amount_minor), 0) FROM postings AS p
             WHERE p.account_id = z.account_id AND p.booking_id = z.authorization_id))::bigint
           AS posted
  FROM asked AS z GROUP BY z.rrn
"""
_POOR = """
WITH poor AS (
    UPDATE accounts SET posted_minor = $2 WHERE account_id = ANY ($1)
)
UPDATE postings SET amount_minor = $2 WHERE account_id = ANY ($1)
"""
_RECORDED = """
SELECT left(mti, 3) AS mti, stan, authorization_code FROM authorizations
 WHERE rrn = ANY ($1) AND reason IS NULL
"""


@pytest.fixture(scope="module")
def switches(quick_root: Path) -> Iterator[tuple[Switch, Switch]]:
    """Two switches with two links each, on the embedded Postgres of the first."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as one,
        tempfile.TemporaryDirectory(dir=quick_root) as other,
        running(Path(one), **SECOND_LINK) as first,
        running(Path(other), database__url=first.database_url, **SECOND_LINK) as second,
    ):
        add_load_cards(first.database_url, 4 * CARDS)
        yield first, second


@pytest.fixture
async def crowd(switches: tuple[Switch, Switch]) -> AsyncIterator[Crowd]:
    """Senders on every link."""
    crowd = Crowd(switches, SEED)
    await crowd.open()
    yield crowd
    await crowd.close()


@pytest.fixture
async def ledger(switches: tuple[Switch, Switch]) -> AsyncIterator[Connection]:
    """The test's own connection."""
    connection = await switches[0].connect()
    yield connection
    await connection.close()


async def live(crowd: Crowd, stories: Sequence[Story], cards: Sequence[CardInHand]) -> None:
    """Let purchases happen until it is enough, a few at once, each of its own story."""
    turns = itertools.cycle(stories)

    async def work() -> None:
        while not crowd.has_enough:
            story = next(turns)
            buying = Purchase(crowd, crowd.random.choice(cards), story.__name__)
            crowd.purchases.append(buying)
            await story(buying, crowd.random.randint(10, 300))

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def killed_meanwhile(crowd: Crowd, switch: Switch) -> None:
    """kill -9 one switch after some purchases and start it again; some more are enough."""
    await crowd.reaches(PURCHASES)
    switch.kill()
    await asyncio.to_thread(switch.start)
    await crowd.open()
    await crowd.reaches(len(crowd.purchases) + PURCHASES)
    crowd.has_enough = True


async def found(ledger: Connection, crowd: Crowd) -> Mapping[str, Came]:
    """What each purchase came to, by its RRN."""
    rows = await ledger.fetch(_CAME, [one.rrn for one in crowd.purchases])
    for row in rows:
        assert row["stands"] == row["held"] + abs(row["posted"]), row["rrn"]
    return {row["rrn"]: Came(row["held"], row["posted"]) for row in rows}


async def check(ledger: Connection, crowd: Crowd) -> None:
    """Every purchase came to what it must; every answer is right and is recorded."""

    async def wrong() -> list[str]:
        came = await found(ledger, crowd)
        return [
            f"{one}\n    came to {came.get(one.rrn, NOTHING)} and not to {one.came}"
            for one in crowd.purchases
            if one.came != came.get(one.rrn, NOTHING)
        ]

    async def is_settled() -> bool:  # what was answered 91 is taken back a little later
        return not await wrong()

    try:
        await eventually(is_settled)
    except AssertionError:
        pytest.fail("\n".join(await wrong()))
    recorded = {
        tuple(row) for row in await ledger.fetch(_RECORDED, [one.rrn for one in crowd.purchases])
    }
    for one in crowd.purchases:
        untrue = [*one.wrong_answers()]
        untrue += [f"{each} is not recorded" for each in one.approved() if each not in recorded]
        assert not untrue, f"{one}\n    {untrue}"


@pytest.mark.parametrize("killed", [0, 1], ids=["first killed", "second killed"])
async def test_every_purchase_comes_to_what_it_must(
    switches: tuple[Switch, Switch], crowd: Crowd, ledger: Connection, killed: int
) -> None:
    """Whatever races whatever, over two switches of which one is killed: money is right."""
    cards = [load_card(killed * CARDS + number) for number in range(CARDS)]
    await asyncio.gather(live(crowd, EVERY, cards), killed_meanwhile(crowd, switches[killed]))
    await check(ledger, crowd)
    assert [] == await broken_rules(switches[0].database_url)


async def test_decisions_never_overdraw(
    switches: tuple[Switch, Switch], crowd: Crowd, ledger: Connection
) -> None:
    """Little money on few accounts, and only what is decided: available is never below zero."""
    cards = [load_card(2 * CARDS + number) for number in range(CARDS)]
    accounts = [card.account_id for card in cards]
    await ledger.execute(_POOR, accounts, 2_000)
    await asyncio.gather(live(crowd, DECIDED, cards), killed_meanwhile(crowd, switches[1]))
    await check(ledger, crowd)
    assert [] == await broken_rules(switches[0].database_url)
    assert any(code(answer) == "51" for one in crowd.purchases for _, answer in one.answers)
    least = await ledger.fetchval(
        "SELECT least(min(z.available_minor), min(a.posted_minor - a.held_minor))"
        "  FROM accounts AS a JOIN authorizations AS z USING (account_id)"
        " WHERE account_id = ANY ($1)",
        accounts,
    )
    assert least >= 0
