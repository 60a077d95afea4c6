"""Three switch processes on one Postgres that is none of theirs: links are spread over them."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import asyncpg
import pytest

from tests.client import Client, all_of
from tests.conftest import TEMPLATE, PostgresServer
from tests.faults.crowd import Crowd, Door
from tests.faults.purchases import LIVES, repeat
from tests.faults.slow import Connection
from tests.faults.statement_points import books_of, broken_rules
from tests.faults.stories import EVERY
from tests.faults.test_life_crowd import check, live
from tests.process import Switch, as_setting, running
from tests.traffic import CardInHand, add_load_cards, code, load_card, purchase

CARDS = 60
CROWD_CARDS, PURCHASES, SEED = 6, 60, 3
#: They sign on and off, so that their peers know when to send no more.
SPEAKS = {"links__0__network_management": "on"}

_numbers = itertools.count(CROWD_CARDS)


@pytest.fixture(scope="module")
def database_url(migrated_server: PostgresServer) -> Iterator[str]:
    """A database of these tests, which outlives every switch."""
    for url in migrated_server.fresh(TEMPLATE):
        yield as_setting(url)


@pytest.fixture(scope="module")
def folders(quick_root: Path) -> Iterator[Sequence[Path]]:
    """A folder for each switch, also for one that comes later."""
    with ExitStack() as stack:
        yield [
            Path(stack.enter_context(tempfile.TemporaryDirectory(dir=quick_root))) for _ in range(4)
        ]


@pytest.fixture(scope="module")
def switches(database_url: str, folders: Sequence[Path]) -> Iterator[Sequence[Switch]]:
    """Three of them."""
    with ExitStack() as stack:
        three = [running(folder, database__url=database_url, **SPEAKS) for folder in folders[:3]]
        first = stack.enter_context(three[0])  # which loads the demo
        add_load_cards(database_url, CARDS)
        yield [first, *map(stack.enter_context, three[1:])]


@pytest.fixture
async def clients(switches: Sequence[Switch]) -> AsyncIterator[Sequence[Client]]:
    """A client of each."""
    clients = [await Door.connect(switch.port()) for switch in switches]
    yield clients
    for client in clients:
        await client.close()


@pytest.fixture
async def ledger(database_url: str) -> AsyncIterator[Connection]:
    """The test's own connection."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


def next_card() -> CardInHand:
    """A load card that no other test has."""
    return load_card(next(_numbers))


@pytest.mark.parametrize("name", LIVES)
async def test_a_life_over_three_switches(
    clients: Sequence[Client], ledger: Connection, name: str
) -> None:
    """Each message of a purchase on another process than the one before, and its repeats on the
    others: the same answers, and the same books as on one.
    """
    alone, spread = next_card(), next_card()
    told = [code(await clients[0].ask(message)) for message in LIVES[name](alone)]
    for turn, message in enumerate(LIVES[name](spread)):
        answer = await clients[turn % 3].ask(message)
        assert told[turn] == code(answer)
        for further in (1, 2):
            assert answer == await clients[(turn + further) % 3].ask(repeat(message))
    assert await books_of(ledger, alone.account_id) == await books_of(ledger, spread.account_id)


async def test_three_switches_never_overspend(
    clients: Sequence[Client], ledger: Connection
) -> None:
    """Of many purchases at once over all of them, an account of 10.00 pays ten of 1.00."""
    card = next_card()
    for table in ("accounts", "postings"):
        column = "posted_minor" if table == "accounts" else "amount_minor"
        await ledger.execute(
            f"UPDATE {table} SET {column} = 1000 WHERE account_id = $1", card.account_id
        )
    waiting = [clients[turn % 3].send(purchase(card, 100)) for turn in range(60)]
    codes = Counter(map(code, await all_of(waiting)))
    assert {"00", "51", "91"} >= codes.keys()
    assert codes["00"] <= 10
    # Where their turn never came some were answered 91: now it does.
    codes += Counter([code(await clients[0].ask(purchase(card, 100))) for _ in range(11)])
    assert 10 == codes["00"]


async def test_one_is_killed_one_drained_one_added(
    switches: Sequence[Switch],
    folders: Sequence[Path],
    database_url: str,
    ledger: Connection,
) -> None:
    """Under load: who was sent to a living process is answered; what the killed one left unanswered
    gets its one answer elsewhere; every purchase comes to what it must, and the books are right.
    """
    killed, drained, stays = switches
    added = Switch(folders[3], database__url=database_url, **SPEAKS)
    crowd = Crowd(switches, SEED, links=["demo"])
    await crowd.open()

    async def hard_times() -> None:
        await crowd.reaches(PURCHASES)
        killed.kill()
        await crowd.reaches(len(crowd.purchases) + PURCHASES)
        assert 0 == await asyncio.to_thread(drained.stop)
        await crowd.reaches(len(crowd.purchases) + PURCHASES)
        await asyncio.to_thread(added.start)
        await crowd.join(added)
        await crowd.reaches(len(crowd.purchases) + PURCHASES)
        crowd.has_enough = True

    cards = [load_card(number) for number in range(CROWD_CARDS)]
    try:
        await asyncio.gather(live(crowd, EVERY, cards), hard_times())
    finally:
        await crowd.close()
        added.end()
    assert {killed} >= {switch for switch, _ in crowd.unanswered}
    assert all(switch.lines("message") for switch in (killed, drained, stays, added))
    await check(ledger, crowd)
    assert [] == await broken_rules(database_url)
