"""Prometheus' own tool, which runs alerts over series that a test makes up."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.deploy.queries import RULES

#: How long it may take before a test fails, in seconds.
PATIENCE_SECONDS = 120

#: Series by their name and labels, and their values minute by minute, in promtool's notation.
Series = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    """What is unlike a day in order, and the alerts that then fire."""

    name: str
    series: Series
    at_minute: int
    fires: frozenset[str]


def missing() -> str | None:
    """Why promtool cannot be used here, or nothing."""
    if shutil.which("promtool") is None:
        return "promtool is not installed (Debian: apt-get install prometheus)"
    return None


def checked() -> str:
    """What is wrong with the rules themselves, their templates included; nothing."""
    ran = _run("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def failures(folder: Path, healthy: Series, cases: Iterable[Case], begins_at: int) -> str:
    """Run all cases: each over the healthy series with its own instead of some.

    What fires is compared as a whole, at the case's minute, and just before the
    minute at which things begin to go wrong, when nothing does.
    """
    tests = [
        {
            "name": case.name,
            "interval": "1m",
            "input_series": [
                {"series": series, "values": values}
                for series, values in {**healthy, **case.series}.items()
            ],
            "promql_expr_test": [
                _firing(begins_at, frozenset()),
                _firing(case.at_minute, case.fires),
            ],
        }
        for case in cases
    ]
    file = folder / "alerts.test.json"  # JSON is YAML
    file.write_text(
        json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests})
    )
    ran = _run("test", "rules", str(file))
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


def _firing(minute: int, alerts: frozenset[str]) -> dict[str, object]:
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(alerts)]
    firing = 'group by (alertname) (ALERTS{alertstate="firing"})'
    return {"expr": firing, "eval_time": f"{minute}m", "exp_samples": samples}


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
