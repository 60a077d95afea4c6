"""A message's two limits."""

from dataclasses import FrozenInstanceError

import pytest

from switch.deadline import Deadline

#: Times that binary fractions hold exactly: milliseconds in eighths of a second.
DEADLINE = Deadline.start(1000.0, within_ms=250, margin_ms=125)


def test_limits_count_from_the_last_byte() -> None:
    """A decision has the whole time less the margin, the answer the whole time."""
    assert Deadline(received_at=1000.0, decide_by=1000.125, answer_by=1000.25) == DEADLINE


@pytest.mark.parametrize(
    ("now", "answered_late", "left"),
    [
        (1000.0000, False, +0.2500),
        (1000.0625, False, +0.1875),
        (1000.1250, False, +0.1250),
        (1000.1875, False, +0.0625),
        (1000.2500, True, 0.0),
        (1000.5000, True, -0.2500),
    ],
)
def test_each_limit_is_late_from_its_moment_on(
    now: float, answered_late: bool, left: float
) -> None:
    """What was decided in time is still answered, up to the second limit and not at it."""
    assert answered_late == DEADLINE.answered_late(now)
    assert left == DEADLINE.left(now)


def test_limits_do_not_move() -> None:
    """A deadline travels with its message and nobody extends it."""
    with pytest.raises(FrozenInstanceError):
        DEADLINE.answer_by = 2000.0  # type: ignore[misc]
