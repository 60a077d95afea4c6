"""What a run of the bench is asked for, what it found, and how that is told."""

from __future__ import annotations

import statistics
from array import array
from dataclasses import dataclass, field

from benchmarks.load import Result

#: pgbench's clients.
CLIENTS = 16

#: Messages a second that are no load: each is decided alone.
LIGHT_PER_S = 100.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the run is."""

    seconds: float  #: of each measurement
    rounds: int
    cards: int
    in_flight: int
    history: int  #: messages of past months that are there before the second half


@dataclass(slots=True)
class Rates:
    """The rounds in which switch and pgbench took turns, approvals a second."""

    switch_per_s: list[float] = field(default_factory=list)
    pgbench_per_s: list[float] = field(default_factory=list)

    def medians(self) -> tuple[float, float, float]:
        """Of the switch, of pgbench, and the one by the other."""
        switch, pgbench = map(statistics.median, (self.switch_per_s, self.pgbench_per_s))
        return switch, pgbench, round(switch / pgbench, 3)


@dataclass(slots=True)
class Findings:
    """What was measured, in the order of the JSON line."""

    empty: Rates = field(default_factory=Rates)
    filled: Rates = field(default_factory=Rates)
    switch_cpu_us: list[float] = field(default_factory=list)
    generator_cpu_us: list[float] = field(default_factory=list)
    light: Result = field(default_factory=Result)
    half: Result = field(default_factory=Result)
    pgbench_one_client_ms: float = 0.0
    pgbench_transactions: int = 0
    messages: int = 0
    unanswered: int = 0
    not_approved: dict[str, int] = field(default_factory=dict)
    approved: array[int] = field(default_factory=lambda: array("q"))

    def took(self, result: Result) -> Result:
        """Count what one load sent and got."""
        self.messages += result.sent
        self.unanswered += result.unanswered
        for code, count in result.others.items():
            self.not_approved[code] = self.not_approved.get(code, 0) + count
        self.approved.extend(result.approved)
        return result


def report(plan: Plan, found: Findings, settings: dict[str, str], lost: int) -> dict[str, object]:
    """The JSON line."""
    switch, pgbench, ratio = found.empty.medians()
    measured = {"switch_per_s": round(switch), "pgbench_per_s": round(pgbench), "ratio": ratio}
    if plan.history:
        switch, pgbench, ratio = found.filled.medians()
        measured |= {
            "history": plan.history,
            "filled_switch_per_s": round(switch),
            "filled_pgbench_per_s": round(pgbench),
            "filled_ratio": ratio,
        }
    return {
        **measured,
        "p50_ms": found.light.quantile_ms(0.5),
        "p99_ms": found.light.quantile_ms(0.99),
        "light_per_s": LIGHT_PER_S,
        "half_load_p50_ms": found.half.quantile_ms(0.5),
        "half_load_p99_ms": found.half.quantile_ms(0.99),
        "half_load_per_s": round(switch / 2),
        "pgbench_one_client_ms": found.pgbench_one_client_ms,
        "pgbench_clients": CLIENTS,
        "switch_cpu_us": round(statistics.median(found.switch_cpu_us)),
        "generator_cpu_us": round(statistics.median(found.generator_cpu_us)),
        "not_approved": found.not_approved,
        "unanswered": found.unanswered,
        "messages": found.messages,
        "log_lines_lost": lost,
        "in_flight": plan.in_flight,
        "cards": plan.cards,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        **settings,
    }
