"""A load's figures for people and programs: lines while it runs, a summary, JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from switch.operate.replay.tally import PERCENTILES, Second, Tally, counts

__all__ = ["as_json", "in_words", "milliseconds", "progress"]

#: What is told though it is zero.
_ALWAYS = ("sent", "answered", "approvals", "unanswered", "late", "wrong")


def progress(second: Second) -> str:
    """A line for each second."""
    return (
        f"{second.number + 1:>5} s {second.answered:>8,} answers  {second.in_flight:>6,} in flight"
        f"  p50 {milliseconds(second.p50):>9}  p99 {milliseconds(second.p99):>9}"
    )


def milliseconds(seconds: float) -> str:
    """With three digits: 0.412 ms, 20.1 ms, 1,020 ms; a dash where there is no figure."""
    if math.isnan(seconds):
        return "–"
    value = seconds * 1000
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f} ms"


def in_words(tally: Tally, notes: Sequence[str]) -> str:
    """The summary, a line each."""
    told = {name: count for name, count in counts(tally).items() if count or name in _ALWAYS}
    checked = {name: count for name, count in counts(tally).items() if name in _CHECKED}
    lines = [f"{name:<12} {count:>12,}" for name, count in (told | checked).items()]
    lines.append(f"{'rate':<12} {tally.rate:>12,.1f} answers a second, {tally.seconds:,.1f} s")
    latencies = zip(PERCENTILES, quantiles(tally), strict=True)
    lines += [f"{name:<12} {milliseconds(value):>12}" for name, value in latencies]
    lines.append(f"{'max':<12} {milliseconds(tally.figure('max')):>12}")
    codes = ", ".join(f"{code} × {count:,}" for code, count in sorted(tally.codes.items()))
    lines.append(f"DE39         {codes or 'no answer'}")
    return "".join(f"{line}\n" for line in (*lines, *tally.told, *notes))


_CHECKED = ("missing", "broken")


def quantiles(tally: Tally) -> list[float]:
    """Of the percentiles that are told, in seconds."""
    return tally.latencies.quantiles(float(name[1:]) / 100 for name in PERCENTILES)


def as_json(tally: Tally, notes: Sequence[str]) -> Mapping[str, Any]:
    """The same as one object; latencies in milliseconds, null where there is none."""
    latencies = dict(zip(PERCENTILES, quantiles(tally), strict=True))
    latencies |= {name: tally.figure(name) for name in ("mean", "max")}
    return {
        **counts(tally),
        "seconds": round(tally.seconds, 3),
        "rate": round(tally.rate, 1),
        "cpu_seconds": round(tally.cpu_seconds, 3),
        "latency_ms": {name: _ms(value) for name, value in latencies.items()},
        "response_codes": dict(sorted(tally.codes.items())),
        "differences": tally.told,
        "notes": list(notes),
        "timeline": [
            {
                "second": each.number,
                "sent": each.sent,
                "answered": each.answered,
                "in_flight": each.in_flight,
                "p50_ms": _ms(each.p50),
                "p99_ms": _ms(each.p99),
                "max_ms": _ms(each.max),
            }
            for each in tally.timeline
        ],
    }


def _ms(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds * 1000, 3)
