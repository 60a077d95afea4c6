"""Who is let in: what would come too late is refused at once, and each party has its share."""

from __future__ import annotations

import asyncio
from typing import Any

from switch.ledger.batch import ROUNDS_MAX, Batcher
from switch.ledger.errors import Overloaded
from tests.ledger.lanes import NEVER, Made, ScriptedLane, answered, calls_of, outcomes
from tests.ledger.virtual import run


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
