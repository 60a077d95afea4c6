"""What already happened is answered when it is booked, however late, and never declined or shed."""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.client import Client, all_of, connected
from tests.faults.purchases import advice, completion, repeat, reversal
from tests.faults.statement_points import broken_rules
from tests.process import Switch, running
from tests.traffic import CardInHand, add_load_cards, code, load_card, purchase

CARDS = 60
IN_FLIGHT_MAX = 4
#: A decision has a tenth of a second.
HASTY: dict[str, object] = {
    "links__0__answer_within_ms": 600,
    "links__0__margin_ms": 500,
    "links__0__in_flight_max": IN_FLIGHT_MAX,
}
_numbers = itertools.count()


@pytest.fixture(scope="module")
def served(quick_root: Path) -> Iterator[Switch]:
    """A switch with a link that has little time and takes few requests at once."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **HASTY) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started


@pytest.fixture
def switch(served: Switch) -> Iterator[Switch]:
    """The same; its Postgres goes on after the test."""
    yield served
    served.signal_postgres(signal.SIGCONT)


@pytest.fixture
async def client(switch: Switch) -> AsyncIterator[Client]:
    """A sender."""
    async with connected(switch.port()) as connection:
        yield connection


def card() -> CardInHand:
    """A card of its own."""
    return load_card(next(_numbers))


async def owed(switch: Switch, *cards: CardInHand) -> list[tuple[int, int]]:
    """What each card's account has held, and posted since its opening."""
    connection = await switch.connect()
    rows = await connection.fetch(
        "SELECT held_minor, (SELECT coalesce(sum(-p.amount_minor), 0)::bigint FROM postings AS p"
        "  WHERE p.account_id = a.account_id AND p.contra <> 'opening') AS posted_minor"
        " FROM accounts AS a WHERE account_id = ANY ($1) ORDER BY account_id",
        [card.account_id for card in cards],
    )
    await connection.close()
    return [(row["held_minor"], row["posted_minor"]) for row in rows]


async def test_what_happened_is_answered_after_a_frozen_database_goes_on(
    switch: Switch, client: Client
) -> None:
    """Postgres stops for longer than a link has: a request is answered 91, the rest 00 later."""
    cards = [card() for _ in range(4)]
    first = [purchase(one, 500) for one in cards]
    messages = [
        advice(first[0], 300),
        completion(first[1], 400),
        reversal(first[2]),
        reversal(first[3], mti="0400"),
    ]
    switch.signal_postgres(signal.SIGSTOP)
    answers = [client.send(message) for message in messages[:3]]
    for _ in range(3):
        assert "91" == code(await client.ask(purchase(card())))
    answers.append(client.send(messages[3]))
    assert "91" == code(await client.ask(purchase(card())))
    assert not any(answer.done() for answer in answers)

    switch.signal_postgres(signal.SIGCONT)
    assert ["00"] * 4 == [code(answer) for answer in await all_of(answers)]
    assert ["00"] * 4 == [code(await client.ask(repeat(message))) for message in messages]
    assert [(300, 0), (0, 400), (0, 0), (0, 0)] == await owed(switch, *cards)
    assert [] == await broken_rules(switch.database_url)


async def test_what_happened_is_never_shed(switch: Switch, client: Client) -> None:
    """Ten times as much as a link takes: a request is shed, advices and reversals all booked."""
    cards = [card() for _ in range(10 * IN_FLIGHT_MAX)]
    switch.signal_postgres(signal.SIGSTOP)
    answers = [client.send(advice(purchase(one, 500), 300)) for one in cards]
    shed = purchase(card())
    assert "91" == code(await client.ask(shed))
    line = switch.wait_for("message", stan=shed.fields[11])
    assert "overload" == line["problem"]
    assert not any(answer.done() for answer in answers)

    switch.signal_postgres(signal.SIGCONT)
    assert {"00"} == set(map(code, await all_of(answers)))
    assert [(300, 0)] * len(cards) == await owed(switch, *cards)
    assert [] == await broken_rules(switch.database_url)


async def test_what_is_not_booked_is_not_answered(switch: Switch, client: Client) -> None:
    """A database that is gone in the middle: no answer, not even a late one; the repeat gets it."""
    lost, waiting = advice(purchase(card(), 500), 300), advice(purchase(card(), 500), 300)
    switch.signal_postgres(signal.SIGSTOP)
    answer = client.send(lost)
    assert "91" == code(await client.ask(purchase(card())))
    # Whoever has the turn starts Postgres: until we let it go it stays dead.
    with (switch.data_dir / "turn.lock").open("rb+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        switch.signal_postgres(signal.SIGKILL)
        line = await asyncio.to_thread(switch.wait_for, "message", stan=lost.fields[11])
        assert ("dropped", None) == (line["outcome"], line["response_code"])
        patient = client.send(waiting)
        assert "91" == code(await client.ask(purchase(card())))
        assert not patient.done()
    assert "00" == code(await patient)
    assert not answer.done()
    assert "00" == code(await client.ask(repeat(lost)))
    assert [] == await broken_rules(switch.database_url)
