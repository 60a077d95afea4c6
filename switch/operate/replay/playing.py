"""
Plays a load: sends each message when it is due, takes answers as they come.

Plain sockets and select(2), because its timeout counts microseconds where an event loop's
counts milliseconds. A latency is counted from the moment at which a message was due: neither
the player nor the other side can hide that it fell behind.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from specs.spec import Spec
from switch.operate.replay.error import ReplayError
from switch.operate.replay.fresh import Fresh, Outgoing
from switch.operate.replay.matching import Book, Expected, Found, Sent, Verdict
from switch.operate.replay.peers import CONNECTIONS_MAX, Crowd, Peer, connect
from switch.operate.replay.scenario import Step
from switch.operate.replay.tally import Approval, Clockwork, Second, Tally
from switch.wire.conversation import Format
from switch.wire.places import Places

_PAN, _TRANSMITTED, _STAN, _RRN, _AUTHORIZATION_CODE, _CODE = 2, 7, 11, 37, 38, 39

#: Messages that go out before answers are looked at again, where a load falls behind.
_AT_ONCE_MAX = 64
#: Unanswered messages whose answers are still looked for.
_OVERDUE_MAX = 100_000


@dataclass(frozen=True, slots=True)
class Load:
    """How a recording is played."""

    addresses: Sequence[str]
    connections: int = 1  #: to each address
    due: Iterator[float] | None = None  #: seconds from the beginning; none: a closed loop
    in_flight: int = 1  #: of a closed loop
    rounds: int | None = 1  #: how often the recording is played; none: until `seconds` are over
    seconds: float | None = None
    timeout: float = 5.0


class LoadPlayer:
    """Plays steps that have their bytes, as they are or as new messages."""

    def __init__(
        self, steps: Sequence[Step], spec: Spec, form: Format, load: Load, *,
        fresh: Fresh | None = None, keep_approvals: bool = False,
        on_second: Callable[[Second], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Raises `ReplayError` where there is nothing to play, or too many connections."""
        if not steps:
            raise ReplayError("there is nothing to play")
        if len(load.addresses) * load.connections > CONNECTIONS_MAX:
            raise ReplayError(f"no more than {CONNECTIONS_MAX} connections at once")
        self.tally = Tally(kept=[] if keep_approvals else None)
        self._steps, self._spec, self._form, self._load = steps, spec, form, load
        self._fresh, self._on_second = fresh, on_second
        places = Places(spec)
        self._recorded = [Outgoing.recorded(step, places) for step in steps]
        self._expected = [
            Expected.of(step, spec) if message.places else Expected.nothing()
            for step, message in zip(steps, self._recorded, strict=True)
        ]
        self._lanes = _lanes(steps)
        self._clockwork = Clockwork(self.tally)
        self._waiting: deque[tuple[Peer, Sent]] = deque()  # by when they were due
        self._overdue: deque[tuple[Peer, Sent]] = deque()
        self._in_flight = 0
        self._number = 0

    def play(self) -> Tally:
        """Play to the end. Raises `ReplayError` where a link cannot be reached."""
        opened = [
            connect(address, self._form, Book(self._spec))
            for address in self._load.addresses
            for _ in range(self._load.connections)
        ]
        peers = Crowd(opened, self._lost)
        try:
            with _undisturbed(self.tally):
                self._play(peers)
        finally:
            peers.close()
            self._give_up()
        return self.tally

    def _give_up(self) -> None:
        """What has no answer by now counts as one that took the whole timeout, at the least."""
        self.tally.unanswered += sum(not sent.is_answered for _, sent in self._waiting)
        if self._clockwork.has_counted:
            self._on_second(self._clockwork.end(self._in_flight))
        if self.tally.unanswered:
            self.tally.latencies.add(self._load.timeout, self.tally.unanswered)

    def _play(self, peers: Crowd) -> None:
        began = time.perf_counter()

        def read(peer: Peer, payloads: Sequence[bytes]) -> None:
            now = time.perf_counter() - began
            for payload in payloads:
                self._take(peer.book.receive(payload), now)

        due = self._due()
        next_due = next(due, None)
        while peers and (next_due is not None or self._in_flight):
            now = time.perf_counter() - began
            for _ in range(_AT_ONCE_MAX):
                if next_due is None or not self._may_send(next_due, now):
                    break
                self._send(peers, next_due if next_due >= 0 else now, self._number)
                next_due = next(due, None)
            peers.flush()
            self._expire(now)
            self._tell_seconds(now)
            peers.receive(self._patience(next_due, now), read)

    def _due(self) -> Iterator[float]:
        """When messages are due: all of them, or those of the load's seconds. Below zero: now."""
        load = self._load
        due = load.due if load.due is not None else itertools.repeat(-1.0)
        if load.rounds is not None:
            due = itertools.islice(due, load.rounds * len(self._steps))
        if load.seconds is None:
            return due
        seconds = load.seconds
        if load.due is not None:
            return itertools.takewhile(lambda at: at < seconds, due)
        ends = time.perf_counter() + seconds
        return itertools.takewhile(lambda _: time.perf_counter() < ends, due)

    def _may_send(self, due: float, now: float) -> bool:
        return due <= now if due >= 0 else self._in_flight < self._load.in_flight

    def _patience(self, next_due: float | None, now: float) -> float:
        """How long there is nothing to do but to wait for answers."""
        until = self._clockwork.next_end
        if next_due is not None and next_due >= 0:
            until = min(until, next_due)
        elif next_due is not None and self._in_flight < self._load.in_flight:
            return 0.0
        if self._waiting:
            until = min(until, self._waiting[0][1].due + self._load.timeout)
        return max(0.0, until - now)

    def _send(self, peers: Crowd, due: float, number: int) -> None:
        round_, place = divmod(number, len(self._steps))
        if self._fresh is not None and not place:
            self._fresh.begin_round()
        message = self._fresh.make(place) if self._fresh else self._recorded[place]
        peer = peers[(self._lanes[place] + round_) % len(peers)]
        peer.write(self._form.request(message.payload))
        self._number += 1
        self.tally.sent += 1
        expected = self._expected[place]
        if expected.head:
            sent = Sent(place, self._fresh.round if self._fresh else 0, due, message, expected)
            peer.book.send(sent)
            self._waiting.append((peer, sent))
            self._in_flight += 1

    def _lost(self, _: Peer) -> None:
        self.tally.lost += 1

    def _take(self, found: Found, now: float) -> None:
        """Count what came."""
        tally, sent = self.tally, found.sent
        if sent is None:
            counted = {
                Verdict.DUPLICATE: "duplicates",
                Verdict.UNREADABLE: "unreadable",
                Verdict.UNASKED: "unasked",
            }[found.verdict]
            setattr(tally, counted, getattr(tally, counted) + 1)
            return
        tally.answered += 1
        tally.seconds = now
        self._clockwork.add(now - sent.due)
        if sent.is_overdue:
            tally.unanswered -= 1
            tally.late += 1
        else:
            self._in_flight -= 1
        if self._fresh is not None:
            given = value_text(found.authorization_code, _AUTHORIZATION_CODE, self._spec)
            self._fresh.learn(sent.round, sent.step, given)
        code = code_text(found.code, self._spec)
        tally.codes[code] += 1
        if sent.expected.is_decision and code in self._spec.approving:
            tally.approvals += 1
            if tally.kept is not None:
                given = value_text(found.authorization_code, _AUTHORIZATION_CODE, self._spec)
                tally.kept.append(approval_of(sent.message, given, self._spec))
        if found.differences:
            tally.wrong += 1
            step = self._steps[sent.step]
            which = ", ".join(f"DE{number}" for number in found.differences)
            answered = f"answered {code}" if _CODE in found.differences else "not as it was sent"
            tally.tell(f"message {step.number} ({step.mti}): {which}: {answered}")

    def _expire(self, now: float) -> None:
        """Wait no longer for what has no answer in time; forget what has one."""
        give_up = now - self._load.timeout
        while self._waiting and self._waiting[0][1].due <= give_up:
            peer, sent = self._waiting.popleft()
            if sent.is_answered:
                peer.book.forget(sent)
                continue
            sent.is_overdue = True
            self._in_flight -= 1
            self.tally.unanswered += 1
            self._overdue.append((peer, sent))
            if len(self._overdue) > _OVERDUE_MAX:
                peer, sent = self._overdue.popleft()
                peer.book.forget(sent)

    def _tell_seconds(self, now: float) -> None:
        while now >= self._clockwork.next_end:
            self._on_second(self._clockwork.end(self._in_flight))


def code_text(raw: bytes, spec: Spec) -> str:
    """DE39 as it is written: "00", "000"; "none" where there is none."""
    return value_text(raw, _CODE, spec) or "none"


def value_text(raw: bytes, number: int, spec: Spec) -> str:
    """A fixed field of text or digits, from its bytes on the wire."""
    field = spec.fields[number]
    if field.encoding == "bcd-right":
        return raw.hex()[: field.length]
    if field.encoding == "bcd":
        return raw.hex()[-field.length :]
    return raw.decode(field.encoding, "replace")


def approval_of(message: Outgoing, code: str, spec: Spec) -> Approval:
    """What the row of an approved message is found by: its DE7 too, whatever its version."""

    def text(number: int) -> str:
        place = message.places.get(number)
        return value_text(message.payload[place], number, spec) if place else ""

    return Approval(text(_STAN), text(_TRANSMITTED), text(_RRN), code)


def _lanes(steps: Sequence[Step]) -> list[int]:
    """Which connection a step goes over: as in the capture; else a card keeps to one."""
    if any(step.connection for step in steps):
        return [step.connection for step in steps]
    lanes: dict[str, int] = {}
    return [
        lanes.setdefault(step.fields.get(_PAN) or f"step {place}", len(lanes))
        for place, step in enumerate(steps)
    ]


@contextmanager
def _undisturbed(tally: Tally) -> Iterator[None]:
    """Without garbage collection, whose pauses would be measured as the other side's."""
    gc.collect()
    gc.disable()
    before = time.process_time()
    try:
        yield
    finally:
        tally.cpu_seconds = time.process_time() - before
        gc.enable()
