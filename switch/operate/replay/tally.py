"""What comes of a load: counts, latencies, each second by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from switch.operate.histogram import Histogram
from switch.operate.replay.thresholds import percentile

#: How many wrong answers are told, each in a line.
TOLD_MOST = 20


@dataclass(frozen=True, slots=True)
class Second:
    """One second of a load, from its beginning."""

    number: int
    sent: int
    answered: int
    in_flight: int  #: at its end
    p50: float  #: seconds; not a number where nothing was answered
    p99: float
    max: float


@dataclass(slots=True)
class Approval:
    """An approval that the other side has given, by what its row is found by."""

    stan: str
    moment: str  #: DE7
    rrn: str
    code: str


@dataclass(slots=True)
class Tally:
    """The figures of a load. Latencies are in seconds, from when a message was due."""

    latencies: Histogram = field(default_factory=Histogram)
    codes: Counter[str] = field(default_factory=Counter)  #: answers by DE39
    sent: int = 0
    answered: int = 0  #: the late ones too
    approvals: int = 0
    unanswered: int = 0
    late: int = 0  #: answered after the timeout
    wrong: int = 0  #: not as expected
    duplicates: int = 0  #: answers to what was answered before
    unasked: int = 0
    unreadable: int = 0
    lost: int = 0  #: connections that the other side closed
    seconds: float = 0.0  #: until the last answer
    cpu_seconds: float = 0.0  #: that this process took
    told: list[str] = field(default_factory=list)  #: wrong answers, without a value of a card
    timeline: list[Second] = field(default_factory=list)
    kept: list[Approval] | None = None  #: none: nobody wants them
    missing: int | None = None  #: approvals without a row in the ledger; none: nobody looked
    broken: int | None = None  #: rules of the audit that are broken

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds if self.seconds else 0.0

    @property
    def approved(self) -> float:
        """The share of the answers that approved."""
        return self.approvals / self.answered if self.answered else float("nan")

    def tell(self, line: str) -> None:
        """Note what was wrong, while there is room."""
        if len(self.told) < TOLD_MOST:
            self.told.append(line)

    def figure(self, name: str) -> float:
        """A figure by the name that thresholds have for it; not a number where there is none."""
        share = percentile(name)
        if share is not None:
            return self.latencies.quantile(share)
        if name in ("mean", "max"):
            return float(getattr(self.latencies, name)) if self.latencies.count else float("nan")
        value = getattr(self, name)
        return float("nan") if value is None else float(value)


class Clockwork:
    """Cuts a load in seconds. The whole has the latencies of those that are over."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._begin()

    def _begin(self) -> None:
        self._latencies = Histogram()
        self._sent_before, self._answered_before = self._tally.sent, self._tally.answered

    def add(self, latency: float) -> None:
        """Take in one answer."""
        self._latencies.add(latency)

    @property
    def has_counted(self) -> bool:
        """Whether anything was sent or answered in the second that runs."""
        return (self._sent_before, self._answered_before) != (
            self._tally.sent,
            self._tally.answered,
        )

    @property
    def next_end(self) -> float:
        """When the second that runs is over."""
        return len(self._tally.timeline) + 1.0

    def end(self, in_flight: int) -> Second:
        """End a second."""
        p50, p99 = self._latencies.quantiles((0.5, 0.99))
        second = Second(
            len(self._tally.timeline),
            self._tally.sent - self._sent_before,
            self._tally.answered - self._answered_before,
            in_flight,
            p50,
            p99,
            self._latencies.max,
        )
        self._tally.timeline.append(second)
        self._tally.latencies.merge(self._latencies)
        self._begin()
        return second


#: The percentiles that are told.
PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99")
_COUNTS = (
    "sent", "answered", "approvals", "unanswered", "late", "wrong", "duplicates", "unasked",
    "unreadable", "lost", "missing", "broken",
)  # fmt: skip


def counts(tally: Tally) -> Mapping[str, int]:
    """Every count that there is, by its name."""
    values = {name: getattr(tally, name) for name in _COUNTS}
    return {name: value for name, value in values.items() if value is not None}
