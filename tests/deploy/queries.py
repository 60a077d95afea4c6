"""The expressions of alerts and dashboard, and what each asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from switch.log_events import EVENTS, NOTABLE
from tests.traffic import ROOT

#: Events by their level.
ERRORS = frozenset(name for name in NOTABLE if EVENTS[name].level == "error")
WARNINGS = NOTABLE - ERRORS

RULES = ROOT / "deploy/prometheus/alerts.yml"
DASHBOARD = ROOT / "deploy/grafana/switch.json"


@dataclass(frozen=True)
class Asked:
    """One selector: a series, and what its labels must be."""

    series: str
    matchers: tuple[tuple[str, str], ...]  #: label and value, or a regular expression


@dataclass(frozen=True)
class Query:
    """An expression, parsed."""

    place: str  #: where it stands
    text: str
    asked: tuple[Asked, ...]
    grouped_by: frozenset[str]  #: labels of `by` and `on`


def rules() -> list[dict[str, Any]]:
    """Every rule, alerts and recorded ones."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def recorded() -> set[str]:
    """The series that rules record."""
    return {rule["record"] for rule in rules() if "record" in rule}


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels that show something."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def queries() -> Iterator[Query]:
    """Every expression there is. One that does not parse is a `ValueError`."""
    for rule in rules():
        yield parsed(rule.get("alert") or rule["record"], rule["expr"])
    for panel in panels():
        for target in panel["targets"]:
            yield parsed(panel["title"], target["expr"])
    dashboard = json.loads(DASHBOARD.read_text())
    for annotation in dashboard["annotations"]["list"]:
        yield parsed(annotation["name"], annotation["expr"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector = variable["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
            yield parsed(variable["name"], selector)


def parsed(place: str, text: str) -> Query:
    """An expression, and all that it asks for."""
    looked = _Looked()
    try:
        promql_parser.walk(promql_parser.parse(text), pre_visit=looked.visit)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return Query(place, text, tuple(looked.asked), frozenset(looked.labels))


class _Looked:
    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.labels: set[str] = set()

    def visit(self, node: promql_parser.Expr) -> None:
        """Note what one node of an expression asks for."""
        if isinstance(node, promql_parser.VectorSelector):
            matchers = tuple((one.name, one.value) for one in node.matchers.matchers)
            self.asked.append(Asked(node.name or "", matchers))
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            self.labels.update(node.modifier.labels)
        if isinstance(node, promql_parser.BinaryExpr) and node.modifier is not None:
            self.labels.update(node.modifier.matching.labels if node.modifier.matching else ())
