"""What goes wrong in a batch: refused, lost, unanswered, away, withdrawn; nobody is stranded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from switch.ledger.batch import Batcher
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown, Overdue
from tests.ledger.lanes import (
    NEVER,
    Made,
    ScriptedLane,
    again,
    answered,
    calls_of,
    outcomes,
    raises,
    refuses,
)
from tests.ledger.virtual import run


def test_refused_in_halves() -> None:
    """A batch that is proven rolled back is tried in halves: nobody pays for another."""
    log: list[Made] = []
    lane = ScriptedLane(log, [(1, answered), *[(1, refuses("y1"))] * 5])
    arrivals = [(i / 10, call, NEVER) for i, call in enumerate(("w1", "x1", "y1", "z1"))]
    ended = outcomes(arrivals, lane)
    assert [["w1"], ["x1", "y1", "z1"], ["x1"], ["y1", "z1"], ["y1"], ["z1"]] == calls_of(log)
    assert ["w1", "x1", CallRefused, "z1"] == [result for _, result in ended]
    assert all(turn == 0 for made in log[2:] for turn, _ in made.calls)


def test_one_that_is_refused_among_many() -> None:
    """Of 128 calls one is refused: fifteen batches settle all of them, in order by key."""
    log: list[Made] = []
    crowd = [f"{chr(200 + i // 2)}{i}" for i in range(128)]
    poison = crowd[77]
    lane = ScriptedLane(log, [(1, answered), *[(1, refuses(poison))] * 20])
    arrivals = [(0, "w", NEVER), *((0.1 + i / 1000, call, NEVER) for i, call in enumerate(crowd))]
    ended = outcomes(arrivals, lane, batch_max=128)
    assert ["w", *(CallRefused if call == poison else call for call in crowd)] == [
        result for _, result in ended
    ]
    assert 1 + 15 == len(calls_of(log))
    for made in log[1:]:
        seen: dict[str, int] = {}
        for turn, call in made.calls:
            assert seen.get(call[0], 0) == turn
            seen[call[0]] = turn + 1


def test_refused_then_held_up() -> None:
    """In halves, a call does not overtake an earlier one of its key that is to be made again."""
    log: list[Made] = []
    script = [(1.0, answered), (1.0, raises(CallRefused())), (1.0, again("x"))]
    arrivals = [(i / 10, call, NEVER) for i, call in enumerate(("w1", "x1", "x2", "y1"))]
    outcomes(arrivals, ScriptedLane(log, script))
    assert [["w1"], ["x1", "x2", "y1"], ["x1"], ["y1"], ["x1", "x2"]] == [
        sorted(calls) for calls in calls_of(log)
    ]


@pytest.mark.parametrize(
    "error",
    [OutcomeUnknown(), LedgerUnavailable(), RuntimeError("a bug"), KeyError("a bug")],
    ids=repr,
)
def test_all_fail(error: Exception) -> None:
    """A fault or a bug ends every call of its batch at once, and no other."""
    log: list[Made] = []
    lane = ScriptedLane(log, [(1, answered), (1, raises(error))])
    arrivals = [(0, "w1", NEVER), (0.5, "x1", NEVER), (0.5, "y1", NEVER), (1.5, "x2", NEVER)]
    ended = outcomes(arrivals, lane)
    assert [(1.0, "w1"), (2.0, type(error)), (2.0, type(error)), (3.0, "x2")] == ended


def test_answers_missing() -> None:
    """A lane that gives too few answers strands nobody beyond the time to decide."""
    log: list[Made] = []
    lane = ScriptedLane(log, [(1, answered), (1, lambda _: [])])
    ended = outcomes([(0, "w1", NEVER), (0.5, "x1", 9.0), (2.5, "x2", NEVER)], lane)
    assert [(1.0, "w1"), (9.5, OutcomeUnknown), (3.5, "x2")] == ended


def test_lane_that_is_away() -> None:
    """Calls wait for a lane that lost its connection, and go when it tells that it is back."""
    log: list[Made] = []
    lane = ScriptedLane(log, is_ready=False)

    async def main() -> list[Any]:
        batcher: Batcher[str, str] = Batcher([lane], batch_max=9)
        waits = asyncio.create_task(batcher.submit("x1", key="x", decide_by=NEVER))
        short = asyncio.create_task(batcher.submit("y1", key="y", decide_by=0.5))
        await asyncio.sleep(3.0)
        lane.is_ready = True
        batcher.dispatch()
        return list(await asyncio.gather(waits, short, return_exceptions=True))

    answers = run(main())
    assert "x1" == answers[0]
    assert isinstance(answers[1], Overdue)
    assert [3.0] == [made.start for made in log]


def test_withdrawn_while_it_waits() -> None:
    """Calls that are withdrawn are never made; others of their key are, when there is a lane."""
    log: list[Made] = []
    lane = ScriptedLane(log, is_ready=False)

    async def main() -> list[Any]:
        batcher: Batcher[str, str] = Batcher([lane], batch_max=9)
        waits = [
            asyncio.create_task(batcher.submit(call, key="x", decide_by=NEVER))
            for call in ("x1", "x2", "x3")
        ]
        await asyncio.sleep(1.0)
        batcher.withdraw("x", lambda call: call != "x2")
        batcher.withdraw("y", lambda _: True)
        lane.is_ready = True
        batcher.dispatch()
        return list(await asyncio.gather(*waits, return_exceptions=True))

    first, second, third = run(main())
    assert isinstance(first, LedgerUnavailable)
    assert "x2" == second
    assert isinstance(third, LedgerUnavailable)
    assert [["x2"]] == calls_of(log)


def test_other_lane_goes_on() -> None:
    """While one lane is away the others take everything."""
    log: list[Made] = []
    lanes = (ScriptedLane(log, name="a", is_ready=False), ScriptedLane(log, name="b"))
    outcomes([(0, "x1", NEVER), (0.1, "y1", NEVER)], *lanes)
    assert {"b"} == {made.lane for made in log[:2]}


async def test_cancelled_caller() -> None:
    """A caller who goes away takes nobody with him."""
    log: list[Made] = []
    batcher: Batcher[str, str] = Batcher([ScriptedLane(log, [(0.01, answered)] * 9)], batch_max=9)
    by = asyncio.get_running_loop().time() + 60
    gone = asyncio.create_task(batcher.submit("x1", key="x", decide_by=by))
    stays = asyncio.create_task(batcher.submit("x2", key="x", decide_by=by))
    await asyncio.sleep(0)
    gone.cancel()
    assert "x2" == await stays
    await batcher.drain()
