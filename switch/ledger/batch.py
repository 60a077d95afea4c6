"""
Natural batching: many callers, few connections, no waiting for company.

While a lane is free a call goes out at once, alone. While all are busy callers
wait, and the next free lane takes all that wait, up to a cap. Calls with the same
key (the account) are made in order of arrival and never stand in two lanes at once,
so no batch of ours waits for another of ours. Callers know nothing of it.

Callers are of parties, the links: while there is more than can be done at once each
party gets its share, so that one that floods makes itself late and nobody else.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from switch.ledger.errors import (
    CallRefused,
    LedgerUnavailable,
    OutcomeUnknown,
    Overdue,
    Overloaded,
)
from switch.ledger.fair_queue import FairQueue
from switch.ledger.tally import Tally
from switch.ledger.time_limits import TimeLimits

Call = TypeVar("Call")
Answer = TypeVar("Answer")
Call_contra = TypeVar("Call_contra", contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)

#: Calls of one key that one batch takes: each is a round of its own inside the
#: transaction, and the other callers of the batch wait for all rounds.
ROUNDS_MAX = 8
#: How much longer than expected a queue may take: an answer that comes too late costs more than one
#: that is refused at once, for what it approved must be taken back.
CAUTION = 1.5
#: How long a call waits before it is made again when another process held its account.
RETRY_SECONDS = 0.003
#: How batches are told apart by their size, and by the seconds that they take.
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
SECONDS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)


class Retry(Exception):
    """As an answer: nothing happened, another process was in the way; make the call again."""


class Lane(Protocol[Call_contra, Answer_co]):
    """One connection that makes a batch of calls as one transaction."""

    @property
    def is_ready(self) -> bool:
        """Whether a batch may be handed to it now."""

    async def make(
        self, calls: Sequence[tuple[int, Call_contra]]
    ) -> Sequence[Answer_co | Exception]:
        """Make the calls, each with its round, and give their answers in order.

        Raises `CallRefused` when the batch is proven to be rolled back, and
        `OutcomeUnknown` when it may yet commit.
        """


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Call, Answer]):
    """A call and who waits for it."""

    call: Call
    key: Hashable
    party: Hashable
    answer: asyncio.Future[Answer]
    is_sent: bool = False


@dataclass(eq=False, slots=True)
class _Line(Generic[Call, Answer]):
    """The calls of one key, in order of arrival. They wait where the first one's party does."""

    party: Hashable
    calls: deque[_Waiting[Call, Answer]] = field(default_factory=deque)
    is_sent: bool = False


class Batcher(Generic[Call, Answer]):
    """Callers on one side, lanes on the other."""

    def __init__(
        self, lanes: Sequence[Lane[Call, Answer]], *, batch_max: int, one_key: bool = False
    ) -> None:
        """`batch_max`: the most calls that one transaction takes; `one_key`: all of one key."""
        self._lanes = lanes
        self._idle = list(lanes)
        self._lanes_to_count_on = 1  # never none; known anew after each batch, or a lane's return
        self._batch_max = batch_max
        self._enough = 1 if one_key else batch_max  # calls beside which no other key is taken
        self._lines: dict[Hashable, _Line[Call, Answer]] = {}
        self._ready = FairQueue[Hashable]()  # keys with calls that wait and none in a lane
        self._waiting = 0
        self._waiting_of: dict[Hashable, int] = {}  # the same by party, where some do
        self._call_seconds = 0.0  # running means, for the expected wait: of a batch,
        self._round_seconds = 0.0  # and of each round of one
        self.sizes, self.seconds = Tally(SIZES), Tally(SECONDS)  #: of the batches made so far
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._limits: TimeLimits[_Waiting[Call, Answer]] = TimeLimits(_is_done, self._expire)

    @property
    def waiting(self) -> int:
        """How many calls wait for a lane."""
        return self._waiting

    @property
    def lanes(self) -> int:
        """How many lanes there are to be."""
        return len(self._lanes)

    @property
    def lanes_ready(self) -> int:
        """How many lanes a batch could be handed to, now or when they are free."""
        return sum(lane.is_ready for lane in self._lanes)

    async def submit(
        self, call: Call, *, key: Hashable, decide_by: float, party: Hashable = None
    ) -> Answer:
        """Make a call; `decide_by` is a moment of the loop's clock.

        Raises `Overloaded` at once where the queue is too long for it, `Overdue` when
        it had not been sent by then (it never will be), and `OutcomeUnknown` when it
        had been sent and no answer came by then.
        """
        self.admit(key=key, decide_by=decide_by, party=party)
        waiting = _Waiting(call, key, party, self._loop.create_future())
        self._join(waiting)
        self._dispatch()
        limit = self._limits.add(waiting, decide_by)
        try:
            answer: Answer = await waiting.answer
        finally:
            self._limits.forget(limit)
        return answer

    def admit(self, *, key: Hashable, decide_by: float, party: Hashable = None) -> None:
        """Raise `Overloaded` where the queue is too long for a call: to be asked before work is
        put into it.
        """
        if time.monotonic() + self._expected_seconds(key, party) > decide_by:
            raise Overloaded

    def has_sent(self, key: Hashable) -> bool:
        """Whether calls of a key are in a lane."""
        line = self._lines.get(key)
        return line is not None and line.is_sent

    def withdraw(self, key: Hashable, is_meant: Callable[[Call], bool]) -> None:
        """Refuse those calls of a key that wait, as if there were no lane any more."""
        line = self._lines.get(key)
        for waiting in [one for one in (line.calls if line else ()) if is_meant(one.call)]:
            self._counts(waiting, -1)
            self._lines[key].calls.remove(waiting)
            if not waiting.answer.done():
                waiting.answer.set_exception(LedgerUnavailable())

    def dispatch(self) -> None:
        """Hand waiting calls to lanes, after a batch, and when a lane becomes ready again."""
        self._lanes_to_count_on = self.lanes_ready or 1
        self._dispatch()

    async def drain(self) -> None:
        """Return when no call is in a lane."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _expected_seconds(self, key: Hashable, party: Hashable) -> float:
        """Until a call that came now would be answered: what is on its way, what goes before it,
        then the call itself.

        Nothing while a lane is free: a call that was slow once must not keep all others out.
        """
        line = self._lines.get(key)
        if line is None and self._idle and any(lane.is_ready for lane in self._idle):
            return 0.0
        of_each = self._waiting_of.get(party, 0)
        before = min(self._waiting, of_each * len(self._waiting_of))
        batches = before / (self._enough * self._lanes_to_count_on)
        seconds = self._call_seconds * (1 + CAUTION * batches)
        if line is None:
            return seconds
        # Those of one key are made one after the other, and as many may be on their way.
        rounds = len(line.calls) + ROUNDS_MAX / 2
        return max(seconds, self._call_seconds + CAUTION * self._round_seconds * rounds)

    def _join(self, waiting: _Waiting[Call, Answer]) -> None:
        line = self._lines.get(waiting.key)
        if line is None:
            # A line that exists stands in `_ready` or is sent, also when all of it was
            # withdrawn: a key that were ready twice would be taken twice.
            line = self._lines[waiting.key] = _Line(waiting.party)
            self._ready.add(waiting.key, waiting.party)
        line.calls.append(waiting)
        self._counts(waiting, 1)

    def _counts(self, waiting: _Waiting[Call, Answer], change: int) -> None:
        """One more waits, or one less."""
        self._waiting += change
        count = self._waiting_of.get(waiting.party, 0) + change
        if count:
            self._waiting_of[waiting.party] = count
        else:
            del self._waiting_of[waiting.party]

    def _expire(self, waiting: _Waiting[Call, Answer]) -> None:
        """The time to decide is over: withdraw a call that waits, leave one that was sent."""
        if waiting.answer.done():
            return
        if waiting.is_sent:
            waiting.answer.set_exception(OutcomeUnknown())
            return
        self._counts(waiting, -1)
        self._lines[waiting.key].calls.remove(waiting)
        waiting.answer.set_exception(Overdue())

    def _dispatch(self) -> None:
        while self._ready:
            lane = next((lane for lane in self._idle if lane.is_ready), None)
            if lane is None:
                return
            batch = self._take()
            if not batch:
                return
            self._idle.remove(lane)
            task = self._loop.create_task(self._serve(lane, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _take(self) -> list[tuple[int, _Waiting[Call, Answer]]]:
        """The next batch: whole lines, each party's oldest first, up to the cap."""
        batch: list[tuple[int, _Waiting[Call, Answer]]] = []
        while self._ready and len(batch) < self._enough:
            key = self._ready.take()
            line = self._lines[key]
            for turn in range(min(len(line.calls), ROUNDS_MAX, self._batch_max - len(batch))):
                waiting = line.calls.popleft()
                waiting.is_sent = True
                self._counts(waiting, -1)
                batch.append((turn, waiting))
                line.is_sent = True
            if not line.is_sent:  # all of it was withdrawn
                del self._lines[key]
        return batch

    async def _serve(
        self, lane: Lane[Call, Answer], batch: list[tuple[int, _Waiting[Call, Answer]]]
    ) -> None:
        """Make a batch, then what waits by then, and so on while something does.

        The next batch leaves before those who waited for this one go on: the database works on it
        while they make their answers.
        """
        try:
            while batch:
                await self._make_and_release(lane, batch)
                batch = self._take() if lane.is_ready else []
                self._dispatch()  # what is left of the keys let go, where another lane is free
        finally:
            self._idle.append(lane)
            self.dispatch()

    async def _make_and_release(
        self, lane: Lane[Call, Answer], batch: list[tuple[int, _Waiting[Call, Answer]]]
    ) -> None:
        """Make a batch, note how long it took, and let the next calls of its keys go."""
        started = time.monotonic()
        again: list[_Waiting[Call, Answer]] = []
        try:
            again = await self._make(lane, batch)
        finally:
            seconds = time.monotonic() - started
            self.sizes.add(len(batch))
            self.seconds.add(seconds)
            if not again:  # who finds an account locked is soon back, and has done nothing
                rounds = 1 + max(turn for turn, _ in batch)
                self._call_seconds += 0.1 * (seconds - self._call_seconds)
                self._round_seconds += 0.1 * (seconds / rounds - self._round_seconds)
            self._release({waiting.key for _, waiting in batch}, again)
            self._lanes_to_count_on = self.lanes_ready or 1

    async def _make(
        self, lane: Lane[Call, Answer], batch: list[tuple[int, _Waiting[Call, Answer]]]
    ) -> list[_Waiting[Call, Answer]]:
        """Make the calls and settle them; give back those to be made again."""
        try:
            answers = await lane.make([(turn, waiting.call) for turn, waiting in batch])
        except CallRefused as refusal:
            if len(batch) == 1:
                _settle(batch[0][1], refusal)
                return []
            return await self._make_in_halves(lane, [waiting for _, waiting in batch])
        except Exception as error:  # noqa: BLE001 - a bug here must not strand the callers
            for _, waiting in batch:
                _settle(waiting, error)
            return []
        again = []
        for (_, waiting), answer in zip(batch, answers, strict=True):
            if isinstance(answer, Retry):
                again.append(waiting)
            else:
                _settle(waiting, answer)
        return again

    async def _make_in_halves(
        self, lane: Lane[Call, Answer], batch: list[_Waiting[Call, Answer]]
    ) -> list[_Waiting[Call, Answer]]:
        """Rolled back, so nobody's fault is anybody else's: try each half by itself, in order of
        arrival, until whoever is refused stands alone. One by one a large batch would take longer
        than its callers have.
        """
        again: list[_Waiting[Call, Answer]] = []
        held_up: set[Hashable] = set()
        middle = len(batch) // 2
        for half in (batch[:middle], batch[middle:]):
            again += [waiting for waiting in half if waiting.key in held_up]
            going = [waiting for waiting in half if waiting.key not in held_up]
            if going:
                back = await self._make(lane, _in_rounds(going))
                again += back
                held_up |= {waiting.key for waiting in back}
        return again

    def _release(self, keys: set[Hashable], again: Sequence[_Waiting[Call, Answer]]) -> None:
        """Let the next calls of these keys go; those to be made again go first, a little later."""
        for waiting in reversed(again):
            if not waiting.answer.done():
                waiting.is_sent = False
                self._lines[waiting.key].calls.appendleft(waiting)
                self._counts(waiting, 1)
        held_up = {waiting.key for waiting in again}
        for key in keys - held_up:
            self._free(key)
        for key in held_up:
            self._loop.call_later(RETRY_SECONDS, self._free_and_dispatch, key)

    def _free_and_dispatch(self, key: Hashable) -> None:
        self._free(key)
        self._dispatch()

    def _free(self, key: Hashable) -> None:
        line = self._lines[key]
        line.is_sent = False
        if line.calls:
            self._ready.add(key, line.party)
        else:
            del self._lines[key]


def _is_done(waiting: _Waiting[Any, Any]) -> bool:
    return waiting.answer.done()


def _in_rounds(
    batch: Sequence[_Waiting[Call, Answer]],
) -> list[tuple[int, _Waiting[Call, Answer]]]:
    """Each call with its place among those of its key."""
    taken: dict[Hashable, int] = {}
    rounds = []
    for waiting in batch:
        turn = taken.get(waiting.key, 0)
        taken[waiting.key] = turn + 1
        rounds.append((turn, waiting))
    return rounds


def _settle(waiting: _Waiting[Call, Answer], answer: Answer | Exception) -> None:
    if waiting.answer.done():  # its time was over; the caller has gone
        return
    if isinstance(answer, OutcomeUnknown):
        waiting.answer.set_exception(OutcomeUnknown())
    elif isinstance(answer, Exception):
        waiting.answer.set_exception(answer)
    else:
        waiting.answer.set_result(answer)
