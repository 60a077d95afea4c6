"""Natural batching, over lanes that do as they are told on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from switch.ledger.batch import RETRY_SECONDS, ROUNDS_MAX, Batcher
from switch.ledger.errors import OutcomeUnknown, Overdue
from tests.ledger.lanes import NEVER, Made, ScriptedLane, again, answered, calls_of, outcomes
from tests.ledger.virtual import run

# ---- alone, grouped ---------------------------------------------------------------------------


def test_alone_when_free() -> None:
    """While a lane is free a call goes out at once, alone."""
    log: list[Made] = []
    lanes = (ScriptedLane(log, name="a"), ScriptedLane(log, name="b"))
    ended = outcomes([(0, "x1", NEVER), (0, "y1", NEVER), (5, "z1", NEVER)], *lanes)
    assert [(1.0, "x1"), (1.0, "y1"), (6.0, "z1")] == ended
    assert [["x1"], ["y1"], ["z1"]] == calls_of(log)


def test_grouped_when_busy() -> None:
    """While all lanes are busy callers wait, and the next free lane takes all that wait."""
    log: list[Made] = []
    arrivals = [(0, "x1", NEVER), (0.1, "y1", NEVER), (0.2, "x2", NEVER), (0.3, "z1", NEVER)]
    ended = outcomes(arrivals, ScriptedLane(log))
    assert [(1.0, "x1"), (2.0, "y1"), (2.0, "x2"), (2.0, "z1")] == ended
    assert [["x1"], ["y1", "z1", "x2"]] == calls_of(log)


def test_the_next_batch_leaves_first() -> None:
    """A lane has its next batch before those who waited for the last one go on."""
    log: list[Made] = []

    async def main() -> list[list[list[str]]]:
        batcher: Batcher[str, str] = Batcher([ScriptedLane(log)], batch_max=9)

        async def left_by_then(call: str) -> list[list[str]]:
            await batcher.submit(call, key=call, decide_by=NEVER)
            return calls_of(log)

        return await asyncio.gather(*map(left_by_then, "xyz"))

    first, *others = run(main())
    assert [["x"], ["y", "z"]] == first
    assert [first, first] == others


def test_batch_max() -> None:
    """A batch takes no more than its cap, the longest waiting first."""
    log: list[Made] = []
    outcomes([(i / 100, f"{key}1", NEVER) for i, key in enumerate("uvwxyz")],
             ScriptedLane(log), batch_max=2)  # fmt: skip
    assert [["u1"], ["v1", "w1"], ["x1", "y1"], ["z1"]] == calls_of(log)


def test_one_key() -> None:
    """Where a batch is of one key it takes all that wait of it, and nobody else's."""
    log: list[Made] = []
    arrivals = [(i / 100, call, NEVER) for i, call in enumerate(["u1", "x1", "y1", "x2", "y2"])]
    outcomes(arrivals, ScriptedLane(log), one_key=True)
    assert [["u1"], ["x1", "x2"], ["y1", "y2"]] == calls_of(log)


def test_rounds() -> None:
    """Calls of one key are rounds of one batch, in order of arrival, up to their cap."""
    log: list[Made] = []
    arrivals = [(i / 100, f"x{i:02}", NEVER) for i in range(ROUNDS_MAX + 3)]
    outcomes(arrivals, ScriptedLane(log))
    assert [(0, "x00")] == log[0].calls
    assert [(i, f"x{i + 1:02}") for i in range(ROUNDS_MAX)] == log[1].calls
    assert [(0, "x09"), (1, "x10")] == log[2].calls


def test_one_key_one_lane() -> None:
    """Calls of one key never stand in two lanes at once, though a lane is free."""
    log: list[Made] = []
    lanes = (ScriptedLane(log, name="a"), ScriptedLane(log, name="b"))
    ended = outcomes([(0, "x1", NEVER), (0.5, "x2", NEVER)], *lanes)
    assert [(1.0, "x1"), (2.0, "x2")] == ended


def test_the_rest_has_the_free_lane() -> None:
    """What a lane leaves of the keys that it let go has another that is free, at once."""
    log: list[Made] = []
    lanes = (
        ScriptedLane(log, [(1, answered), (2, answered)]),
        ScriptedLane(log, [(1.5, answered)], name="b"),
    )
    early = [(0.0, "v1", NEVER), (0.1, "w1", NEVER), (0.5, "x1", NEVER), (0.6, "y1", NEVER)]
    late = [(2 + i / 10, call, NEVER) for i, call in enumerate(("x2", "x3", "y2", "y3"))]
    outcomes([*early, *late], *lanes, batch_max=2)
    assert [["v1"], ["w1"], ["x1", "y1"]] == calls_of(log[:3])
    assert [["x2", "x3"], ["y2", "y3"]] == sorted(calls_of(log[3:5]))  # either key may be first
    assert [("a", 3.0), ("b", 3.0)] == sorted((made.lane, made.start) for made in log[3:5])


# ---- again ------------------------------------------------------------------------------------


def test_retry() -> None:
    """A call that met another process's lock is made again a little later, before its followers."""
    log: list[Made] = []
    lane = ScriptedLane(log, [(1, again("x"))])
    ended = outcomes([(0, "x1", NEVER), (0.5, "x2", NEVER), (0.5, "y1", NEVER)], lane)
    assert [["x1"], ["y1"], ["x1", "x2"]] == calls_of(log)
    assert [3.0, 3.0, 2.0] == [end for end, _ in ended]


def test_retry_alone() -> None:
    """What is made again waits a moment, and holds nobody else up meanwhile."""
    log: list[Made] = []
    outcomes([(0, "x1", NEVER)], ScriptedLane(log, [(0.5, again("x"))] * 3))
    starts = [made.start for made in log[:4]]
    assert pytest.approx([0.5 + RETRY_SECONDS] * 3) == [
        later - earlier for earlier, later in itertools.pairwise(starts)
    ]


def test_retry_until_its_time() -> None:
    """A call that is still held up when its time is over is overdue, and is made no more."""
    log: list[Made] = []
    ended = outcomes([(0, "x1", 1.0)], ScriptedLane(log, [(0, again("x"))] * 10_000))
    assert [(1.0, Overdue)] == ended
    assert all(made.start <= 1.0 for made in log[:-1])


# ---- too late ---------------------------------------------------------------------------------


def test_overdue() -> None:
    """What still waits when its time is over is overdue, and never sent."""
    log: list[Made] = []
    ended = outcomes([(0, "x1", NEVER), (0.1, "y1", 0.5)], ScriptedLane(log))
    assert [(1.0, "x1"), (0.6, Overdue)] == ended
    assert [["x1"]] == calls_of(log)


def test_outcome_unknown() -> None:
    """What was sent and is not back in time may yet happen."""
    log: list[Made] = []
    ended = outcomes([(0, "x1", 0.5), (0.1, "x2", NEVER)], ScriptedLane(log))
    assert [(0.5, OutcomeUnknown), (2.0, "x2")] == ended


def test_withdrawn_and_followed() -> None:
    """After one was withdrawn, the next calls of its key still never stand in two lanes."""
    log: list[Made] = []
    lanes = (ScriptedLane(log, name="a"), ScriptedLane(log, [(1.5, answered)], name="b"))
    arrivals = [(0, "y1", NEVER), (0, "z1", NEVER), (0.1, "x1", 0.1),
                (0.3, "x2", NEVER), (0.4, "x3", NEVER)]  # fmt: skip
    ended = outcomes(arrivals, *lanes, batch_max=1)
    assert [["y1"], ["z1"], ["x2"], ["x3"]] == calls_of(log)
    assert [Overdue, (2.0, "x2"), (3.0, "x3")] == [ended[2][1], *ended[3:]]


def test_withdrawn_and_many_followed() -> None:
    """After one was withdrawn, a batch still has each round of its key once."""
    log: list[Made] = []
    followers = [(0.3 + i / 100, f"x{i:02}", NEVER) for i in range(ROUNDS_MAX + 4)]
    outcomes([(0, "y1", NEVER), (0.1, "xx", 0.1), *followers], ScriptedLane(log))
    assert list(range(ROUNDS_MAX)) == [turn for turn, _ in log[1].calls]
