"""Natural batching under anything: arrivals, patience, durations and failures as they come."""

from __future__ import annotations

import itertools
from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from switch.ledger.batch import ROUNDS_MAX
from switch.ledger.errors import CallRefused, LedgerUnavailable, OutcomeUnknown, Overdue, Overloaded
from tests.ledger.lanes import NEVER, Deed, Made, ScriptedLane, again, answered, outcomes, raises

DEEDS = st.one_of(
    st.just(answered),
    st.just(answered),
    st.builds(again, st.sampled_from("xyz")),
    st.just(raises(CallRefused())),
    st.just(raises(OutcomeUnknown())),
    st.just(raises(LedgerUnavailable())),
    st.just(raises(RuntimeError("a bug"))),
)
SCRIPTS = st.lists(st.tuples(st.integers(0, 4), DEEDS), max_size=12)
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from("xyz"), st.sampled_from([1, 2, 3, 5, NEVER])),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, derandomize=True, max_examples=300)
@given(ARRIVALS, st.lists(SCRIPTS, min_size=1, max_size=3), st.integers(1, 12), st.booleans())
def test_anything(
    some: list[tuple[int, str, float]],
    scripts: list[list[tuple[int, Deed]]],
    batch_max: int,
    one_key: bool,
) -> None:
    """Every call ends once and in time; those of a key are made in order, in one lane at a time."""
    some.sort(key=lambda arrival: arrival[0])
    arrivals = [(w + i / 1000, f"{key}{i:02}", wait) for i, (w, key, wait) in enumerate(some)]
    log: list[Made] = []
    lanes = [
        ScriptedLane(log, [(float(seconds), deed) for seconds, deed in script], name=str(i))
        for i, script in enumerate(scripts)
    ]
    ended = outcomes(arrivals, *lanes, batch_max=batch_max, one_key=one_key)
    log = [made for made in log if made.calls[0][1] != "after"]

    for (when, call, patience), (end, result) in zip(arrivals, ended, strict=True):
        batches = [made for made in log if call in [each for _, each in made.calls]]
        assert end <= when + patience
        if result is Overdue:
            assert all(made.end <= end for made in batches)
        if result is Overloaded:
            assert [] == batches
        if isinstance(result, str):
            assert call == result
        assert 1 >= sum(call in (made.answers or ()) for made in batches)

    by_key: dict[str, list[Made]] = defaultdict(list)
    for made in log:
        assert len(made.calls) <= batch_max
        assert not one_key or len({call[0] for _, call in made.calls}) == 1
        taken: dict[str, list[int]] = defaultdict(list)
        for turn, call in made.calls:
            taken[call[0]].append(turn)
        for key, rounds in taken.items():
            assert list(range(len(rounds))) == rounds
            assert len(rounds) <= ROUNDS_MAX
            by_key[key].append(made)
    for key, batches in by_key.items():
        for earlier, later in itertools.pairwise(batches):
            assert earlier.end <= later.start
        settled = [answer for made in batches for answer in made.answers or ()]
        of_key = [a for a in settled if isinstance(a, str) and a[0] == key]
        assert sorted(of_key) == of_key


@settings(deadline=None, derandomize=True, max_examples=300)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from("vwxyz")), min_size=8, max_size=24),
    st.lists(st.lists(st.integers(1, 4), min_size=6, max_size=6), min_size=2, max_size=3),
    st.integers(2, 3),
)
def test_no_lane_is_free_beside_a_call_that_waits(
    some: list[tuple[int, str]], scripts: list[list[int]], batch_max: int
) -> None:
    """A call whose key stands in no lane waits only while every lane is busy."""
    some.sort()
    arrivals = [(w + i / 1000, f"{key}{i:02}", NEVER) for i, (w, key) in enumerate(some)]
    log: list[Made] = []
    lanes = [
        ScriptedLane(log, [(float(seconds), answered) for seconds in script], name=str(i))
        for i, script in enumerate(scripts)
    ]
    outcomes(arrivals, *lanes, batch_max=batch_max)
    arrived = {call: when for when, call, _ in arrivals}
    let_go: dict[str, float] = {}  # when each key left its last lane
    log = [made for made in log if made.calls[0][1] != "after"]
    for made in log:
        keys = {call[0] for _, call in made.calls}
        for _, call in made.calls:
            could = max(arrived[call], let_go.get(call[0], 0.0))
            assert all(_is_busy(log, lane.name, could, made.start) for lane in lanes)
        let_go |= dict.fromkeys(keys, made.end)


def _is_busy(log: list[Made], lane: str, since: float, until: float) -> bool:
    """Whether a lane was busy all that time: its next batch begins where the last one ends."""
    for made in log:
        if made.lane == lane and made.start <= since < made.end:
            since = made.end
    return since >= until
