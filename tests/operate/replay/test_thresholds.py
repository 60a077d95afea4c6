"""What a load is held to, as it is typed."""

from __future__ import annotations

import math

import pytest

from switch.operate.replay import ReplayError
from switch.operate.replay.thresholds import parse, percentile

#: What is typed; figure, sign and value; a figure that meets it and one that does not.
TYPED: list[tuple[str, tuple[str, str, float], float, float]] = [
    ("p99<20ms",        ("p99", "<", 0.02),         0.0199, 0.02),
    ("p99.9 <= 50 ms",  ("p99.9", "<=", 0.05),      0.05,   0.051),
    ("p50<500us",       ("p50", "<", 0.0005),       0.0004, 0.0006),
    ("max<1.5s",        ("max", "<", 1.5),          1.0,    2.0),
    ("mean<3ms",        ("mean", "<", 0.003),       0.001,  0.004),
    ("unanswered=0",    ("unanswered", "=", 0),     0,      1),
    ("rate>=1000",      ("rate", ">=", 1000),       1000,   999),
    ("rate>=1000/s",    ("rate", ">=", 1000),       1000,   999),
    ("approved>95%",    ("approved", ">", 0.95),    0.96,   0.95),
    ("approved>=0.5",   ("approved", ">=", 0.5),    0.5,    0.4),
    ("sent>0",          ("sent", ">", 0),           1,      0),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "read", "met", "missed"), TYPED)
def test_a_threshold_is_read_and_held(
    typed: str, read: tuple[str, str, float], met: float, missed: float
) -> None:
    """Figure, sign, value and unit; times are seconds."""
    threshold = parse(typed)
    assert read[:2] == (threshold.figure, threshold.sign)
    assert math.isclose(read[2], threshold.value)
    assert (typed, True, False) == (threshold.text, threshold.is_met(met), threshold.is_met(missed))


@pytest.mark.parametrize("typed", [
    "", "p99", "p99<", "<20ms", "p99<20", "p99<20%", "p99!20ms", "p100<1ms", "px<1ms", "speed>1",
    "unanswered=0ms", "unanswered=-1", "rate>10%", "approved>1s", "p99<1ms extra", "sent>1/s",
])  # fmt: skip
def test_what_is_no_threshold_is_refused(typed: str) -> None:
    """One line says what could stand there."""
    with pytest.raises(ReplayError, match=r"figures: p99|the unit of"):
        parse(typed)


def test_no_figure_meets_nothing() -> None:
    """Where nothing was answered there is no latency, and every bound of one is missed."""
    assert not parse("p99<20ms").is_met(float("nan"))
    assert not parse("p99>20ms").is_met(float("nan"))


@pytest.mark.parametrize(("name", "share"), [("p50", 0.5), ("p99.9", 0.999), ("max", None)])
def test_a_percentile_is_known_by_its_name(name: str, share: float | None) -> None:
    """`p` and a number below a hundred."""
    assert share == (None if share is None else pytest.approx(percentile(name)))
