"""Many limits on one timer, on a clock that jumps."""

from __future__ import annotations

import asyncio

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from switch.ledger.time_limits import TimeLimits
from tests.ledger.virtual import run


async def reached(things: list[tuple[float, float, float]]) -> list[tuple[float, int]]:
    """Watch things, each added, done and limited at a moment: what was reached, and when."""
    loop = asyncio.get_running_loop()
    told: list[tuple[float, int]] = []
    done: set[int] = set()
    limits: TimeLimits[int] = TimeLimits(
        done.__contains__, lambda thing: told.append((loop.time(), thing))
    )
    for number, (added, finished, limit) in enumerate(things):
        loop.call_at(added, limits.add, number, limit)
        loop.call_at(finished, done.add, number)
    await asyncio.sleep(100)
    return told


_moments = st.integers(0, 40).map(lambda number: number / 4)


@given(st.lists(st.tuples(_moments, _moments, _moments), max_size=30))
def test_exactly_what_is_not_done_in_time_is_told(things: list[tuple[float, float, float]]) -> None:
    """A thing is told of once, at its limit, where it was not done before that."""
    # Not at one and the same moment: who is first then is nobody's promise.
    things = [(a, f + 0.1, max(a, limit) + 0.15) for a, f, limit in things]
    expected = sorted(
        (limit, number) for number, (_, done, limit) in enumerate(things) if done > limit
    )
    assert expected == sorted(run(reached(things)))


def test_what_is_done_with_is_let_go() -> None:
    """Limits that are far away do not keep what is done with for so long, in whatever order."""

    async def most() -> int:
        limits: TimeLimits[int] = TimeLimits(lambda number: number != 0, lambda _: None)
        limits.add(0, 1e6)  # the first, and never done
        for number in range(1, 10_000):
            limits.add(number, 2e6 + number * (-1) ** number)
        return len(limits)

    assert run(most()) <= 1_001


@given(st.lists(st.tuples(_moments, st.booleans()), max_size=30))
def test_what_is_forgotten_is_not_told(things: list[tuple[float, bool]]) -> None:
    """What was forgotten before its limit is not told of, and all else is."""

    async def told() -> list[int]:
        reached: list[int] = []
        limits: TimeLimits[int] = TimeLimits(lambda _: False, reached.append)
        kept = [limits.add(number, 1 + moment) for number, (moment, _) in enumerate(things)]
        for limit, (_, is_forgotten) in zip(kept, things, strict=True):
            if is_forgotten:
                limits.forget(limit)
        await asyncio.sleep(100)
        return reached

    expected = [number for number, (_, is_forgotten) in enumerate(things) if not is_forgotten]
    assert expected == sorted(run(told()))


def test_on_the_loop_that_serves() -> None:
    """uvloop's timers tell less of themselves than asyncio's: the same comes true on them."""

    async def told() -> list[int]:
        reached: list[int] = []
        limits: TimeLimits[int] = TimeLimits(lambda _: False, reached.append)
        now = asyncio.get_running_loop().time()
        for number, seconds in enumerate((0.03, 0.02, 0.01)):  # each is the first by then
            limits.add(number, now + seconds)
        await asyncio.sleep(0.05)
        limits.add(3, now)
        limits.add(4, now - 1)
        await asyncio.sleep(0.05)
        return reached

    assert [2, 1, 0, 4, 3] == uvloop.run(told())
