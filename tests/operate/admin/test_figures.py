"""What two readings of the counters say of the time between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.operate.admin.figures import Reading, questions, window
from switch.operate.histogram import Histogram

APPROVED = ("demo", "0100", "approved", "sent")
DECLINED = ("demo", "0200", "insufficient_funds", "sent")
REPEATED = ("demo", "0101", "approved", "sent")
LATE = ("demo", "0100", "approved", "late")
ADVICE = ("other", "0120", "approved", "sent")
ECHO = ("other", "0800", "approved", "sent")
UNREADABLE = ("other", "unreadable", "none", "dropped")

NOTHING = Reading(0.0, 0.0, {}, {}, {}, 0, 0)


def after(seconds: float = 1.0, /, **counters: Any) -> Reading:
    """A reading so long after `NOTHING`."""
    return NOTHING._replace(at=seconds, **counters)


def latencies(milliseconds: Iterable[float]) -> Histogram:
    """Answer times."""
    made = Histogram()
    for value in milliseconds:
        made.add(value / 1000)
    return made


MESSAGES = [
    # counted in 10 s                       approved  decisions  declines
    ({},                                      None,     0, {}),
    ({APPROVED: 3, DECLINED: 1},              0.75,     4, {"insufficient_funds": 1}),
    ({APPROVED: 1, REPEATED: 1},              1.0,      2, {}),
    ({APPROVED: 1, LATE: 9},                  1.0,      1, {}),
    ({ADVICE: 5, ECHO: 5, UNREADABLE: 5},     None,     0, {}),
    ({DECLINED: 2, ADVICE: 5},                0.0,      2, {"insufficient_funds": 2}),
]  # fmt: skip


@pytest.mark.parametrize(("counted", "rate", "decisions", "declines"), MESSAGES)
def test_the_approval_rate_is_of_decisions_that_were_told(
    counted: dict[tuple[str, ...], float],
    rate: float | None,
    decisions: int,
    declines: dict[str, int],
) -> None:
    """Advices, echoes and what is no message ask for none; one that came too late is none."""
    told = window(NOTHING, after(10.0, messages=counted), Histogram())
    assert (rate, decisions) == (told["approval_rate"], told["decisions"])
    assert declines == told["declines"]
    assert sum(counted.values()) == told["messages"] == sum(told["outcomes"].values())
    assert told["messages"] / 10 == told["messages_per_second"]


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0.01, 100))
def test_only_what_came_between_two_readings_counts(before: int, more: int, seconds: float) -> None:
    """What was counted before the first reading is in no figure."""
    first = after(messages={APPROVED: before})
    second = after(1.0 + seconds, messages={APPROVED: before + more})
    told = window(first, second, Histogram())
    assert (more, more) == (told["messages"], told["approved"])
    assert told["messages_per_second"] == pytest.approx(more / seconds, abs=0.06)


def test_links_have_their_own_rates() -> None:
    """Each link's messages a second, whatever they were."""
    told = window(NOTHING, after(2.0, messages={APPROVED: 8, ADVICE: 1, ECHO: 1}), Histogram())
    assert {"demo": 4.0, "other": 1.0} == told["links"]


def test_percentiles_are_in_milliseconds() -> None:
    """p50, p99 and p99.9 are of all messages, to three digits; of none there is none."""
    told = window(NOTHING, after(), latencies(range(1, 1001)))["latency_ms"]
    assert (500, 990, 999, 1000) == tuple(
        round(told[name]) for name in ("p50", "p99", "p999", "max")
    )
    assert {None} == set(window(NOTHING, after(), Histogram())["latency_ms"].values())


def test_a_batch_is_decisions_a_transaction() -> None:
    """The mean of those made between the readings; of none there is none."""
    first, second = after(batches=10, batched=10), after(batches=14, batched=16)
    assert 1.5 == window(first, second, Histogram())["batch_mean"]
    assert window(first, first, Histogram())["batch_mean"] is None


def test_questions_to_the_hsm_have_their_times() -> None:
    """Asked, by what became of them, with the mean and a bound of the slowest hundredth."""
    bounds = {("verify_pin", "0.001"): 98.0, ("verify_pin", "0.005"): 99.0,
              ("verify_pin", "0.1"): 100.0, ("verify_pin", "+Inf"): 100.0,
              ("verify_pin", "sum"): 0.2}  # fmt: skip
    asked = {("verify_pin", "answered"): 99.0, ("verify_pin", "unavailable"): 1.0,
             ("mac", "refused"): 3.0}  # fmt: skip
    pin, mac = questions(NOTHING, after(10.0, questions=asked, question_seconds=bounds))
    assert ("verify_pin", 100, 10.0, 2.0, 5.0) == tuple(
        pin[name] for name in ("question", "asked", "per_second", "mean_ms", "p99_ms")
    )
    assert {"answered": 99, "unavailable": 1} == pin["outcomes"]
    assert (3, None, None) == (mac["asked"], mac["mean_ms"], mac["p99_ms"])
