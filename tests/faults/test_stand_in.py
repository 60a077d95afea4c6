"""A switch that lends while its Postgres is dead: what it told is in the ledger afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pytest

from switch.wire.message import Message
from tests.client import Client, all_of, connected
from tests.faults.purchases import repeat, reversal
from tests.faults.statement_points import broken_rules
from tests.process import PATIENCE_SECONDS, Switch, command, eventually, running
from tests.traffic import CardInHand, add_load_cards, change, chip, code, load_card

CARDS = 26
LENDS = {
    "amount_minor": 5_000, "card_minor": 10_000, "card_count": 3, "total_minor": 400_000,
    "mccs": ["5411"], "channels": ["chip"],
}  # fmt: skip
#: 0.8 s for the database, and as much for the disk of a slow machine.
SETTINGS = {"links__0__answer_within_ms": 2600, "links__0__margin_ms": 1800}

#: Requests and their answers by RRN.
Told = dict[str, tuple[Message, Message]]


@pytest.fixture(scope="module")
def lending(quick_root: Path) -> Iterator[Switch]:
    """A switch with load cards whose program lends."""
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **SETTINGS) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        asyncio.run(_lend(started))
        started.stop()
        started.start()
        assert ["demo"] == [line["name"] for line in started.lines("stand_in_allowed")]
        yield started


async def _lend(switch: Switch) -> None:
    connection = await switch.connect()
    await connection.execute(
        "UPDATE programs SET settings = settings || jsonb_build_object('stand_in', $1::jsonb)",
        orjson.dumps(LENDS).decode(),
    )
    await connection.close()


@contextlib.contextmanager
def dead_postgres(switch: Switch) -> Iterator[None]:
    """Postgres is killed, and whoever has the turn starts it: until we let it go it stays dead."""
    with (switch.data_dir / "turn.lock").open("rb+") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        switch.signal_postgres(signal.SIGKILL)
        yield


def bought(card: CardInHand, amount_minor: int = 1_000) -> Message:
    """A dipped card without a PIN, with a right cryptogram."""
    return change(chip(card, amount_minor), de_52=None, de_26=None)


async def used(client: Client, cards: Sequence[CardInHand]) -> None:
    """Each card buys something while the database is there: the switch keeps it."""
    answers = await all_of([client.send(bought(card, 100)) for card in cards])
    assert {"00"} == set(map(code, answers))


async def stood_in(client: Client, card: CardInHand) -> tuple[Message, Message]:
    """A purchase that is approved, and its answer. What is sent before the loss of Postgres is
    noticed has no outcome, and is answered 91.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            asked = bought(card)
            answered = await client.ask(asked)
            if code(answered) == "00":
                return asked, answered


async def all_stood_in(client: Client, cards: Sequence[CardInHand]) -> Told:
    """One of each card, by RRN."""
    pairs = await asyncio.gather(*(stood_in(client, card) for card in cards))
    return {asked.fields[37]: (asked, answered) for asked, answered in pairs}


async def posted(switch: Switch, count: int) -> None:
    """Wait until the switch has posted so many since its start."""

    async def is_posted() -> bool:
        return len(switch.lines("stand_in_posted")) >= count

    await eventually(is_posted, f"{count} stand-ins posted")


def kept(switch: Switch) -> bytes:
    """What stands in its stand-in journal."""
    return (switch.folder / "var/stand_ins.journal").read_bytes()


async def all_posted(switch: Switch) -> None:
    """Wait until nothing does."""

    async def is_empty() -> bool:
        return not kept(switch)

    await eventually(is_empty, "an empty journal")


async def check(switch: Switch, told: Told) -> None:
    """Each approval has its row and its hold once; repeats get the same answer; books are right."""
    connection = await switch.connect()
    rows = await connection.fetch(
        """SELECT z.rrn, z.authorization_code, h.amount_minor, h.state, z.stood_in_at
             FROM authorizations z JOIN holds h USING (account_id, authorization_id)
            WHERE z.rrn = ANY ($1)""",
        list(told),
    )
    assert len(told) == len(rows)
    for row in rows:
        asked, answered = told[row["rrn"]]
        assert (answered.fields[38], int(asked.fields[4]), "open") == tuple(row.values())[1:4]
        assert row["stood_in_at"] is not None
    await connection.close()
    assert [] == await broken_rules(switch.database_url)
    async with connected(switch.port()) as client:
        for asked, answered in told.values():
            assert answered == await client.ask(repeat(asked))


async def test_what_was_told_without_postgres_is_booked(lending: Switch) -> None:
    """kill -9 of Postgres: purchases are approved from memory and disk; when it is back each is in
    the ledger, once, with its code, and can be reversed. `switch check` says who lends, and
    `switch why` that it was lent.
    """
    checked = command("check", folder=lending.folder)
    lends = "approves without database, a process up to 400000 minor units, a card 10000 in 3"
    assert f"program demo: {lends}" in checked.stdout.splitlines(), checked
    cards = [load_card(number) for number in range(8)]
    async with connected(lending.port()) as client:
        await used(client, cards)
        with dead_postgres(lending):
            told = await all_stood_in(client, cards)
            repeats = await all_of([client.send(repeat(asked)) for asked, _ in told.values()])
            assert repeats == [answered for _, answered in told.values()]
            assert "91" == code(await client.ask(bought(cards[0], 5_001)))
        await posted(lending, 8)
        lines = lending.lines("message", effect="stand_in")
        assert 8 == len([line for line in lines if not line["repeat"]])
        await check(lending, told)
        undone, _ = next(iter(told.values()))
        said = command("why", undone.fields[37], folder=lending.folder)
        assert "by us, while the database was away" in said.stdout, said
        assert "00" == code(await client.ask(reversal(undone)))
        assert "05" == code(await client.ask(repeat(undone)))
    assert [] == await broken_rules(lending.database_url)


async def test_killed_in_the_middle_of_the_outage(lending: Switch) -> None:
    """kill -9 of Postgres, then of the switch while it approves: whatever arrived was on its disk,
    and is posted by the next start; no PAN stands there.
    """
    cards = [load_card(number) for number in range(8, 14)]

    async def keep(client: Client, asked: Message) -> None:
        answered = await client.send(asked)
        if code(answered) == "00":
            told[asked.fields[37]] = asked, answered

    async with connected(lending.port()) as client:
        await used(client, cards)
        with dead_postgres(lending):
            told = await all_stood_in(client, cards)
            sending = [asyncio.create_task(keep(client, bought(card))) for card in cards]
            await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
            lending.kill()
            journal = kept(lending)
            await asyncio.gather(*sending, return_exceptions=True)
    assert len(told) > len(cards)
    assert not any(card.pan.encode() in journal for card in cards)
    await asyncio.to_thread(lending.start)
    await all_posted(lending)
    await check(lending, told)


@pytest.mark.long
async def test_postgres_comes_back_under_load(lending: Switch) -> None:
    """Purchases go on while Postgres dies and is back: what was answered 00 is held once, whoever
    approved it, and nothing is held for a 91.
    """
    answered: Told = {}

    async def buy(client: Client, card: CardInHand) -> None:
        for _ in range(12):
            asked = bought(card, 100)
            answered[asked.fields[37]] = asked, await client.ask(asked)
            await asyncio.sleep(0.1)

    async with connected(lending.port()) as client:
        cards = [load_card(number) for number in range(14, 26)]
        await used(client, cards)
        buying = [asyncio.create_task(buy(client, card)) for card in cards]
        await asyncio.sleep(0.4)
        with dead_postgres(lending):
            await asyncio.to_thread(lending.wait_for, "message", effect="stand_in")
            await asyncio.sleep(0.3)
        await asyncio.gather(*buying)
        await all_posted(lending)
    approved = {rrn for rrn, (_, answer) in answered.items() if code(answer) == "00"}
    connection = await lending.connect()

    async def is_held(rrns: list[str]) -> dict[str, str]:
        rows = await connection.fetch(
            """SELECT z.rrn, z.authorization_code
                 FROM authorizations z JOIN holds h USING (account_id, authorization_id)
                WHERE z.rrn = ANY ($1) AND h.state = 'open'""",
            rrns,
        )
        assert len(rows) == len({row["rrn"] for row in rows})
        return {row["rrn"]: row["authorization_code"] for row in rows}

    async def is_unwound() -> bool:
        return approved == (await is_held(list(answered))).keys()

    await eventually(is_unwound, "that what was approved is held, and nothing else")
    held = await is_held(list(answered))
    assert all(held[rrn] == answered[rrn][1].fields[38] for rrn in approved)
    await connection.close()
    assert [] == await broken_rules(lending.database_url)
