"""What the counters say of a stretch of time, without I/O: two readings in, figures out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from switch.operate.histogram import Histogram
from switch.wire import mti

Counted = Mapping[tuple[str, ...], float]

#: Shares of all messages whose answer took no longer, by their name.
SHARES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}

_LINK, _MTI, _REASON, _OUTCOME = range(4)


class Reading(NamedTuple):
    """All counters at one moment; each only rises."""

    at: float  #: of a clock that never goes back, in seconds
    cpu_seconds: float  #: that this process took
    messages: Counted  #: by link, MTI, reason and outcome
    questions: Counted  #: to the HSM, by question and outcome
    question_seconds: Counted  #: as `Metrics.hsm_seconds` has them
    batches: int  #: transactions that decided,
    batched: int  #: and the decisions in them


def window(before: Reading, after: Reading, latencies: Histogram) -> dict[str, Any]:
    """The figures of the time between two readings.

    Rates are of a second, shares of one, `latency_ms` from the last byte of a message to the
    write of its answer. What nothing was counted for is None.
    """
    seconds = after.at - before.at
    messages = _more(before.messages, after.messages)
    answered = {
        labels: count
        for labels, count in messages.items()
        if labels[_OUTCOME] == "sent" and _asks(labels[_MTI])
    }
    declines = _by(_REASON, answered)
    approved = declines.pop("approved", 0)
    decisions = approved + sum(declines.values())
    batches = after.batches - before.batches
    return {
        "seconds": round(seconds, 3),
        "messages": sum(messages.values()),
        "messages_per_second": _rate(sum(messages.values()), seconds),
        "latency_ms": _latency_ms(latencies),
        "decisions": decisions,
        "approved": approved,
        "approval_rate": round(approved / decisions, 4) if decisions else None,
        "declines": declines,
        "outcomes": _by(_OUTCOME, messages),
        "mtis": _by(_MTI, messages),
        "links": {
            link: _rate(count, seconds) for link, count in _by(_LINK, messages).items()
        },
        "batch_mean": round((after.batched - before.batched) / batches, 2) if batches else None,
        "cpu": _rate(after.cpu_seconds - before.cpu_seconds, seconds, 3),
    }  # fmt: skip


def questions(before: Reading, after: Reading) -> list[dict[str, Any]]:
    """What the HSM was asked between two readings, the most frequent first.

    `p99_ms` is the upper bound of a bucket of the histogram: no more than that.
    """
    asked = _more(before.questions, after.questions)
    times = _more(before.question_seconds, after.question_seconds)
    told = []
    for name, count in _by(0, asked).items():
        bounds = {bound: n for (of, bound), n in times.items() if of == name and bound != "sum"}
        timed = bounds.get("+Inf", 0)
        told.append(
            {
                "question": name,
                "asked": count,
                "per_second": _rate(count, after.at - before.at),
                "outcomes": _by(1, {labels: n for labels, n in asked.items() if labels[0] == name}),
                "mean_ms": round(times[name, "sum"] / timed * 1000, 3) if timed else None,
                "p99_ms": _bound_ms(bounds, 0.99 * timed),
            }
        )
    return told


def _more(before: Counted, after: Counted) -> dict[tuple[str, ...], float]:
    """How much each has risen, of those that have."""
    risen = {labels: value - before.get(labels, 0) for labels, value in after.items()}
    return {labels: value for labels, value in risen.items() if value > 0}


def _by(place: int, counted: Counted) -> dict[str, int]:
    """The counts by one label alone, the largest first."""
    sums: Counter[str] = Counter()
    for labels, count in counted.items():
        sums[labels[place]] += int(count)
    return dict(sums.most_common())


def _asks(kind: str) -> bool:
    """Whether messages of that label ask for a decision; some labels are no MTI."""
    return mti.is_mti(kind) and mti.is_decided(kind)


def _rate(count: float, seconds: float, digits: int = 1) -> float:
    return round(count / seconds, digits) if seconds > 0 else 0.0


def _latency_ms(latencies: Histogram) -> dict[str, float | None]:
    if not latencies.count:
        return dict.fromkeys((*SHARES, "max"))
    seconds: Iterable[float] = (*latencies.quantiles(SHARES.values()), latencies.max)
    return {
        name: round(value * 1000, 3)
        for name, value in zip((*SHARES, "max"), seconds, strict=True)
    }  # fmt: skip


def _bound_ms(bounds: Mapping[str, float], wanted: float) -> float | None:
    """The least bound that covers so many; None where there is none, or it is beyond the last."""
    for bound, count in sorted((float(bound), count) for bound, count in bounds.items()):
        if count >= wanted:
            return None if bound == float("inf") else bound * 1000
    return None
