"""When messages are due."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

import pytest

from switch.operate.replay import ReplayError
from switch.operate.replay.pacing import as_recorded, constant, poisson

#: Times of a recording, how much faster, and the first six times that come of it.
RECORDED: list[tuple[Sequence[float | None], float, list[float]]] = [
    ([100.0, 101.0, 103.0], 1,    [0.0, 1.0, 3.0, 4.5, 5.5, 7.5]),
    ([100.0, 101.0, 103.0], 2,    [0.0, 0.5, 1.5, 2.25, 2.75, 3.75]),
    ([100.0, 101.0, 103.0], 0.5,  [0.0, 2.0, 6.0, 9.0, 11.0, 15.0]),
    ([5.0],                 1,    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]),
]  # fmt: skip


@pytest.mark.parametrize(("times", "speed", "due"), RECORDED)
def test_a_recordings_own_pace(
    times: Sequence[float | None], speed: float, due: list[float]
) -> None:
    """The distances of the recording, so many times shorter, round after round."""
    assert due == list(itertools.islice(as_recorded(times, speed), 6))


@pytest.mark.parametrize("times", [[], [None, None], [1.0, None]])
def test_a_recording_without_times_has_no_pace(times: Sequence[float | None]) -> None:
    """What was written by hand cannot be played as it was recorded."""
    with pytest.raises(ReplayError, match="--rate"):
        as_recorded(times, 1)


def test_a_constant_rate() -> None:
    """So many a second, all at one distance."""
    assert [0.0, 0.25, 0.5, 0.75] == list(itertools.islice(constant(4), 4))


def test_poisson_arrivals() -> None:
    """The mean distance is that of the rate, and so is its deviation; a seed gives the same."""
    due = list(itertools.islice(poisson(100, 7), 20_000))
    distances = [after - before for before, after in itertools.pairwise(due)]
    assert 0.01 == pytest.approx(statistics.mean(distances), rel=0.05)
    assert 0.01 == pytest.approx(statistics.pstdev(distances), rel=0.05)
    assert due[:5] == list(itertools.islice(poisson(100, 7), 5))
