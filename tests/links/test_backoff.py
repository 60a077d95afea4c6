"""How long a dialling link waits, without a clock."""

from __future__ import annotations

import pytest

from switch.links.backoff import Backoff

WAITS = [
    # failures, first, most    the shortest and the longest wait
    (0, 0.5, 30.0, 0.25, 0.5),
    (1, 0.5, 30.0, 0.5, 1.0),
    (2, 0.5, 30.0, 1.0, 2.0),
    (5, 0.5, 30.0, 8.0, 16.0),
    (6, 0.5, 30.0, 15.0, 30.0),
    (7, 0.5, 30.0, 15.0, 30.0),
    (100_000, 0.5, 30.0, 15.0, 30.0),
    (100_000, 0.001, 600.0, 300.0, 600.0),
    (3, 2.0, 2.0, 1.0, 2.0),
]


@pytest.mark.parametrize(("failures", "first", "most", "low", "high"), WAITS)
def test_waits(failures: int, first: float, most: float, low: float, high: float) -> None:
    """A wait doubles up to the longest, and is drawn from its upper half."""
    backoff = Backoff(first, most, failures)
    assert (low, high) == (backoff.seconds(0.0), backoff.seconds(1.0))
    assert low < backoff.seconds(0.5) < high


def test_failures_are_counted_in_a_row() -> None:
    """A connection that lived long ends the row; one that was closed soon does not."""
    backoff = Backoff(0.5, 30.0)
    row = [backoff := backoff.failed() for _ in range(3)]
    assert [1, 2, 3] == [each.failures for each in row]
    assert 4 == backoff.lived(29.9).failures
    assert 0 == backoff.lived(30.0).failures
