"""
What the Helm chart says twice is the same in both places. Rendering it needs Helm's engine and
Kubernetes' schemas, which are large: `make deploy-check` does that.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import yaml

from deploy.check import chart_facts, image
from switch import app
from switch.links import link
from switch.links.session import SIGN_OFF_SECONDS
from switch.operate.admin import server
from switch.setting_sections import Link
from tests.deploy.queries import RULES, parsed
from tests.traffic import ROOT

CHART = ROOT / "deploy/chart"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
#: Maps that are values themselves.
WHOLE = ("networkPolicy.prometheus.podLabels",)


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value by its dotted name."""
    for name, value in tree.items():
        if isinstance(value, dict) and value and prefix + name not in WHOLE:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_every_value_is_documented() -> None:
    """docs/kubernetes.md has exactly the values of the chart, with their defaults."""
    page = (ROOT / "docs/kubernetes.md").read_text().partition("\n## Values\n")[2]
    rows = re.findall(r"^\| `([\w.]+)` \| `(.*?)` \| \S.*\|$", page, re.MULTILINE)
    assert {name: json.dumps(value) for name, value in flat(VALUES)} == dict(rows)


def test_the_schema_knows_every_value() -> None:
    """What values.yaml has, the schema has, but for what is the switch's and Kubernetes' own."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    for name, _ in flat(VALUES):
        if not name.startswith(("settings.", "resources.")):
            place = schema
            for part in name.split("."):
                assert place["additionalProperties"] is False, name
                place = place["properties"][part]


def test_versions_agree() -> None:
    """The chart is of the switch's version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (project["version"], project["version"]) == (chart["version"], chart["appVersion"])


def test_there_is_one_file_of_alerts() -> None:
    """The chart's is a link to Prometheus' own."""
    file = CHART / "files/alerts.yml"
    assert file.is_symlink()
    assert RULES.resolve() == file.resolve()


def test_the_account_is_that_of_the_image() -> None:
    """The pods run as the user that owns the image's data."""
    user, group = image.ACCOUNT.split(":")
    text = (CHART / "templates/_names.tpl").read_text()
    assert f"runAsUser: {user}\nrunAsGroup: {group}\nfsGroup: {group}\n" in text


def test_a_pod_has_as_long_as_the_switch_takes() -> None:
    """What the chart and its check add to the longest answer is at least what a stop may take."""
    stop = SIGN_OFF_SECONDS + link.LINGER_SECONDS + 2 * app.STOP_SECONDS + server.STOP_SECONDS
    assert stop <= chart_facts.STOP_SECONDS
    (spare,) = re.findall(r"add (\d+) \(div", (CHART / "templates/_settings.tpl").read_text())
    assert chart_facts.STOP_SECONDS < int(spare)
    assert chart_facts.ANSWER_MS == Link.model_fields["answer_within_ms"].default


def test_the_adapter_asks_what_prometheus_understands() -> None:
    """The rule's query, filled in as the adapter does, is one over the metric that it names."""
    (rule,) = yaml.safe_load((ROOT / "deploy/prometheus/adapter.yml").read_text())
    query = rule["metricsQuery"]
    for sign, text in (
        ("<<.GroupBy>>", "pod"), ("<<.Series>>", "switch_in_flight"),
        ("<<.LabelMatchers>>", 'namespace="switch",pod=~"switch-0|switch-1"'),
    ):  # fmt: skip
        query = query.replace(sign, text)
    asked = parsed("adapter", query)
    assert {"switch_in_flight"} == {one.series for one in asked.asked}
    assert {"pod"} == asked.grouped_by
    parsed("adapter", rule["seriesQuery"])
