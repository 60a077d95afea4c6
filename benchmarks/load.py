"""
The load: so many messages in flight, or so many a second, over a few connections.

Plain sockets and select(2), because its timeout counts microseconds where an event
loop's counts milliseconds: at 200 messages a second that would be all one measures.
Runs in a thread; `stop()` from another one ends it.

It shares the processors with what it measures, so that it does as little as it can: a
message is one formatting of parts made before, and a read of whole answers is taken apart
by one regular expression.
"""

from __future__ import annotations

import gc
import random
import re
import select
import socket
import time
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.traffic import DIALECT, Traffic
from switch.wire.message import decode

CONNECTIONS = 4

#: How long an answer is waited for, in seconds: longer than the link's deadline, after which
#: none comes. What has none by then is unanswered.
PATIENCE_SECONDS = 1.0

#: Bytes taken from a socket at once.
_READ = 1 << 16

#: The frame of an approval and of any other answer: its length, MTI, and the bitmap of DE3 4 7 11
#: 32 33 37 38 39 41 42 49, the other's without DE38. DE3 to DE33 are 50 bytes, DE32 and DE33 of
#: eight each; then DE37, DE38 of six, DE39, and DE41, DE42 and DE49 of 26.
_ANSWERS = re.compile(
    rb"\x00\x740110322000018EC08000.{50}([0-9]{12}).{6}00.{26}"
    rb"|\x00\x6e0110322000018AC08000.{50}([0-9]{12})(..).{26}",
    re.DOTALL,
)
_APPROVAL_SIZE, _OTHER_SIZE = 118, 112


@dataclass(slots=True)
class Result:
    """What came of one load."""

    seconds: float = 0.0  #: from the first message to the end of the load
    sent: int = 0
    answered: int = 0  #: within those seconds
    approved: array[int] = field(default_factory=lambda: array("q"))  #: the numbers answered 00
    latencies: array[float] = field(default_factory=lambda: array("d"))  #: seconds, of 00s
    codes: Counter[str] = field(default_factory=Counter)  #: every answer by its DE39
    cpu_seconds: float = 0.0  #: that the generator itself took

    @property
    def approved_per_s(self) -> float:
        """Approvals in the load's seconds; what came after its end is not counted."""
        return self.answered / self.seconds

    @property
    def unanswered(self) -> int:
        """Messages that got no answer at all."""
        return self.sent - self.codes.total()

    @property
    def others(self) -> dict[str, int]:
        """How many answers were not 00, by their code."""
        return {code: count for code, count in sorted(self.codes.items()) if code != "00"}

    def take(self, numbers: list[int], waiting: dict[int, float], now: float) -> None:
        """Approvals that came at one moment. Those of messages given up before are late: they
        have their row, and are no answer.
        """
        self.approved.extend(numbers)
        began = [waiting.pop(number, None) for number in numbers]
        in_time = [now - moment for moment in began if moment is not None]
        self.latencies.extend(in_time)
        self.codes["00"] += len(in_time)

    def slower_than(self, seconds: float) -> int:
        """How many approvals took longer than that."""
        return sum(latency > seconds for latency in self.latencies)

    def quantile_ms(self, quantile: float) -> float:
        """A quantile of the latencies, in milliseconds."""
        return quantile_ms(self.latencies, quantile)


def quantile_ms(seconds: array[float], quantile: float) -> float:
    """The least latency that this share of them does not exceed."""
    ordered = sorted(seconds)
    if not ordered:
        return float("nan")
    place = min(len(ordered) - 1, int(quantile * len(ordered)))
    return round(ordered[place] * 1000, 3)


class Generator:
    """Connections to one link or several, and the numbers of the messages sent over them."""

    def __init__(
        self,
        addresses: Sequence[tuple[str, int]],
        traffic: Traffic,
        *,
        first: int = 0,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        """Connect, to each address in turn. Messages are numbered from `first`, and given up after
        `patience` seconds.
        """
        self._traffic = traffic
        self._number = first
        self._patience = patience
        self._waiting: dict[int, float] = {}  # when a number was, or should have been, sent
        self._random = random.Random(8583)
        self._is_stopping = False
        self._peers = [_Peer(addresses[place % len(addresses)]) for place in range(CONNECTIONS)]
        self._by_file = {peer.socket.fileno(): peer for peer in self._peers}
        self._files = list(self._by_file)

    def stop(self) -> None:
        """End the load that runs, and every later one at once."""
        self._is_stopping = True

    def close(self) -> None:
        """Close the connections."""
        for peer in self._peers:
            peer.socket.close()

    def closed_loop(self, *, in_flight: int, seconds: float) -> Result:
        """As many as can be answered with so many in flight: each answer sends the next one."""
        result = Result()
        with _undisturbed(result):
            began = time.perf_counter()
            ends = began + seconds
            for place in range(in_flight):
                self._send(self._peers[place % CONNECTIONS], 1, result)
            while (now := time.perf_counter()) < ends and not self._is_stopping:
                for peer in self._readable(min(ends - now, self._patience)):
                    if count := self._receive(peer, result):
                        self._send(peer, count, result)
                if lost := self._give_up_on(now - self._patience):
                    self._send(self._peers[0], lost, result)
            result.seconds = time.perf_counter() - began
            result.answered = len(result.approved)
            self._linger(result)
        return result

    def open_loop(self, *, per_second: float, seconds: float) -> Result:
        """Arrivals at a mean rate, as a Poisson process has them, whatever the answers do.

        A latency counts from the moment at which its message was due: a generator or a
        switch that falls behind cannot hide it.
        """
        result = Result()
        with _undisturbed(result):
            began = due = time.perf_counter()
            ends = began + seconds
            while due < ends and not self._is_stopping:
                while due <= time.perf_counter():
                    self._send(self._peers[self._number % CONNECTIONS], 1, result, due)
                    due += self._random.expovariate(per_second)
                for peer in self._readable(due - time.perf_counter()):
                    self._receive(peer, result)
            result.seconds = time.perf_counter() - began
            result.answered = len(result.approved)
            self._linger(result)
        return result

    def _linger(self, result: Result) -> None:
        """Take the answers that are still on their way."""
        while self._waiting and not self._is_stopping:
            for peer in self._readable(self._patience / 10):
                self._receive(peer, result)
            self._give_up_on(time.perf_counter() - self._patience)

    def _give_up_on(self, sent_by: float) -> int:
        """Wait no longer for what was sent by then; how many."""
        lost = 0
        while self._waiting:
            oldest = next(iter(self._waiting))
            if self._waiting[oldest] > sent_by:
                break
            del self._waiting[oldest]
            lost += 1
        return lost

    def _readable(self, seconds: float) -> Iterator[_Peer]:
        ready, _, _ = select.select(self._files, (), (), max(0.0, seconds))
        for file in ready:
            yield self._by_file[file]

    def _send(self, peer: _Peer, count: int, result: Result, due: float | None = None) -> None:
        """Send so many messages of cards chosen by chance, in one write."""
        numbers = range(self._number, self._number + count)
        self._number += count
        data = self._traffic.messages(numbers, self._random.random)
        started = time.perf_counter() if due is None else due
        self._waiting.update(dict.fromkeys(numbers, started))
        peer.socket.sendall(data)
        result.sent += count

    def _receive(self, peer: _Peer, result: Result) -> int:
        """Take what came on one connection; how many answers."""
        data = peer.read()
        now = time.perf_counter()
        found = _ANSWERS.findall(data)
        approved = [int(number) for number, _, _ in found if number]
        others = [(int(number), code.decode()) for _, number, code in found if number]
        if len(approved) * _APPROVAL_SIZE + len(others) * _OTHER_SIZE < len(data):
            # They do not fill the read: something else stands in it too.
            approved, others = _sorted_out(peer.frames(data))
        result.take(approved, self._waiting, now)
        for number, code in others:
            if self._waiting.pop(number, None) is not None:
                result.codes[code] += 1
        return len(approved) + len(others)


def _sorted_out(payloads: Iterable[bytes]) -> tuple[list[int], list[tuple[int, str]]]:
    """The numbers approved, and others with their codes, whatever the answers look like."""
    answers = [decode(payload, DIALECT).fields for payload in payloads]
    codes = [(int(fields[37]), fields[39]) for fields in answers]
    others = [(number, code) for number, code in codes if code != "00"]
    return [number for number, code in codes if code == "00"], others


class _Peer:
    """One connection to the link."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def read(self) -> bytes:
        """What has come. Raises `ConnectionError` where the link is gone."""
        data = self.socket.recv(_READ)
        if not data:
            raise ConnectionError("the switch closed the connection")
        data, self._rest = self._rest + data, b""
        return data

    def frames(self, data: bytes) -> Iterator[bytes]:
        """The payloads that are whole; the rest is the beginning of the next read."""
        at = 0
        while (start := at + 2) <= len(data):
            end = start + (data[at] << 8 | data[at + 1])
            if end > len(data):
                break
            yield data[start:end]
            at = end
        self._rest = data[at:]


@contextmanager
def _undisturbed(result: Result) -> Iterator[None]:
    """Without garbage collection, whose pauses would be measured as the switch's."""
    gc.collect()
    gc.disable()
    before = time.thread_time()
    try:
        yield
    finally:
        result.cpu_seconds = time.thread_time() - before
        gc.enable()
