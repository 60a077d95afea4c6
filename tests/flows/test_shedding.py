"""A burst of overload is told twice: when it begins and when it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from switch.flows import shedding
from switch.flows.shedding import Shedding


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
