"""A batch's answers go to those who asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from switch.rules.decision import Approved, Declined
from switch.rules.reason import Reason
from tests.ledger.support import Books, ask, authorize, ledger_on, within

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

#: The first goes out alone, the others wait for it and share a transaction.
ASKING = 12


async def test_decisions(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Each request of a batch is told of its own account: code, balance and refusal."""
    calls = [
        ask(await books.account(posted_minor=10_000 * (n % 3)), 1_000 + n) for n in range(ASKING)
    ]
    async with ledger_on(shared_database, tmp_path / "journal", connections=1) as ledger:
        answers = await asyncio.gather(*(authorize(ledger, call) for call in calls))
    assert max(answer.batch for answer in answers) > 1
    for n, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        if n % 3 == 0:
            assert isinstance(answer, Declined)
            assert Reason.INSUFFICIENT_FUNDS is answer.reason
        else:
            assert isinstance(answer, Approved)
            assert call.authorization_code == answer.authorization_code
            assert 10_000 * (n % 3) - 1_000 - n == answer.available_minor


async def test_cards(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Each who looks for a card finds that one, and nobody where it is not ours."""
    accounts = [await books.account() for _ in range(ASKING)]
    tokens = [await books.token(account_id) for account_id in accounts]
    tokens.insert(ASKING // 2, bytes(32))
    async with ledger_on(shared_database, tmp_path / "journal", connections=1) as ledger:
        cards = await asyncio.gather(*(ledger.find_card([token], within(20.0)) for token in tokens))
    found = [None if card is None else card.account_id for card in cards]
    assert [*accounts[: ASKING // 2], None, *accounts[ASKING // 2 :]] == found
