"""An answer that its framing cannot say is none."""

from __future__ import annotations

import dataclasses

import pytest

from switch.wire.frame import Framing
from switch.wire.message import Message
from tests.flows.authentic import authentic, holds, typed_in
from tests.flows.support import House
from tests.process import eventually

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_approval_that_is_too_long_is_taken_back(one_house: House) -> None:
    """It is not written, what it held is released, and a repeat is declined."""
    account_id, pan = await one_house.card()
    async with authentic(one_house) as one:
        known, asked = one.link.format, typed_in(pan)
        one.link.format = dataclasses.replace(known, framing=Framing("2-byte", length_max=64))
        one.send(one.sealed(asked))
        (exchange,) = await one.done()
        assert "too_long" == exchange.outcome
        assert exchange.answer is not None
        await eventually(lambda: holds(one_house, account_id, 0), "the unwinding")
        one.link.format = known
        assert "05" == (await one.ask(one.sealed(Message("0101", asked.fields)))).fields[39]
