"""What is approved without database: a disk that is full or slow, answers that did not leave."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from switch.flows.exchange import Exchange
from switch.ledger import journal_file
from switch.ledger.journal_file import JournalFile
from switch.ledger.stand_in_journal import StandInJournal
from switch.wire.message import Message
from tests.conftest import PostgresServer
from tests.flows.day import Money
from tests.flows.outage import Lender, asks, code, lender, send, settled
from tests.ledger.disk import Disk
from tests.ledger.support import Books

pytest_plugins = ["tests.ledger.fixtures", "tests.flows.lending"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_answer_that_did_not_leave(one: Lender) -> None:
    """It is void, on disk too, before anybody is told of a decline; but not where a repeat was
    told of it.
    """
    day = await one.card()
    asked, repeated = asks(day), asks(day)
    async with one.outage():
        exchange = await send(day, asked)
        await take_back(one, exchange)
        pending = [one.stand_ins.pending]
        first = await send(day, repeated)
        second = await send(day, Message("0101", repeated.fields))
        await take_back(one, first)
        assert [0, 1] == [*pending, one.stand_ins.pending]
        assert second.reply is not None
        content = one.journal.read_bytes()
    await one.back()
    again = one.journal.with_name("later.journal")
    again.write_bytes(content)
    journal = StandInJournal(again)
    assert [second.reply.message.fields[38]] == [
        what.booking.authorization_code for what in journal.left.values()
    ]
    assert Money(0, 1_000) == await settled(day)


async def test_a_full_disk(one: Lender) -> None:
    """What does not reach the disk is answered 91, and nothing of it is posted, ever."""
    day = await one.card()
    async with one.outage():
        with pytest.MonkeyPatch.context() as full:
            full.setattr(journal_file, "os", Disk(100))
            assert "91" == await code(day, asks(day))
        assert not one.stand_ins.pending
        assert "00" == await code(day, asks(day, 300))
    await one.back()
    assert Money(0, 300) == await settled(day)


async def test_a_slow_disk(one: Lender) -> None:
    """An approval that is not on disk in time is void before the 91 leaves; where that cannot be
    in time either there is no answer that could be wrong.
    """
    day = await one.card()
    flush = JournalFile._flush

    def slowly(seconds: list[float]) -> Any:
        def flushed(self: JournalFile, text: bytes) -> None:
            flush(self, text)
            if seconds:
                time.sleep(seconds.pop(0))

        return flushed

    async with one.outage():
        with pytest.MonkeyPatch.context() as slow:
            slow.setattr(JournalFile, "_flush", slowly([0.7]))
            exchange = await send(day, asks(day))
            assert exchange.reply is not None
            assert ("91", "NotKept") == (exchange.reply.response_code, exchange.fault)
        assert not one.stand_ins.pending
    await one.back()
    assert Money(0, 0) == await settled(day)


async def test_off_by_default(
    database: str, migrated_server: PostgresServer, quick_path: Path
) -> None:
    """Where no program says otherwise an outage is answered 91, and no file is made."""
    books = await Books.open(database)
    async with lender(database, books, migrated_server, quick_path, lends=None) as plain:
        day = await plain.card()
        async with plain.outage():
            exchange = await send(day, asks(day))
            assert exchange.reply is not None
            assert "91" == exchange.reply.response_code
            assert exchange.fault in ("Overdue", "Overloaded")
            assert plain.house.ledger.stand_ins is None
        assert not plain.journal.exists()
    await books.connection.close()


async def take_back(one: Lender, exchange: Exchange) -> None:
    """Its answer did not leave."""
    assert exchange.reply is not None
    assert exchange.reply.undo is not None
    await one.house.ledger.take_back(exchange.reply.undo)
