"""Lanes that do as they are told, and what a batcher over them does with arrivals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from switch.ledger.batch import Batcher, Retry
from switch.ledger.errors import CallRefused
from tests.ledger.virtual import run

NEVER = 1e5
CALL_SECONDS = 1.0

#: What a lane does with a batch: seconds that it takes, then what is raised or answered.
Deed = Callable[[Sequence[tuple[int, Any]]], Sequence[Any]]


def answered(calls: Sequence[tuple[int, Any]]) -> Sequence[Any]:
    """Every call is its own answer."""
    return [call for _, call in calls]


def again(*keys: str) -> Deed:
    """Other processes hold these keys (the first letters of calls)."""
    return lambda calls: [Retry() if call[0] in keys else call for _, call in calls]


def raises(error: Exception) -> Deed:
    """The batch fails."""

    def deed(_: Sequence[tuple[int, Any]]) -> Sequence[Any]:
        raise error

    return deed


def refuses(poison: str) -> Deed:
    """The database refuses every batch that has this call in it."""

    def deed(calls: Sequence[tuple[int, Any]]) -> Sequence[Any]:
        if poison in [call for _, call in calls]:
            raise CallRefused("DataError 22000")
        return answered(calls)

    return deed


@dataclass
class Made:
    """One batch that a lane made."""

    lane: str
    start: float
    calls: list[tuple[int, Any]]
    end: float = NEVER
    answers: Sequence[Any] | None = None  #: none: it raised


@dataclass
class ScriptedLane:
    """A lane that follows a script, then answers everything."""

    log: list[Made]
    script: list[tuple[float, Deed]] = field(default_factory=list)
    name: str = "a"
    is_ready: bool = True

    async def make(self, calls: Sequence[tuple[int, Any]]) -> Sequence[Any]:
        """Note the batch, take its time, do the deed."""
        seconds, deed = self.script.pop(0) if self.script else (CALL_SECONDS, answered)
        loop = asyncio.get_running_loop()
        made = Made(self.name, loop.time(), list(calls))
        self.log.append(made)
        try:
            await asyncio.sleep(seconds)
            made.answers = deed(calls)
        finally:
            made.end = loop.time()
        return made.answers


Arrival = tuple[float, str, float]  # when, what (its first letter is the key), how long it waits


def outcomes(
    arrivals: Sequence[Arrival],
    *lanes: ScriptedLane,
    batch_max: int = 64,
    one_key: bool = False,
) -> list[tuple[float, Any]]:
    """Send calls to a batcher; when each ended, and its answer or the kind of its error."""

    async def main() -> list[tuple[float, Any]]:
        batcher: Batcher[str, str] = Batcher(lanes, batch_max=batch_max, one_key=one_key)
        loop = asyncio.get_running_loop()

        async def one(when: float, call: str, patience: float) -> tuple[float, Any]:
            await asyncio.sleep(when)
            try:
                result: Any = await batcher.submit(
                    call, key=call[0], decide_by=loop.time() + patience
                )
            except Exception as error:  # noqa: BLE001 - how it ended is the question
                result = type(error)
            return loop.time(), result

        ended = await asyncio.gather(*(one(*arrival) for arrival in arrivals))
        await asyncio.sleep(NEVER)
        assert 0 == batcher.waiting
        await batcher.drain()
        # Nothing is left behind: the next call goes out at once, alone.
        for lane in lanes:
            lane.is_ready, lane.script = True, []
        assert "after" == await batcher.submit("after", key="after", decide_by=9 * NEVER)
        return ended

    return run(main())


def calls_of(log: Sequence[Made]) -> list[list[str]]:
    """What each batch took."""
    return [[call for _, call in made.calls] for made in log if made.calls[0][1] != "after"]
