"""Each story by itself: what goes out, in which order, and what the scheme knows at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from switch.operate.simulate.habits import REPEATS_MOST
from switch.operate.simulate.mix import WEIGHTS, Shares
from switch.operate.simulate.steps import Ask, Pause, Step
from switch.operate.simulate.stories import ECHOES_MISSED_MOST, cuts, deafness, session
from switch.wire import mti
from switch.wire.message import Message
from tests.operate.simulate.issuer import ACKNOWLEDGED, DECLINED
from tests.operate.simulate.telling import NOTHING, Fate, case_of, told

YES, GONE, MUTE, LATE, BUSY, DOWN = (
    Fate.ANSWERED, Fate.NOT_THERE, Fate.ANSWER_LOST, Fate.LATE, Fate.UNAVAILABLE, Fate.NO_LINK
)  # fmt: skip


def shares(**ones: float) -> Shares:
    """Those happen always, and nothing else does."""
    return replace(NOTHING, **ones)


#: Story, what always happens, what becomes of its messages → what goes out.
TOLD: list[tuple[str, Shares, Sequence[Fate], list[str]]] = [
    ("chip_pin", shares(), [YES], ["0100"]),
    ("atm_cash", shares(), [YES], ["0200"]),
    ("refund", shares(), [YES], ["0200"]),
    ("chip_pin", shares(repeat=1), [YES], ["0100", "0101"]),
    ("chip_pin", shares(give_up=1), [YES], ["0100", "0400"]),
    ("chip_pin", shares(give_up=1), [YES, GONE, MUTE], ["0100", "0400", "0401", "0401"]),
    ("chip_pin", shares(give_back=1), [YES], ["0100", "0420"]),
    # Without an answer it is reversed, until that is acknowledged.
    ("chip_pin", shares(), [GONE], ["0100", "0420"]),
    ("chip_pin", shares(), [MUTE, GONE, GONE], ["0100", "0420", "0421", "0421"]),
    ("chip_pin", shares(ask_again=1), [MUTE], ["0100", "0101"]),
    ("chip_pin", shares(ask_again=1), [MUTE, MUTE], ["0100", "0101", "0420"]),
    ("chip_pin", shares(ask_again=1), [Fate.UNWOUND], ["0100", "0101"]),
    # Or the scheme decides.
    ("chip_pin", shares(stand_in=1), [MUTE], ["0100", "0120"]),
    ("chip_pin", shares(stand_in=1), [BUSY, GONE], ["0100", "0120", "0121"]),
    ("chip_pin", shares(stand_in=1, refuse=1), [GONE], ["0100", "0120"]),
    ("atm_cash", shares(stand_in=1), [GONE], ["0200", "0220"]),
    ("atm_cash", shares(stand_in=1, refuse=1), [MUTE], ["0200", "0420"]),
    ("chip_pin", shares(), [BUSY], ["0100"]),
    # Of two copies one was not answered: that the other one was not decided says nothing.
    ("chip_pin", shares(ask_again=1), [MUTE, BUSY], ["0100", "0101", "0420"]),
    ("chip_pin", shares(twin=1), [BUSY], ["0100", "0420"]),
    # Or it looks out for a late answer: an approval is taken back, a decline needs nothing.
    ("chip_pin", shares(watch=1), [LATE], ["0100", "0420"]),
    ("insufficient_funds", shares(watch=1), [LATE], ["0100"]),
    ("chip_pin", shares(watch=1), [GONE], ["0100", "0420"]),
    # What moves nothing is not settled, and what never went out neither.
    ("inquiry", shares(stand_in=1), [GONE], ["0100"]),
    ("verification", shares(), [GONE], ["0100"]),
    ("chip_pin", shares(), [DOWN], []),
    ("chip_pin", shares(ask_again=1), [DOWN], ["0100"]),
    ("wrong_pin", shares(), [], ["0100", "0100"]),
    ("stopped_card", shares(), [], ["0100"]),
    ("unknown_card", shares(), [], ["0100"]),
]


@pytest.mark.parametrize(("name", "always", "fates", "mtis"), TOLD)
def test_what_goes_out(name: str, always: Shares, fates: Sequence[Fate], mtis: list[str]) -> None:
    """Each silence, loss and late answer has its message, and no other one."""
    story = told(name, iter(fates), always)
    assert mtis == story.mtis
    assert (0, []) == (story.score.wrong, story.score.told)


def test_a_hotel() -> None:
    """So much, perhaps more, then what it came to: with the code that it was approved with."""
    seen = set()
    for seed in range(8):
        story = told("preauthorization", iter(()), seed=seed)
        last, _ = story.asks[-1]
        assert ("123456", "0220") == (last.fields[38], last.mti)
        assert int(last.fields[4]) == story.case.stands[last.fields[37]]
        seen.add(tuple(story.mtis))
    assert {("0100", "0220"), ("0100", "0100", "0220")} == seen


@pytest.mark.parametrize("always", [shares(), shares(stand_in=1), shares(stand_in=1, refuse=1)])
def test_what_nobody_acknowledges(always: Shares) -> None:
    """It is sent again so often and no more; then it is told, and nobody knows what stands."""
    story = told("chip_pin", iter([MUTE] * 100), always)
    kind = story.mtis[1]
    assert [kind, *[mti.repeat(kind)] * REPEATS_MOST] == story.mtis[1:]
    assert 1 == story.score.unacknowledged
    assert {None} == set(story.case.stands.values())
    (line,) = story.score.told
    assert f"not acknowledged: story: {kind} RRN" in line


def test_repeats_are_the_message_again() -> None:
    """But for its MTI nothing is other: not its STAN, not its moment."""
    story = told("chip_pin", iter([MUTE, MUTE]), shares(stand_in=1))
    (_, first), (_, second) = [
        (ask.mti, ask.message) for ask, _ in story.asks if ask.mti in ("0120", "0121")
    ]
    assert first is not None
    assert second is not None
    assert (first.fields, "0121") == (second.fields, second.mti)


def test_another_answer_to_a_repeat_is_wrong() -> None:
    """A repeat gets what its original got."""

    def on_ask(ask: Ask) -> None:
        if ask.mti == "0101" and ask.message is not None:  # an issuer that takes it for another
            fields = {**ask.message.fields, 11: "999999", 37: "999999999999", 4: "0" * 12}
            ask.message = Message("0120", {**fields, 39: "05"})

    story = told("chip_pin", iter(()), shares(repeat=1), on_ask=on_ask)
    assert 1 == story.score.wrong
    assert "not as 00 before" in story.score.told[0]


WORLD = st.lists(st.sampled_from(list(Fate)), max_size=12)
SHARE = st.sampled_from([0.0, 0.5, 1.0])
SHARES = st.builds(Shares, **dict.fromkeys(Shares.__dataclass_fields__, SHARE))


@settings(deadline=None, max_examples=100)
@example("atm_cash", [Fate.ANSWERED, Fate.UNWOUND], shares(repeat=0.5), 0)
@given(st.sampled_from(sorted(WEIGHTS)), WORLD, SHARES, st.integers(0, 2**32))
def test_whatever_happens(name: str, fates: list[Fate], always: Shares, seed: int) -> None:
    """Under any order of answers, silences, losses and outages a story ends, everything that
    already happened is acknowledged, no right answer counts as wrong, and what the scheme thinks
    stands is what stands.
    """
    story = told(name, iter(fates), always, seed)
    assert (0, 0) == (story.score.wrong, story.score.unacknowledged)
    last = {
        (mti.without_repeat(ask.mti), ask.message.fields[11]): fate
        for ask, fate in story.asks
        if ask.message is not None and not mti.is_decided(ask.mti)
    }
    assert set(last.values()) <= {YES, LATE}
    for rrn, minor in story.case.stands.items():
        assert minor is None or minor == story.issuer.standing(rrn)


def network(step: Step) -> str:
    """What a link says."""
    assert isinstance(step, Ask)
    return step.network


def test_a_link_signs_on_and_echoes() -> None:
    """Until an echo has no answer; then its connection is over."""
    case, _ = case_of(NOTHING)
    link = session(case)
    assert "sign_on" == network(link.send(None))
    for _ in range(3):
        assert Pause(case.mix.times.echo_every) == link.send(ACKNOWLEDGED)
        assert "echo" == network(link.send(None))
    for _ in range(ECHOES_MISSED_MOST - 1):
        assert Pause(0.0) == link.send(None)
        assert "echo" == network(link.send(None))
    with pytest.raises(StopIteration):
        link.send(None)


def test_a_link_that_may_not_sign_on() -> None:
    """Is over at once."""
    case, _ = case_of(NOTHING)
    link = session(case)
    link.send(None)
    with pytest.raises(StopIteration):
        link.send(DECLINED)


def test_troubles_come_by_chance_or_not_at_all() -> None:
    """A time of 0 is none of it."""
    case, _ = case_of(NOTHING)
    for make in (cuts, deafness):
        trouble = make(case)
        assert isinstance(trouble.send(None), Pause)
        assert not isinstance(trouble.send(None), Pause)
        times = replace(case.mix.times, cut_every=0.0, deaf_every=0.0)
        quiet, _ = case_of(NOTHING)
        quiet.mix = replace(quiet.mix, times=times)
        assert [] == list(make(quiet))
