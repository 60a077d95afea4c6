"""
What Prometheus reads. Names and units by its conventions; docs/metrics.md has them all.

Histograms of messages are labelled by link and MTI only: a scrape costs the event loop
0.3 ms a label set. Reasons stand on counters. What is known anyway is read when scraped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from switch.flows.exchange import Exchange
from switch.flows.router import ROUTES
from switch.ledger.tally import Tally
from switch.operate.histogram import Histogram as Latencies
from switch.wire import mti
from switch.wire.message import Message
from switch.wire.versions import VERSIONS

#: Upper bounds in seconds: from the time of a bare transaction to a scheme's patience.
BUCKETS = (
    0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03,
    0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1.0, 5.0,
)  # fmt: skip
#: What becomes of an answer that its sender does not get. `unanswered` and `taken` are in order.
LOST = frozenset({"late", "unread", "too_long", "link_gone", "dropped"})

#: Latencies that wait to be counted together, at most.
_TOLD_MOST = 4096

#: Values of a metric by those of its labels.
Values = Mapping[tuple[str, ...], float]
Tallies = Mapping[tuple[str, ...], Tally]


class Metrics:
    """The counters of one process."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, that nobody reads
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._answers = Counter(
            "switch_messages",
            "Messages by what became of their answer.",
            ("link", "mti", "reason", "outcome"),
            registry=self._registry,
        )
        self._lost = Counter(
            "switch_answers_lost",
            "Messages that their sender got no answer to.",
            ("link", "outcome"),
            registry=self._registry,
        )
        self._faults = Counter(
            "switch_message_faults",
            "Messages that a fault kept from being decided, by its kind.",
            ("link", "fault"),
            registry=self._registry,
        )
        self._seconds: dict[tuple[str, ...], Tally] = {}
        self.histograms(
            "switch_message_seconds",
            "From the last byte of a frame to the write of its answer.",
            ("link", "mti"),
            lambda: self._seconds,
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
        self._told_us: list[int] = []  # latencies that are not yet among them
        # Children by their labels: `labels()` costs as much as a decision's arithmetic.
        self._counters: dict[tuple[str, ...], Callable[[], None]] = {}

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Add a gauge that is read when scraped."""
        self.gauges(name, meaning, (), lambda: {(): read()})

    def gauges(
        self, name: str, meaning: str, labels: Sequence[str], read: Callable[[], Values]
    ) -> None:
        """Add a gauge with labels; all of its values are read when scraped."""

        def family() -> GaugeMetricFamily:
            read_now = GaugeMetricFamily(name, meaning, labels=labels)
            for values, value in read().items():
                read_now.add_metric(values, value)
            return read_now

        self._registry.register(_Read(family))

    def counters(
        self, name: str, meaning: str, labels: Sequence[str], read: Callable[[], Values]
    ) -> None:
        """Add a counter that somebody else counts; `_total` is added to its name."""

        def family() -> CounterMetricFamily:
            read_now = CounterMetricFamily(name, meaning, labels=labels)
            for values, value in read().items():
                read_now.add_metric(values, value)
            return read_now

        self._registry.register(_Read(family))

    def histograms(
        self, name: str, meaning: str, labels: Sequence[str], read: Callable[[], Tallies]
    ) -> None:
        """Add a histogram that somebody else counts."""

        def family() -> HistogramMetricFamily:
            read_now = HistogramMetricFamily(name, meaning, labels=labels)
            for values, tally in read().items():
                read_now.add_metric(values, list(_buckets(tally)), tally.sum)
            return read_now

        self._registry.register(_Read(family))

    # Begun at 0: of a counter that appears with its first event nobody sees that it rose.

    def expect_links(self, links: Iterable[str]) -> None:
        """Count lost answers of these links from 0 on."""
        for link in links:
            for outcome in LOST:
                self._lost.labels(link, outcome)

    def expect_events(self, names: Iterable[str]) -> None:
        """Count these events from 0 on."""
        for name in names:
            self._events.labels(name)

    def event(self, name: str) -> None:
        """Count an event."""
        self._events.labels(name).inc()

    def exchange(self, exchange: Exchange, total_us: int) -> None:
        """Count a message and its time."""
        kind = _kind(exchange.message)
        reply = exchange.reply
        reason = (
            "none" if reply is None else "approved" if reply.reason is None else reply.reason.value
        )
        labels = (exchange.link, kind, reason, exchange.outcome)
        count = self._counters.get(labels)
        if count is None:
            count = self._counters[labels] = self._answers.labels(*labels).inc
        count()
        tally = self._seconds.get(labels[:2])
        if tally is None:
            tally = self._seconds[labels[:2]] = Tally(BUCKETS)
        tally.add(total_us / 1_000_000)
        self._told_us.append(total_us)
        if len(self._told_us) >= _TOLD_MOST:
            self._count_latencies()
        if exchange.outcome in LOST:
            self._lost.labels(exchange.link, exchange.outcome).inc()
        if exchange.fault is not None:
            self._faults.labels(exchange.link, exchange.fault).inc()

    def hsm_question(self, name: str, outcome: str, seconds: float) -> None:
        """Count a question to the HSM and its time; what was not asked took none."""
        self._hsm_questions.labels(name, outcome).inc()
        if outcome != "refused":
            self._hsm_seconds.labels(name).observe(seconds)

    def take_latencies(self) -> Latencies:
        """Those of all messages since this was asked last: finer than Prometheus' buckets."""
        self._count_latencies()
        taken, self._latencies = self._latencies, Latencies()
        return taken

    def _count_latencies(self) -> None:
        """What a message need not wait for."""
        self._latencies.add_all_us(self._told_us)
        self._told_us = []

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


class _Read(Collector):
    """A family that is made when it is scraped."""

    def __init__(self, family: Callable[[], Metric]) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """Read it now."""
        yield self._family()


def _buckets(tally: Tally) -> Iterator[tuple[str, float]]:
    """How many values did not exceed each bound, the last being no bound."""
    bounds = (*map(str, map(float, tally.bounds)), "+Inf")
    return zip(bounds, accumulate(tally.counts), strict=True)


def _samples(
    metric: Counter | Histogram, *suffixes: str
) -> Iterator[tuple[str, tuple[str, ...], float]]:
    """Those of a metric whose names end so: the ending, the labels' values, the value."""
    for family in metric.collect():
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            if suffix in suffixes:
                yield suffix, tuple(sample.labels.values()), sample.value


def _kind(message: Message | None) -> str:
    """The MTI as a label."""
    return "unreadable" if message is None else _label(message.mti)


@cache
def _label(received: str) -> str:
    """Those that we do not decide share one: a peer may send ten thousand."""
    is_ours = received[0] in VERSIONS and mti.what(received) in ROUTES
    return received if is_ours else "other"
