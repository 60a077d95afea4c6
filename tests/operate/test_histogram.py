"""Percentiles of latencies, against those of the sorted list."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from switch.operate.histogram import Histogram

#: Whole microseconds, as a clock has them, from none to a minute.
latencies = st.lists(st.integers(0, 60_000_000), min_size=1, max_size=200)
shares = st.lists(st.floats(0, 1), min_size=1, max_size=8)


def histogram(values: list[int]) -> Histogram:
    """Of latencies in microseconds."""
    made = Histogram()
    for value in values:
        made.add(value / 1_000_000)
    return made


def exact(values: list[int], share: float) -> int:
    """The least of them that this share of them does not exceed."""
    return sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]


@given(latencies, shares)
def test_a_quantile_is_right_to_three_digits(values: list[int], wanted: list[float]) -> None:
    """No quantile is off by more than a thousandth and the clock's microsecond."""
    told = histogram(values).quantiles(sorted(wanted))
    for share, seconds in zip(sorted(wanted), told, strict=True):
        right = exact(values, share)
        assert abs(seconds * 1_000_000 - right) <= right / 1000 + 1.5


@given(latencies, latencies)
def test_two_histograms_add_up(one: list[int], other: list[int]) -> None:
    """Merged, they are the histogram of both."""
    merged = histogram(one)
    merged.merge(histogram(other))
    whole = histogram(one + other)
    assert whole.shares() == merged.shares()
    assert (whole.count, whole.max, whole.mean) == (merged.count, merged.max, merged.mean)


@given(latencies)
def test_shares_rise_to_the_whole(values: list[int]) -> None:
    """The distribution ends at the longest latency with all of them."""
    points = histogram(values).shares()
    assert points == sorted(points)
    assert (1.0, len(values)) == (points[-1][1], histogram(values).count)
    assert math.isclose(max(values) / 1e6, points[-1][0], abs_tol=1.5e-6)


def test_nothing_counted_has_no_figure() -> None:
    """Without a latency every figure is none."""
    empty = Histogram()
    assert math.isnan(empty.mean)
    assert all(map(math.isnan, empty.quantiles((0.5, 0.99))))
    assert [] == empty.shares()


@given(latencies, latencies)
def test_what_was_merged_in_can_be_taken_out(stays: list[int], goes: list[int]) -> None:
    """Without it the histogram is that of the others; only the longest is not forgotten."""
    left = histogram(stays)
    left.merge(histogram(goes))
    left.remove(histogram(goes))
    left.max = max(stays) / 1_000_000
    others = histogram(stays)
    assert others.shares() == left.shares()
    assert (others.count, others.mean) == (left.count, left.mean)
