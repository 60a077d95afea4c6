"""What a comparison is asked for, what it found, and how that is told."""

from __future__ import annotations

import platform
import statistics
from dataclasses import dataclass, field

from benchmarks.load import Result
from benchmarks.stage import CLIENTS, Stage

#: Messages a second that are no load: each is decided alone.
LIGHT_PER_S = 200.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How large the run is."""

    seconds: float  #: of each measurement
    rounds: int
    cards: int
    in_flight: int
    history: int  #: messages of past months that are there before the second half
    connections: int  #: of the textbook's pool
    switches: int  #: processes that share the load


@dataclass(slots=True)
class Rates:
    """The rounds in which the three took turns, approvals a second."""

    switch_per_s: list[float] = field(default_factory=list)
    pgbench_per_s: list[float] = field(default_factory=list)
    textbook_per_s: list[float] = field(default_factory=list)

    def told(self, prefix: str = "") -> dict[str, object]:
        """The medians and what they are to each other."""
        switch, pgbench, textbook = map(
            statistics.median, (self.switch_per_s, self.pgbench_per_s, self.textbook_per_s)
        )
        return {
            f"{prefix}switch_per_s": round(switch),
            f"{prefix}pgbench_per_s": round(pgbench),
            f"{prefix}ratio": round(switch / pgbench, 3),
            f"{prefix}textbook_per_s": round(textbook),
            f"{prefix}textbook_ratio": round(switch / textbook, 3),
        }


@dataclass(slots=True)
class Findings:
    """What was measured, in the order of the JSON line."""

    empty: Rates = field(default_factory=Rates)
    filled: Rates = field(default_factory=Rates)
    switch_cpu_us: list[float] = field(default_factory=list)
    generator_cpu_us: list[float] = field(default_factory=list)
    textbook_cpu_us: list[float] = field(default_factory=list)
    light: Result = field(default_factory=Result)
    half: Result = field(default_factory=Result)
    half_per_s: float = 0.0
    pgbench_one_client_ms: float = 0.0
    pgbench_paced_ms: float = 0.0  #: the same, but at the pace of the light load


def report(plan: Plan, found: Findings, stage: Stage) -> dict[str, object]:
    """The JSON line."""
    filled = {"history": plan.history} | found.filled.told("filled_") if plan.history else {}
    tally, light, half = stage.tally, found.light, found.half
    return {
        **found.empty.told(),
        **filled,
        "p50_ms": light.quantile_ms(0.5),
        "p99_ms": light.quantile_ms(0.99),
        "light_per_s": LIGHT_PER_S,
        "half_load_p50_ms": half.quantile_ms(0.5),
        "half_load_p99_ms": half.quantile_ms(0.99),
        "half_load_per_s": round(found.half_per_s),
        "pgbench_one_client_ms": found.pgbench_one_client_ms,
        "p50_to_pgbench": round(light.quantile_ms(0.5) / found.pgbench_one_client_ms, 2),
        "pgbench_paced_ms": found.pgbench_paced_ms,
        "p50_to_pgbench_paced": round(light.quantile_ms(0.5) / found.pgbench_paced_ms, 2),
        "pgbench_clients": CLIENTS,
        "textbook_connections": plan.connections,
        "switch_cpu_us": round(statistics.median(found.switch_cpu_us)),
        "generator_cpu_us": round(statistics.median(found.generator_cpu_us), 1),
        "textbook_cpu_us": round(statistics.median(found.textbook_cpu_us)),
        "not_approved": tally.not_approved,
        "unanswered": tally.unanswered,
        "messages": tally.messages,
        "log_lines_lost": stage.log_lines_lost,
        "switches": plan.switches,
        "python": platform.python_version(),
        "in_flight": plan.in_flight,
        "cards": plan.cards,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        **stage.settings,
    }
