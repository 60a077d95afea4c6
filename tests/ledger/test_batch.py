"""Natural batching, over lanes that do as they are told on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from switch.ledger.batch import RETRY_SECONDS, ROUNDS_MAX, Batcher
from switch.ledger.errors import (
    CallRefused,
    LedgerUnavailable,
    OutcomeUnknown,
    Overdue,
    Overloaded,
)
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


def test_overloaded() -> None:
    """Where the queue is longer than its time allows, a call is refused at once."""
    log: list[Made] = []
    lane = ScriptedLane(log, [(100.0, answered)] * 9)
    crowd = [(200.0 + i / 10, f"{chr(200 + i)}1", NEVER) for i in range(9)]
    arrivals = [(0, "x1", NEVER), *crowd, (202.0, "w1", 5.0), (202.0, "v1", NEVER)]
    ended = outcomes(arrivals, lane, batch_max=1)
    assert (202.0, Overloaded) == ended[-2]
    assert "v1" == ended[-1][1]
    assert ["w1"] not in calls_of(log)


# ---- faults -----------------------------------------------------------------------------------


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


# ---- parties ----------------------------------------------------------------------------------


def in_parties(crowd: int, *, patience: float) -> tuple[list[Made], list[Any]]:
    """A crowd of one party, then one call of another, at one lane that takes four at once."""
    log: list[Made] = []

    async def main() -> list[Any]:
        batcher: Batcher[str, str] = Batcher([ScriptedLane(log)], batch_max=4)
        loop = asyncio.get_running_loop()

        async def one(party: str, number: int, seconds: float) -> Any:
            by = loop.time() + seconds
            return await batcher.submit(
                f"{party}{number}", key=(party, number), decide_by=by, party=party
            )

        await asyncio.gather(*(one("y", number, NEVER) for number in range(9)))  # to know
        del log[:]
        many = [asyncio.create_task(one("x", number, NEVER)) for number in range(crowd)]
        await asyncio.sleep(0.1)
        few = asyncio.create_task(one("z", 0, patience))
        return await asyncio.gather(*many, few, return_exceptions=True)

    return log, run(main())


def test_parties_take_turns() -> None:
    """One call of a party that waits goes with the next batch, however many another one has."""
    log, ended = in_parties(100, patience=NEVER)
    assert "z0" in calls_of(log)[1]
    assert "z0" == ended[-1]


def test_a_crowd_of_another_party_keeps_nobody_out() -> None:
    """Whether there is time for a call is asked of its party's turn, and not of the whole queue."""
    _, ended = in_parties(100, patience=2.5)
    assert "z0" == ended[-1]


def test_parties_that_have_nothing_to_ask_do_not_count() -> None:
    """A party shares with those that wait now, and not with all that ever came."""

    async def main() -> list[Any]:
        batcher: Batcher[str, str] = Batcher([ScriptedLane([])], batch_max=4)
        loop = asyncio.get_running_loop()

        async def one(party: str, number: int, seconds: float) -> Any:
            return await batcher.submit(
                f"{party}{number}",
                key=(party, number),
                decide_by=loop.time() + seconds,
                party=party,
            )

        for _ in range(10):  # one second a batch: learnt
            await asyncio.gather(*(one(party, 0, NEVER) for party in "abcdefghi"))
        asked = [asyncio.create_task(one("x", number, NEVER)) for number in range(100)]
        await asyncio.sleep(0.1)
        asked.append(asyncio.create_task(one("z", 0, NEVER)))
        await asyncio.sleep(0)
        asked.append(asyncio.create_task(one("z", 1, 3.0)))
        return await asyncio.gather(*asked, return_exceptions=True)

    assert ["z0", "z1"] == run(main())[-2:]


def test_a_lane_that_is_down_is_not_free() -> None:
    """With one of two connections down it is the other's queue that says who comes too late."""
    log: list[Made] = []
    lanes = ScriptedLane(log, name="a"), ScriptedLane(log, name="b", is_ready=False)
    slow = [(i * 2.0, f"{chr(300 + i)}1", NEVER) for i in range(20)]  # one second each: learnt
    crowd = [(50.0, f"{chr(400 + i)}1", NEVER) for i in range(20)]
    ended = outcomes([*slow, *crowd, (50.1, "w1", 2.0)], *lanes, batch_max=1)
    assert (50.1, Overloaded) == ended[-1]


def test_lanes_share_the_queue() -> None:
    """With two connections a queue is expected to take half of what it takes with one."""
    for count, wanted in ((2, "w1"), (1, Overloaded)):
        lanes = [ScriptedLane([], name=name) for name in "ab"[:count]]
        slow = [(i * 2.0, f"{chr(300 + i)}1", NEVER) for i in range(20)]  # one second each: learnt
        crowd = [(50.0, f"{chr(400 + i)}1", NEVER) for i in range(18 + count)]
        ended = outcomes([*slow, *crowd, (50.1, "w1", 20.0)], *lanes, batch_max=1)
        assert wanted == ended[-1][1]


def test_a_hot_key_is_asked_of_its_own_line() -> None:
    """Calls of one key are made one after the other: what would come too late is refused at once,
    though lanes are free, and nobody else is.
    """
    log: list[Made] = []
    lanes = ScriptedLane(log, name="a"), ScriptedLane(log, name="b")
    slow = [(i * 2.0, f"{chr(300 + i)}1", NEVER) for i in range(30)]  # one second each: learnt
    line = [(100 + i / 100, f"x{i:02}", NEVER) for i in range(5 * ROUNDS_MAX)]
    ended = outcomes([*slow, *line, (101.5, "x98", 5.0), (101.6, "y1", 5.0)], *lanes)
    assert [(101.5, Overloaded), (102.6, "y1")] == ended[-2:]
