"""What an answer says of the codes that its request brought, and does not say of a repeat's."""

from __future__ import annotations

import pytest

from keys.hsm import Verdict
from tests.flows.support import House, purchase

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

NET: dict[str, str | None] = {"_22": "812", "_55": None, "_14": "9912", "_48": "9203123"}


async def test_results(house: House) -> None:
    """A right code is M, a wrong one N, and an answer says nothing where none was brought."""
    _, pan = await house.card()
    right = purchase(pan, **NET)
    assert "8701M" == (await house.answer(right))[48]
    assert "8701M" == (await house.answer(right))[48]  # a repeat as well
    house.hsm.code.append(Verdict.MISMATCH)
    assert "8701N" == (await house.answer(purchase(pan, **NET)))[48]
    assert 48 not in await house.answer(purchase(pan))


async def test_a_card_that_is_refused_for_itself(house: House) -> None:
    """Its code is asked for no more: P, and on a repeat the same."""
    account_id, pan = await house.card(card_status="stolen")
    asked = purchase(pan, **NET)
    first = await house.answer(asked)
    assert ("43", "8701P") == (first[39], first[48])
    assert first == await house.answer(asked)
    assert 0 == await house.books.held(account_id)


async def test_a_repeat_of_what_is_not_known_any_more(house: House) -> None:
    """Where a code cannot be asked for again, a repeat says nothing of it, and no other thing."""
    account_id, pan = await house.card()
    asked = purchase(pan, **NET)
    first = await house.answer(asked)
    await house.books.connection.execute(
        "UPDATE cards SET status = 'stolen' WHERE account_id = $1", account_id
    )
    again = await house.answer(asked)
    assert "8701M" == first.pop(48)
    assert first == again
    house.hsm.is_down()
    assert first == await house.answer(asked)
