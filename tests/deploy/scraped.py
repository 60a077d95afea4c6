"""What a switch tells Prometheus: a real one after the demo's day, and what that cannot show."""

from __future__ import annotations

import time
import urllib.request
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from keys.breaker import Breaker
from keys.guard import GuardedHsm
from keys.hsm import KeyRef, PinBlockFormat
from keys.software.backend import SoftwareHsm
from switch.deadline import Deadline
from switch.flows.exchange import Exchange
from switch.flows.issuer import PinZone, ZoneKey
from switch.gauges import add_key_gauges, add_stand_in_gauges
from switch.operate.metrics import Metrics
from switch.wire.versions import VERSIONS
from tests.pki import Ca
from tests.process import PATIENCE_SECONDS, free_port, running
from tests.traffic import GOLDEN
from tests.typed import typed

#: What a histogram's samples are called, beside its name.
_SUFFIXES = ("_bucket", "_sum", "_count")


@dataclass
class Family:
    """A metric by the name that queries use: a counter's has its `_total`."""

    name: str
    type: str
    values: dict[str, set[str]] = field(default_factory=dict)  #: those seen of each label
    is_seen: bool = False  #: it had a sample

    @property
    def series(self) -> tuple[str, ...]:
        """What a query may call it."""
        if self.type == "histogram":
            return tuple(self.name + suffix for suffix in _SUFFIXES)
        return (self.name,)


def families_of(text: str) -> dict[str, Family]:
    """All metrics of an exposition, by name."""
    found: dict[str, Family] = {}
    for metric in text_string_to_metric_families(text):
        family = _family(metric)
        found[family.name] = family
    return found


def merged(*scrapes: dict[str, Family]) -> dict[str, Family]:
    """What several scrapes have, together."""
    found: dict[str, Family] = {}
    for scrape in scrapes:
        for name, family in scrape.items():
            into = found.setdefault(name, Family(name, family.type))
            into.is_seen |= family.is_seen
            for label, values in family.values.items():
                into.values.setdefault(label, set()).update(values)
    return found


def after_the_day(folder: Path) -> dict[str, Family]:
    """Those of a real switch that has played the scenario, with a second link over TLS."""
    port = free_port()
    pair = Ca("ca").signed(folder, "switch")
    with running(
        folder,
        admin__listen=f"127.0.0.1:{port}",
        links__1__name="scheme-b",
        links__1__listen="127.0.0.1:0",
        links__1__file_updates="true",
        links__1__file_update_name="CARDS",
        links__1__tls__certificate=pair,
        links__1__tls__key=pair.with_suffix(".key"),
    ) as switch:
        scenario = str(GOLDEN / "scenario.jsonl")
        said = typed("replay", scenario, "--to", f"127.0.0.1:{switch.port()}")
        assert said.stdout.endswith("75 right, 0 different, 0 sent and not compared\n"), said.stdout
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
            return families_of(answer.read().decode())


def in_this_process() -> dict[str, Family]:
    """Those that need an HSM which may be away, a zone key that came, a stand-in, a fault."""
    metrics = Metrics()
    hsm = GuardedHsm(
        SoftwareHsm({}),
        patience=1.0,
        ping_every=1.0,
        in_flight_max=1,
        breaker=Breaker(failures_max=1),
        on_event=lambda _, **__: None,
        on_question=metrics.hsm_question,
    )
    zone = PinZone(KeyRef("zpk", ""), PinBlockFormat.ISO_0)
    zone.keys = (ZoneKey(KeyRef("zpk#1", ""), None, time.time()),)
    add_key_gauges(metrics, hsm, {"demo": zone})
    lent = Counter({(1, "978"): 1})
    stand_ins = SimpleNamespace(
        approved=lent, approved_minor=lent, forbidden=Counter(mccs=1), pending=0
    )
    program = SimpleNamespace(program_id=1, name="demo")
    ledger: Any = SimpleNamespace(stand_ins=stand_ins)
    programs: list[Any] = [program]
    add_stand_in_gauges(metrics, ledger, programs)
    metrics.hsm_question("verify_pin", "answered", 0.01)
    shed = Exchange("demo", Deadline.start(0.0, 1, 0), 0, VERSIONS["0"], fault="overload")
    metrics.exchange(shed, 1)
    return families_of(metrics.render().decode())


def _family(metric: Metric) -> Family:
    is_counter = metric.type == "counter"
    name = (
        metric.name if not is_counter or metric.name.endswith("_total") else f"{metric.name}_total"
    )
    family = Family(name, metric.type, is_seen=bool(metric.samples))
    for sample in metric.samples:
        for label, value in sample.labels.items():
            if label != "le":
                family.values.setdefault(label, set()).add(value)
    return family


def names_of(families: Iterable[Family]) -> set[str]:
    """Every name that a query may use."""
    return {name for family in families for name in family.series}
