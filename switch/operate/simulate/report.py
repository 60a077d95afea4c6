"""A simulation's figures for people and programs: a line each second, a table by story, JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from switch.operate.replay import report
from switch.operate.replay.report import milliseconds
from switch.operate.replay.tally import Second
from switch.operate.simulate.score import DEEDS, OWN, Counts, Score

_HEADS = ("story", "stories", "sent", "approved", *DEEDS, "p50", "p99", "declined")


def progress(second: Second, stories: int, links: int) -> str:
    """A line for each second."""
    return f"{report.progress(second)}  {stories:>5,} stories  {links} links up"


def rows(score: Score) -> list[tuple[str, ...]]:
    """The table by story, its heads first."""
    told = (counts for counts in score.by_story.values() if counts.sent)
    names = (*(head.replace("_", " ") for head in _HEADS[:-1]), "declined, by DE39")
    return [names, *(_row(counts) for counts in told)]


def notes(score: Score) -> list[str]:
    """What differs from the ledger, and what has no answer: each by its name, the first ones."""
    more = score.unanswered + score.unheard - len(score.named)
    return [
        *score.other,
        *score.named,
        *([f"and {more:,} more without an answer"] if more > 0 else []),
    ]


def in_words(score: Score, said: Sequence[str]) -> str:
    """The table by story, then the figures of the whole, a line each."""
    table = rows(score)
    widths = [max(len(row[place]) for row in table) for place in range(len(_HEADS))]
    lines = [
        "  ".join(
            text.ljust(width) if place in (0, len(_HEADS) - 1) else text.rjust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
    lines.append("")
    lines += [f"{name:<14} {value:>10,}" for name, value in own(score).items() if value is not None]
    return "".join(f"{line}\n" for line in lines) + report.in_words(score, said)


def own(score: Score) -> Mapping[str, int | None]:
    """The figures that a load has not, by name; none: nobody looked."""
    values = {name: score.figure(name) for name in OWN}
    return {name: None if math.isnan(value) else int(value) for name, value in values.items()}


def as_json(score: Score, said: Sequence[str]) -> Mapping[str, Any]:
    """The same as one object."""
    return {
        **report.as_json(score, said),
        **own(score),
        "by_story": {name: _story(counts) for name, counts in score.by_story.items()},
    }


def _story(counts: Counts) -> Mapping[str, Any]:
    p50, p99 = counts.latencies.quantiles((0.5, 0.99))
    return {
        **{name: getattr(counts, name) for name in ("stories", "sent", "approved", *DEEDS)},
        "declined": dict(sorted(counts.declined.items())),
        "latency_ms": {"p50": _ms(p50), "p99": _ms(p99)},
    }


def _row(counts: Counts) -> tuple[str, ...]:
    figures = (getattr(counts, name) for name in ("stories", "sent", "approved", *DEEDS))
    p50, p99 = counts.latencies.quantiles((0.5, 0.99))
    declined = ", ".join(f"{code} × {n:,}" for code, n in sorted(counts.declined.items()))
    return (
        counts.name,
        *(f"{figure:,}" if figure else "–" for figure in figures),
        milliseconds(p50),
        milliseconds(p99),
        declined or "–",
    )


def _ms(seconds: float) -> float | None:
    return None if math.isnan(seconds) else round(seconds * 1000, 3)
