"""The page of metrics, the alerts and the dashboard against what a real switch tells."""

from __future__ import annotations

import re
import tempfile
from itertools import pairwise
from pathlib import Path

import pytest

from switch.rules.reason import Reason
from tests.deploy import queries, scraped
from tests.deploy.queries import ERRORS, WARNINGS
from tests.deploy.scraped import Family
from tests.traffic import ROOT

#: What Prometheus adds to whatever it scrapes, and what it knows by itself.
TARGET_LABELS = {"job", "instance"}
OF_PROMETHEUS = {"up"}

_ROW = re.compile(
    r"\| `(?P<name>\w+)` \| (?P<type>\w+) \| (?P<labels>[\w` ]*) ?\| (?P<unit>[^|]*)\|",
    re.MULTILINE,
)


@pytest.fixture(scope="module")
def families(quick_root: Path) -> dict[str, Family]:
    """Every metric of a switch that has played the demo's day, by name."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        return scraped.merged(scraped.after_the_day(Path(folder)), scraped.in_this_process())


def documented() -> dict[str, re.Match[str]]:
    """The rows of docs/metrics.md."""
    page = (ROOT / "docs/metrics.md").read_text()
    return {row["name"]: row for row in _ROW.finditer(page)}


def test_every_metric_is_documented_and_every_documented_one_is_there(
    families: dict[str, Family],
) -> None:
    """The page has each metric of /metrics with its type and its labels, and no other."""
    told = {name: (row["type"], set(row["labels"].replace("`", "").split()))
            for name, row in documented().items()}  # fmt: skip
    assert told == {name: (family.type, set(family.values)) for name, family in families.items()}
    assert not [name for name, family in families.items() if not family.is_seen]


def test_names_and_units_are_as_prometheus_has_them(families: dict[str, Family]) -> None:
    """Counters end in _total, nothing else does; what is told in seconds or bytes says so."""
    for name, family in families.items():
        assert name.endswith("_total") == (family.type == "counter"), name
        unit = documented()[name]["unit"]
        if unit.startswith("seconds"):
            assert "_seconds" in name, name
        assert unit.strip(), name


def test_a_scrape_stays_small(families: dict[str, Family]) -> None:
    """Histograms have few label sets: each costs the event loop 0.3 ms a scrape."""
    labels = {name: set(family.values) for name, family in families.items()
              if family.type == "histogram"}  # fmt: skip
    assert {frozenset({"link", "mti"}), frozenset({"question"}), frozenset({"call"})} == set(
        map(frozenset, labels.values())
    )
    assert {"decide", "find", "book"} == families["switch_ledger_call_seconds"].values["call"]


def test_every_query_asks_for_what_is_there(families: dict[str, Family]) -> None:
    """Series and labels of alerts and dashboard are those of /metrics, and values where known."""
    series = {name: family for family in families.values() for name in family.series}
    found = list(queries.queries())
    assert len(found) > 60
    for query in found:
        for asked in query.asked:
            if asked.series in queries.recorded():
                assert {label for label, _ in asked.matchers} <= {"job", "link"}, query
                continue
            if asked.series in OF_PROMETHEUS:
                continue
            assert asked.series in series, f"{query.place}: {asked.series}"
            _check_labels(query, asked, series[asked.series])
        labels = {label for one in families.values() for label in one.values}
        assert query.grouped_by <= labels | TARGET_LABELS | {"le"}, query


def _check_labels(query: queries.Query, asked: queries.Asked, family: Family) -> None:
    reasons = {reason.value for reason in Reason} | {"approved", "none"}
    for label, wanted in asked.matchers:
        if label in TARGET_LABELS:
            continue
        assert label in family.values, f"{query.place}: {asked.series} has no {label}"
        if label not in ("link", "mti", "fault") and not wanted.startswith("$"):
            known = reasons if label == "reason" else family.values[label]
            assert set(wanted.split("|")) <= known, f"{query.place}: {label} {wanted}"


def test_every_error_has_an_alert() -> None:
    """Each event of level error is in the expression of some alert, and each in one is known."""
    asked = [
        value
        for name, alert in queries.alerts().items()
        for one in queries.parsed(name, alert["expr"]).asked
        for label, value in one.matchers if label == "event"
    ]  # fmt: skip
    events = {event for value in asked for event in value.split("|")}
    assert ERRORS <= events <= ERRORS | WARNINGS


def test_every_panel_says_its_unit_and_window() -> None:
    """A title ends in brackets with both; the panel has a unit, and a place of its own."""
    taken: set[tuple[int, int]] = set()
    for panel in queries.panels():
        title = panel["title"]
        said = re.fullmatch(
            r"\S.* \((.+, (?:now|\d+ min|each \d+ min|\w[\w.]* of \d+ min))\)", title
        )
        assert said, title
        windows = {window for target in panel["targets"]
                   for window in re.findall(r"\[(\d+)m\]", target["expr"])}  # fmt: skip
        windows |= {w for t in panel["targets"] for w in re.findall(r"rate(\d+)m", t["expr"])}
        assert windows == set(re.findall(r"(\d+) min", said[1])), title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                 for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not cells & taken, title
        assert place["x"] + place["w"] <= 24
        taken |= cells
    numbers = sorted(panel["id"] for panel in queries.panels())
    assert all(before < after for before, after in pairwise(numbers))
