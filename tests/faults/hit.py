"""A purchase whose last message is stopped at one of its statements, beside one that is not."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from switch.wire.message import Message
from tests.client import Client
from tests.faults.conftest import CARDS
from tests.faults.purchases import Life, repeat, reversal
from tests.faults.slow import Connection
from tests.faults.statement_points import COMMIT, Books, books_of, stopped, unwatch, watch
from tests.process import PATIENCE_SECONDS, Switch, eventually
from tests.traffic import CardInHand, code, load_card

#: Cards beyond those of the other pages of tests.
_numbers = itertools.count(CARDS)


def next_card() -> CardInHand:
    """A load card that no other purchase has."""
    return load_card(next(_numbers))


async def insist(client: Client, message: Message) -> Message:
    """Send a message again and again, as its sender does, until it is answered other than 91."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    answer = await client.send(message)
                if code(answer) != "91":
                    return answer


async def reconnected(switch: Switch, lost: Connection) -> Connection:
    """A connection to the Postgres that comes after one that was lost."""
    made: list[Connection] = []

    async def is_up() -> bool:
        if lost.is_closed():
            with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                made.append(await switch.connect())
        return bool(made)

    await eventually(is_up, "Postgres")
    return made[0]


def is_decided(message: Message) -> bool:
    """Whether a message asks for a decision: where there is none in time it is answered 91."""
    return message.mti[1] in "12" and message.mti[2] == "0"


@dataclass(frozen=True)
class Unhurt:
    """The books of a purchase to which nothing happened: around its last message, and reversed."""

    before: Books
    after: Books
    reversed: Books
    points: Sequence[str]  #: the statements of the last message


@dataclass(frozen=True)
class Hit:
    """A purchase whose last message has stopped at a point."""

    card: CardInHand
    message: Message
    answer: asyncio.Future[Message]
    backend: int


async def unhurt(client: Client, ledger: Connection, life: Life) -> Unhurt:
    """Let a purchase happen, and then its reversal."""
    card = next_card()
    *earlier, last = life(card)
    await ask_all(client, earlier)
    before = await books_of(ledger, card.account_id)
    await watch(ledger, card.account_id)
    await ask_all(client, [last])
    points = await unwatch(ledger, card.account_id)
    assert COMMIT == points[-1]
    after = await books_of(ledger, card.account_id)
    assert before.record != after.record
    await ask_all(client, [reversal(last)])
    return Unhurt(before, after, await books_of(ledger, card.account_id), points)


async def ask_all(client: Client, messages: Sequence[Message]) -> None:
    """Send messages one after the other; all are approved."""
    for message in messages:
        assert "00" == code(await client.ask(message))


async def hit(client: Client, ledger: Connection, life: Life, point: int) -> Hit:
    """Let a purchase happen up to a point of its last message."""
    card = next_card()
    *earlier, last = life(card)
    await ask_all(client, earlier)
    await watch(ledger, card.account_id, point)
    answer = client.send(last)
    backend = await stopped(ledger)
    await unwatch(ledger, card.account_id)
    assert not answer.done(), "this machine is too slow"
    return Hit(card, last, answer, backend)


async def check_done_once(client: Client, ledger: Connection, one: Hit, wanted: Unhurt) -> Message:
    """Its repeats are approved, all alike, and it is there once; then it can be reversed."""
    answers = [await insist(client, repeat(one.message)) for _ in range(2)]
    assert "00" == code(answers[0])
    assert answers[0] == answers[1]
    assert wanted.after == await books_of(ledger, one.card.account_id)
    await ask_all(client, [reversal(one.message)])
    assert wanted.reversed == await books_of(ledger, one.card.account_id)
    return answers[0]


async def check_rolled_back(client: Client, ledger: Connection, one: Hit, wanted: Unhurt) -> None:
    """A decision that is answered 91 is none, for ever; what already happened is booked yet."""
    if not is_decided(one.message):
        await check_done_once(client, ledger, one, wanted)
        return
    assert "91" == code(await one.answer)
    for _ in range(2):
        assert "05" == code(await insist(client, repeat(one.message)))
    assert wanted.before.money == (await books_of(ledger, one.card.account_id)).money
    await ask_all(client, [reversal(one.message)])
    assert wanted.before.money == (await books_of(ledger, one.card.account_id)).money
