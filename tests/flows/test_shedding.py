"""A burst of overload is told twice: when it begins and when it is over."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from switch.deadline import Deadline
from switch.flows import shedding
from switch.flows.shedding import Shedding
from switch.wire.message import Message, decode, encode
from tests.flows.support import SPEC, House, purchase

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ECHO = Message("0800", {7: "1123120000", 11: "000301", 70: "301"})


async def test_a_burst_is_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are refused, and whatever for; the next burst is another one."""
    monkeypatch.setattr(shedding, "QUIET_SECONDS", 0.05)
    told: list[tuple[str, dict[str, Any]]] = []
    burst = Shedding(lambda name, **fields: told.append((name, fields)))
    for number in range(12):
        burst.refused("overload" if number < 6 else "Overloaded")
        await asyncio.sleep(0.01)
    assert [("shedding", {"problem": "overload"})] == told
    await asyncio.sleep(0.1)
    name, fields = told[-1]
    assert ("shedding_ended", 12) == (name, fields["count"])
    assert 0.1 <= fields["seconds"] < 10
    burst.refused("Overloaded")
    burst.end()
    burst.end()
    assert [
        ("shedding", {"problem": "Overloaded"}),
        ("shedding_ended", {"count": 1, "seconds": 0.0}),
    ] == told[2:]


async def test_an_echo_under_overload(house: House) -> None:
    """It is answered as ever, and no burst begins by it: it costs nothing."""
    exchange = house.router.shed(encode(ECHO, SPEC), Deadline.start(time.monotonic(), 2_000, 20))
    assert exchange is not None
    assert exchange.answer is not None
    told = decode(exchange.answer, SPEC)
    assert ("0810", "00") == (told.mti, told.fields[39])
    assert "shedding" not in [name for name, _ in house.told]


async def test_a_decision_that_would_come_too_late(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused at once, and a burst begins by it."""
    decisions = house.ledger.calls["decide"]
    monkeypatch.setattr(decisions, "_call_seconds", 60.0)  # each has been taking so long
    waiting = [house.answer(purchase((await house.card())[1])) for _ in range(8)]
    answers = await asyncio.gather(*waiting)
    refused = sum(answer[39] == "91" for answer in answers)
    assert 0 < refused < len(answers)
    house.router.shedding.end()
    bursts = [(name, about["count"]) for name, about in house.told if name == "shedding_ended"]
    assert [("shedding_ended", refused)] == bursts
