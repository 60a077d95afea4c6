"""Steady traffic from one connection, and what must hold of it whatever was killed meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from switch.ledger.queries import QUERIES
from switch.wire.message import Message
from tests.client import Client
from tests.faults.slow import Connection
from tests.process import PATIENCE_SECONDS, eventually
from tests.traffic import CardInHand, code, load_card, purchase

_RRN = 37
#: Requests that wait for their answer at any moment.
WINDOW = 20


class Load:
    """Purchases over some load cards; each request and its answer by RRN."""

    def __init__(self, cards: int = 40) -> None:
        self.asked: dict[str, Message] = {}
        self.answered: dict[str, Message] = {}
        self._cards = [load_card(number) for number in range(cards)]
        self._waiting: set[asyncio.Future[Message]] = set()
        self._stopping = False

    async def run(self, client: Client) -> None:
        """Keep a window of requests out until told to stop, or until the link closes."""
        self._stopping, number = False, 0
        while not self._stopping and not client.closed.done():
            if len(self._waiting) < WINDOW:
                self._send(client, self._cards[number % len(self._cards)])
                number += 1
            else:
                await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # answers are read also where the window is never full
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=PATIENCE_SECONDS)

    def _send(self, client: Client, card: CardInHand) -> None:
        message = purchase(card, 1 + len(self.asked) % 700)
        self.asked[message.fields[_RRN]] = message
        answer = client.send(message)
        self._waiting.add(answer)
        answer.add_done_callback(self._take)

    def _take(self, answer: asyncio.Future[Message]) -> None:
        self._waiting.discard(answer)
        if answer.exception() is None:
            self.answered[answer.result().fields[_RRN]] = answer.result()

    def stop(self) -> None:
        """Send nothing more."""
        self._stopping = True

    def coded(self, response_code: str) -> dict[str, Message]:
        """The answers with this DE39."""
        return {rrn: each for rrn, each in self.answered.items() if code(each) == response_code}

    async def more(self, count: int, response_code: str = "00") -> None:
        """Wait for so many more answers with this DE39."""
        wanted = len(self.coded(response_code)) + count

        async def came() -> bool:
            return len(self.coded(response_code)) >= wanted

        await eventually(came, f"{count} answers {response_code}")


@contextlib.asynccontextmanager
async def loading(client: Client, load: Load) -> AsyncIterator[Load]:
    """Traffic for as long as somebody is inside; afterwards every answer is awaited."""
    running = asyncio.create_task(load.run(client))
    try:
        yield load
    finally:
        load.stop()
        await running


async def check(connection: Connection, load: Load) -> None:
    """What must hold whatever was killed: nothing told and lost, nothing held and untold."""
    assert [] == await connection.fetch(QUERIES["audit"])
    rows = await connection.fetch(
        """SELECT z.rrn, z.reason, z.authorization_code, z.unwound_at IS NOT NULL AS unwound,
                  h.state, h.amount_minor
             FROM authorizations z LEFT JOIN holds h USING (account_id, authorization_id)
            WHERE z.rrn = ANY ($1)""",
        list(load.asked),
    )
    found = {row["rrn"]: row for row in rows}
    assert len(rows) == len(found), "a message was decided twice"
    for rrn, answer in load.coded("00").items():
        row = found.get(rrn)
        assert row is not None, "an approval that was sent has no row"
        told = (answer.fields[38], int(answer.fields[4]))
        assert told == (row["authorization_code"], row["amount_minor"])
        assert (None, False, "open") == (row["reason"], row["unwound"], row["state"])
    for rrn, answer in load.answered.items():
        if code(answer) != "00" and rrn in found:
            assert "open" != found[rrn]["state"], f"{code(answer)} was sent and money is held"


async def settled(connection: Connection, load: Load) -> None:
    """Wait until nothing is held for a request that was answered 91, then check everything."""
    declined = list(load.answered.keys() - load.coded("00").keys())

    async def nothing_held() -> bool:
        count: int = await connection.fetchval(
            """SELECT count(*) FROM authorizations JOIN holds USING (account_id, authorization_id)
                WHERE rrn = ANY ($1) AND state = 'open'""",
            declined,
        )
        return count == 0

    await eventually(nothing_held, "that nothing is held for a decline")
    await check(connection, load)
