"""What is approved while the database is away, what stops it, and what becomes of it afterwards."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from keys.hsm import HsmUnavailable, Verdict
from switch.ledger import stand_ins
from switch.ledger.stand_in_journal import StandInJournal
from switch.wire.message import Message, decode
from tests.flows.day import Money
from tests.flows.outage import Lender, answer, asks, code, send, settled
from tests.flows.support import PIN_BLOCK, icc
from tests.ledger.disk import until

pytest_plugins = ["tests.ledger.fixtures", "tests.flows.lending"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

POSTED = "stand_in_posted"


async def test_an_approval_and_its_repeat(one: Lender) -> None:
    """Approved with a code and the chip's answer; its repeat is told the same from the journal, and
    from the ledger once that has it; money is held once.
    """
    day = await one.card()
    asked = asks(day)
    repeat = Message("0101", asked.fields)
    async with one.outage():
        began = datetime.now(UTC)
        exchange = await send(day, asked)
        assert exchange.reply is not None
        assert ("stand_in", None) == (exchange.reply.effect, exchange.reply.batch)
        first = await answer(day, asked)
        assert ("00", 6) == (first[39], len(first[38]))
        assert exchange.reply.message.fields[38] == first[38]
        assert "A1A2A3A400820000" in first[55]
        assert first == await answer(day, repeat)
        assert 1 == one.stand_ins.pending
    await one.back()
    assert first == dict((await day.send(repeat)).fields)
    assert Money(0, 1_000) == await settled(day)
    row = await day.row(Message("0120", asked.fields))
    assert first[38] == row["authorization_code"]
    assert began <= row["stood_in_at"] <= row["received_at"]
    assert (POSTED, {"account_id": day.account_id, "state": "held"}) in one.told
    assert b"" == one.journal.read_bytes()


async def test_the_rules_bound_a_card(one: Lender) -> None:
    """No more than its program lends of a card, until the ledger has what was lent."""
    day = await one.card()
    async with one.outage():
        assert "91" == await code(day, asks(day, 3_001))
        assert "00" == await code(day, asks(day, 3_000))
        assert "91" == await code(day, asks(day, 2_001))
        assert "00" == await code(day, asks(day, 1_900))
        assert "00" == await code(day, asks(day, 100))
        assert "91" == await code(day, asks(day, 1))
    await one.back()
    assert Money(0, 5_000) == await settled(day)
    async with one.outage():
        assert "00" == await code(day, asks(day, 1))
    await one.back()


@pytest.mark.parametrize(
    ("mti", "changes"),
    [
        ("0100", {"_18": "5812"}),
        ("0100", {"_22": "071"}),
        ("0100", {"_3": "310000"}),
        ("0100", {"_49": "840"}),
        ("0100", {"_52": PIN_BLOCK}),
        ("0101", {}),
        ("0200", {}),
        ("0100", {"_14": "2001"}),
    ],
)
async def test_what_is_not_lent(one: Lender, mti: str, changes: dict[str, Any]) -> None:
    """Another shop, channel, currency or message, a PIN, a repeat of who knows what, a card that
    has expired: answered 91, and nothing is recorded of it.
    """
    day = await one.card()
    async with one.outage():
        asked = asks(day, **changes)
        assert "91" == await code(day, Message(mti, asked.fields))
        assert not one.stand_ins.pending
    await one.back()
    assert Money(0, 0) == await settled(day)


@pytest.mark.parametrize("deed", [Verdict.MISMATCH, HsmUnavailable()])
async def test_a_cryptogram_that_is_not_right(one: Lender, deed: Any) -> None:
    """A wrong one, and one that an HSM which is away did not verify, are no reason to lend."""
    day = await one.card()
    async with one.outage():
        one.house.hsm.arqc[:] = [deed]
        assert "91" == await code(day, asks(day))
    await one.back()
    assert [] == one.house.hsm.arqc


async def test_a_card_that_is_not_kept(one: Lender) -> None:
    """Of a card that this process did not see nothing is known: 91."""
    day = await one.card()
    async with one.outage():
        one.house.ledger._kept.forget()
        assert "91" == await code(day, asks(day))
    await one.back()


async def test_a_cryptogram_is_good_once(one: Lender) -> None:
    """The same cryptogram lends nothing twice, and is used up for the ledger too."""
    day = await one.card()
    async with one.outage():
        assert "00" == await code(day, asks(day, _55=icc(40_000)))
        assert "91" == await code(day, asks(day, _55=icc(40_000)))
    await one.back()
    assert "82" == (await day.send(asks(day, _55=icc(40_000)))).code


async def test_the_same_key_with_another_amount(one: Lender) -> None:
    """It is no repeat: 94, before the ledger has the first and afterwards."""
    day = await one.card()
    asked = asks(day)
    other = Message("0100", {**asked.fields, 4: "000000000999"})
    async with one.outage():
        assert ["00", "94"] == [await code(day, message) for message in (asked, other)]
    await one.back()
    assert "94" == (await day.send(other)).code
    assert Money(0, 1_000) == await settled(day)


async def test_copies_at_once(one: Lender) -> None:
    """Copies that come together are one approval, and the last room is given away once."""
    day = await one.card()
    asked = asks(day, 2_500)
    async with one.outage():
        copies = await asyncio.gather(*(answer(day, asked) for _ in range(4)))
        assert [copies[0]] * 4 == copies
        rivals = await asyncio.gather(*(code(day, asks(day, 2_500)) for _ in range(3)))
        assert ["00", "91", "91"] == sorted(rivals)
    await one.back()
    assert Money(0, 5_000) == await settled(day)


async def test_a_copy_that_waits_is_told_of_it(one: Lender) -> None:
    """A copy that has longer to wait for the ledger is not left to it once the other is approved:
    it is told the same at once, and nothing is decided a second time.
    """
    day = await one.card()
    asked = asks(day)
    async with one.outage():
        waits = asyncio.create_task(day.house.send(asked.fields, answer_ms=6_000, margin_ms=100))
        told = await answer(day, asked)
        exchange = await asyncio.wait_for(waits, 3)
    assert exchange.answer is not None
    assert told == decode(exchange.answer, day.house.router.spec).fields
    await one.back()
    assert Money(0, 1_000) == await settled(day)


async def test_what_the_ledger_would_have_said(one: Lender) -> None:
    """It is booked whatever that is: it was told. The row says what it would have been."""
    day = await one.card(posted_minor=500)
    asked = asks(day)
    async with one.outage():
        assert "00" == await code(day, asked)
    await one.back()
    assert Money(0, 1_000) == await settled(day)
    row = await day.row(Message("0120", asked.fields))
    assert "insufficient_funds" == row["would_have_declined"]


async def test_an_account_that_was_closed_meanwhile(one: Lender) -> None:
    """What was told before is held on the account all the same."""
    day = await one.card()
    async with one.outage():
        assert "00" == await code(day, asks(day))
        await day.close_account()
    await one.back()
    assert Money(0, 1_000) == await settled(day)


async def test_its_reversal_and_its_completion(one: Lender) -> None:
    """Both find it as they find any authorization."""
    first, second = await one.card(), await one.card()
    taken, given = asks(first), asks(second)
    async with one.outage():
        assert "00" == await code(first, taken)
        told = await answer(second, given)
    await one.back()
    original = f"0100{taken.fields[11]}{taken.fields[7]}{taken.fields[32]:0>11}{0:011d}"
    assert "reversed" == (await first.send(_later(taken, "0420", {90: original}))).effect
    assert Money(0, 0) == await settled(first)
    assert "05" == (await first.send(Message("0101", taken.fields))).code
    completed = {4: "000000000900", 38: told[38], 39: "00"}
    assert "posted" == (await second.send(_later(given, "0220", completed))).effect
    assert Money(-900, 0) == await settled(second)


async def test_its_reversal_came_first(one: Lender) -> None:
    """A reversal that reaches the ledger before the approval is posted takes it back as well."""
    day = await one.card()
    asked = asks(day)
    original = f"0100{asked.fields[11]}{asked.fields[7]}{asked.fields[32]:0>11}{0:011d}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_ins, "POST_AFTER_SECONDS", 1.0)
        async with one.outage():
            assert "00" == await code(day, asked)
        reversal = _later(asked, "0420", {90: original})
        assert "remembered" == (await day.send(reversal)).effect
        assert 1 == one.stand_ins.pending
        await one.back()
    assert Money(0, 0) == await settled(day)
    assert "05" == (await day.send(Message("0101", asked.fields))).code


async def test_a_repeat_before_it_is_posted(one: Lender) -> None:
    """With the database back the repeat is told the same: the ledger must not decide it anew."""
    day = await one.card(posted_minor=0)
    asked = asks(day)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand_ins, "POST_AFTER_SECONDS", 1.0)
        async with one.outage():
            first = await answer(day, asked)
        assert "51" == (await day.send(asks(day))).code
        assert first == await answer(day, Message("0101", asked.fields), margin_ms=300)
        assert 1 == one.stand_ins.pending
        await one.back()
    assert first == dict((await day.send(Message("0101", asked.fields))).fields)
    assert Money(0, 1_000) == await settled(day)


@pytest.mark.parametrize("posted_minor", [0, 100_000])
async def test_an_earlier_copy_was_decided(one: Lender, posted_minor: int) -> None:
    """A copy that says nothing of being one is approved though the ledger had decided: what was
    told last is held, once, beside that decision.
    """
    day = await one.card(posted_minor=posted_minor)
    asked = asks(day)
    before = await day.send(asked)
    assert ("00" if posted_minor else "51") == before.code
    async with one.outage():
        told = await answer(day, asked)
        assert "00" == told[39]
    await one.back()
    assert Money(0, 1_000) == await settled(day)
    row = await day.row(Message("0120", asked.fields))
    assert told[38] == row["authorization_code"]
    again = await day.send(Message("0101", asked.fields))
    assert before.code == again.code


async def test_an_account_that_a_stranger_holds(one: Lender) -> None:
    """It waits for that one, and what was approved after it does not: it is booked meanwhile."""
    held, free = await one.card(), await one.card()
    stranger = one.house.books.connection.transaction()
    async with one.outage():
        assert "00" == await code(held, asks(held))
        assert "00" == await code(free, asks(free))
        await stranger.start()
        await one.house.books.connection.execute(
            "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", held.account_id
        )
    await until(lambda: 1 == one.stand_ins.pending, 10)
    await stranger.rollback()
    await one.back()
    assert Money(0, 1_000) == await settled(held)
    assert Money(0, 1_000) == await settled(free)


async def test_posted_twice(one: Lender) -> None:
    """A kill after the commit posts it once more: that changes nothing."""
    day = await one.card()
    kept: list[bytes] = []
    async with one.outage():
        assert "00" == await code(day, asks(day))
        kept.append(one.journal.read_bytes())
    await one.back()
    again = one.journal.with_name("again.journal")
    again.write_bytes(kept[0])
    (number, what), *_ = StandInJournal(again).left.items()
    assert number
    assert "repeated" == await one.stand_ins._post(what)
    assert Money(0, 1_000) == await settled(day)


def _later(first: Message, mti: str, changes: dict[int, str]) -> Message:
    """A message about that one."""
    stan = f"{(int(first.fields[11]) + 500_000) % 1_000_000:06d}"
    return Message(mti, {k: v for k, v in first.fields.items() if k != 55} | {11: stan} | changes)
