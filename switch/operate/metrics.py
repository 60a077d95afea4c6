"""
What Prometheus reads. Names and units by its conventions.

Histograms are labelled by link and MTI only: a scrape costs the event loop
0.3 ms a label set. Reasons stand on counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from switch.flows.exchange import Exchange
from switch.flows.router import ROUTES
from switch.operate.histogram import Histogram as Latencies
from switch.wire import mti
from switch.wire.versions import VERSIONS

#: Upper bounds in seconds: from the time of a bare transaction to a scheme's patience.
BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, that nobody reads
        self._registry = CollectorRegistry()
        self._answers = Counter(
            "switch_messages",
            "Messages by what became of their answer.",
            ("link", "mti", "reason", "outcome"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "switch_message_seconds",
            "From the last byte of a frame to the write of its answer.",
            ("link", "mti"),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._events = Counter(
            "switch_events",
            "What the log tells beside messages.",
            ("event",),
            registry=self._registry,
        )
        self._hsm_questions = Counter(
            "switch_hsm_questions",
            "Questions to the HSM by what became of them.",
            ("question", "outcome"),
            registry=self._registry,
        )
        self._hsm_seconds = Histogram(
            "switch_hsm_seconds",
            "From a question to the HSM to its answer.",
            ("question",),
            buckets=BUCKETS,
            registry=self._registry,
        )
        self._latencies = Latencies()
        # Children by their labels: `labels()` costs as much as a decision's arithmetic.
        self._counters: dict[tuple[str, ...], Counter] = {}
        self._histograms: dict[tuple[str, str], Histogram] = {}

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when scraped."""
        Gauge(name, meaning, registry=self._registry).set_function(read)

    def link_gauge(self, name: str, meaning: str, read: Mapping[str, Callable[[], float]]) -> None:
        """Add a gauge that is read when scraped, one for each of these links."""
        gauge = Gauge(name, meaning, ("link",), registry=self._registry)
        for link, value in read.items():
            gauge.labels(link).set_function(value)

    def state_gauge(
        self,
        name: str,
        meaning: str,
        label: str,
        are_in: Mapping[str, Callable[[str], bool]],
        states: Sequence[str],
    ) -> None:
        """Add a gauge of things that are each in one state: 1 there, 0 at every other."""
        gauge = Gauge(name, meaning, (label, "state"), registry=self._registry)
        for thing, is_in in are_in.items():
            for state in states:
                gauge.labels(thing, state).set_function(partial(is_in, state))

    def event(self, name: str) -> None:
        """Count an event."""
        self._events.labels(name).inc()

    def exchange(self, exchange: Exchange, total_us: int) -> None:
        """Count a message and its time."""
        kind = _kind(exchange)
        reply = exchange.reply
        reason = (
            "none" if reply is None else "approved" if reply.reason is None else reply.reason.value
        )
        labels = (exchange.link, kind, reason, exchange.outcome)
        counter = self._counters.get(labels)
        if counter is None:
            counter = self._counters[labels] = self._answers.labels(*labels)
        counter.inc()
        histogram = self._histograms.get(labels[:2])
        if histogram is None:
            histogram = self._histograms[labels[:2]] = self._seconds.labels(*labels[:2])
        seconds = total_us / 1_000_000
        histogram.observe(seconds)
        self._latencies.add(seconds)

    def hsm_question(self, name: str, outcome: str, seconds: float) -> None:
        """Count a question to the HSM and its time; what was not asked took none."""
        self._hsm_questions.labels(name, outcome).inc()
        if outcome != "refused":
            self._hsm_seconds.labels(name).observe(seconds)

    def take_latencies(self) -> Latencies:
        """Those of all messages since this was asked last: finer than Prometheus' buckets."""
        taken, self._latencies = self._latencies, Latencies()
        return taken

    def messages(self) -> dict[tuple[str, ...], float]:
        """How many there were since the start, by link, MTI, reason and outcome."""
        return {labels: value for _, labels, value in _samples(self._answers, "_total")}

    def hsm_questions(self) -> dict[tuple[str, ...], float]:
        """How many there were since the start, by question and outcome."""
        return {labels: value for _, labels, value in _samples(self._hsm_questions, "_total")}

    def hsm_seconds(self) -> dict[tuple[str, ...], float]:
        """How many took how long at most since the start, by question and seconds; their sum
        stands at "sum".
        """
        return {
            (*labels, "sum") if suffix == "_sum" else labels: value
            for suffix, labels, value in _samples(self._hsm_seconds, "_bucket", "_sum")
        }

    def render(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)


def _samples(
    metric: Counter | Histogram, *suffixes: str
) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Those of a metric whose names end so: the ending, the labels' values, the value."""
    for family in metric.collect():
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            if suffix in suffixes:
                yield suffix, tuple(sample.labels.values()), sample.value


def _kind(exchange: Exchange) -> str:
    """The MTI as a label. Those that we do not decide share one: a peer may send ten thousand."""
    if exchange.message is None:
        return "unreadable"
    received = exchange.message.mti
    is_ours = received[0] in VERSIONS and mti.what(received) in ROUTES
    return received if is_ours else "other"
