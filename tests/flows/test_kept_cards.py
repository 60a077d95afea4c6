"""A card that is kept in memory and changed in the database."""

from __future__ import annotations

import pytest

from tests.flows.support import House, purchase

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_what_an_operator_does_counts_at_once(house: House) -> None:
    """A card that is kept is blocked by the next message, and used again by the one after."""
    account_id, pan = await house.card()

    async def set_status(status: str) -> None:
        await house.books.connection.execute(
            "UPDATE cards SET status = $1 WHERE account_id = $2", status, account_id
        )

    codes = []
    for status in ("active", "blocked", "active"):
        await set_status(status)
        codes.append((await house.answer(purchase(pan)))[39])
        assert house.ledger.kept_card(house.vault.lookup_tokens(pan)) is not None
    assert ["00", "62", "00"] == codes


async def test_a_card_that_is_gone(house: House) -> None:
    """A card that is kept and no longer there is unknown, and is kept no more."""
    account_id, pan = await house.card()
    await house.answer(purchase(pan))
    await house.books.connection.execute("DELETE FROM pan_tokens WHERE account_id = $1", account_id)
    assert "14" == (await house.answer(purchase(pan)))[39]
    assert house.ledger.kept_card(house.vault.lookup_tokens(pan)) is None


async def test_what_comes_too_late_asks_no_hsm(house: House) -> None:
    """Where a decision would come too late the answer is 91 before the HSM is asked."""
    _, pan = await house.card()
    decisions = house.ledger._decisions
    lanes, decisions._idle = decisions._idle, []  # as if all had been busy for long
    decisions._call_seconds = 99.0
    try:
        assert "91" == (await house.answer(purchase(pan)))[39]
    finally:
        decisions._idle, decisions._call_seconds = lanes, 0.0
    assert [] == house.hsm.arpc_data
    assert "00" == (await house.answer(purchase(pan)))[39]
