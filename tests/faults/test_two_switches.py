"""Two switch processes on one database, each with a journal of its own."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from switch.ledger.queries import QUERIES
from tests.client import Client, all_of, connected
from tests.process import Switch, command, running
from tests.traffic import change, code, demo_card, purchase


@pytest.fixture(scope="module")
def switches(quick_root: Path) -> Iterator[tuple[Switch, Switch]]:
    """Two switches on the embedded Postgres of the first."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as one,
        tempfile.TemporaryDirectory(dir=quick_root) as other,
        running(Path(one)) as first,
        running(Path(other), database__url=first.database_url) as second,
    ):
        yield first, second


@pytest.fixture
async def clients(switches: tuple[Switch, Switch]) -> AsyncIterator[tuple[Client, Client]]:
    """A client of each."""
    one, other = (switch.port() for switch in switches)
    async with connected(one) as first, connected(other) as second:
        yield first, second


async def held(switches: tuple[Switch, Switch], reference: str) -> int:
    """What an account holds, after a look at every balance."""
    connection = await switches[0].connect()
    try:
        assert [] == await connection.fetch(QUERIES["audit"])
        minor: int = await connection.fetchval(
            "SELECT held_minor FROM accounts WHERE reference = $1", reference
        )
        return minor
    finally:
        await connection.close()


async def test_two_switches_never_overspend_an_account(
    clients: tuple[Client, Client], switches: tuple[Switch, Switch]
) -> None:
    """Of many purchases at once through both, an account of 10.00 pays ten of 1.00."""
    card = demo_card("low balance")
    waiting = [clients[turn % 2].send(purchase(card, 100)) for turn in range(60)]
    codes = Counter(map(code, await all_of(waiting)))
    assert {"00", "51", "91"} >= codes.keys()
    assert codes["00"] <= 10
    # Where their turn never came some were answered 91: now it does.
    codes += Counter([code(await clients[0].ask(purchase(card, 100))) for _ in range(11)])
    assert 10 == codes["00"]
    assert 1000 == await held(switches, "acc-0000002")


async def test_two_switches_never_overspend_a_limit(
    clients: tuple[Client, Client], switches: tuple[Switch, Switch]
) -> None:
    """Of many purchases at once through both, a card of three a day makes three."""
    card = demo_card("small limits: 50.00 a transaction, 100.00 a day, 3 a day")
    waiting = [clients[turn % 2].send(purchase(card, 100)) for turn in range(30)]
    codes = Counter(map(code, await all_of(waiting)))
    assert {"00", "65", "91"} >= codes.keys()
    assert codes["00"] <= 3
    codes += Counter([code(await clients[0].ask(purchase(card, 100))) for _ in range(4)])
    assert 3 == codes["00"]
    assert 300 == await held(switches, "acc-0000015")


async def test_a_repeat_on_the_other_switch_gets_the_same_answer(
    clients: tuple[Client, Client], switches: tuple[Switch, Switch]
) -> None:
    """A repeat that comes to another process, later or at once, is the same message."""
    card = demo_card("credit card: 500.00 owed, limit 2000.00")
    first, second = clients
    asked = purchase(card, 1000)
    answer = await first.ask(asked)
    assert "00" == code(answer)
    assert answer == await second.ask(change(asked, mti="0101"))

    for _ in range(20):
        asked = purchase(card, 1000)
        one, other = await all_of([first.send(asked), second.send(asked)])
        assert "00" == code(one)
        assert one == other
    assert 21 * 1000 == await held(switches, "acc-0000009")


def test_two_switches_cannot_share_a_journal(switches: tuple[Switch, Switch]) -> None:
    """A journal belongs to one process: the second refuses to start, in one line."""
    running_one = switches[1]
    refused = command("run", folder=running_one.folder, settings=running_one.settings)
    assert 1 == refused.returncode
    assert refused.stderr.startswith("switch: unwind journal ")
    assert "in use by another switch" in refused.stderr
    assert 1 == refused.stderr.count("\n")
