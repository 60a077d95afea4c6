"""An HSM behind its breaker: outages are counted, a dead one is not asked, one that is back is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.breaker import Breaker, State
from keys.guard import GuardedHsm
from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Hsm,
    HsmRejected,
    HsmUnavailable,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)

KEY = KeyRef("cvk", "BA6A21")
CODE = CardVerificationValue("3012", "201")
PATIENCE = 0.05

#: What happens to a breaker of three, and the state it is in afterwards.
STORIES = [
    ("", State.CLOSED),
    ("ff", State.CLOSED),
    ("fff", State.OPEN),
    ("ffafa", State.CLOSED),
    ("ffaff", State.CLOSED),
    ("ffffp", State.HALF_OPEN),
    ("fffa", State.CLOSED),
    ("fffpqa", State.CLOSED),
    ("fffpqf", State.OPEN),
    ("fffpqg", State.HALF_OPEN),
    ("p", State.CLOSED),
]


def told(story: str) -> Breaker:
    """A breaker of three after a story: answered, failed, gave up, pinged, question."""
    breaker = Breaker(failures_max=3)
    deeds: dict[str, Callable[[], object]] = {
        "a": breaker.answered,
        "f": breaker.failed,
        "g": breaker.gave_up,
        "p": breaker.pinged,
        "q": breaker.may_ask,
    }
    for deed in story:
        deeds[deed]()
    return breaker


@pytest.mark.parametrize(("story", "state"), STORIES)
def test_stories(story: str, state: State) -> None:
    """Three outages in a row open it, a ping half opens it, an answer closes it."""
    assert state is told(story).state


@given(st.text("afgpq", max_size=40))
def test_any_story(story: str) -> None:
    """It asks everything closed, nothing open, and one at a time half open."""
    breaker = told(story)
    asked = [breaker.may_ask() for _ in range(3)]
    match breaker.state:
        case State.CLOSED:
            assert [True, True, True] == asked
        case State.OPEN:
            assert [False, False, False] == asked
        case State.HALF_OPEN:
            assert [False, False] == asked[1:]


@dataclass
class Scripted:
    """An HSM that answers as it is told."""

    deed: Callable[[], Any] = lambda: Verdict.MATCH
    asked: int = 0
    pings: int = 0
    is_alive: bool = False
    most: int = 0  #: questions that it had at once
    now: int = 0
    name: str = "scripted"
    capabilities: frozenset[Any] = frozenset()
    opened: list[Exception] = field(default_factory=list)

    async def open(self) -> None:
        """Fail as often as there are errors."""
        if self.opened:
            raise self.opened.pop(0)

    async def close(self) -> None:
        """Nothing."""

    async def ping(self) -> None:
        """Answer while alive."""
        self.pings += 1
        if not self.is_alive:
            raise HsmUnavailable("dead")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        async def ask(*_: Any, **__: Any) -> Any:
            self.asked += 1
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                answer = self.deed()
                return await answer if asyncio.iscoroutine(answer) else answer
            finally:
                self.now -= 1

        return ask


@dataclass
class House:
    """A guarded HSM and what was told of it."""

    hsm: Scripted = field(default_factory=Scripted)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    questions: list[tuple[str, str]] = field(default_factory=list)

    def guard(self, *, failures_max: int = 3, in_flight_max: int = 4) -> GuardedHsm:
        """The guard around the script."""
        return GuardedHsm(
            cast(Hsm, self.hsm),
            patience=PATIENCE,
            ping_every=0.01,
            in_flight_max=in_flight_max,
            breaker=Breaker(failures_max=failures_max),
            on_event=lambda name, **fields: self.events.append((name, fields)),
            on_question=lambda name, outcome, _: self.questions.append((name, outcome)),
        )

    @property
    def states(self) -> list[str]:
        """The states that the breaker was told to enter."""
        return [fields["state"] for name, fields in self.events if name == "hsm_breaker"]


async def code(hsm: Hsm) -> Verdict:
    """One question."""
    return await hsm.verify_card_code(KEY, CODE, pan="4761739000000012", code="123")


async def back(hsm: GuardedHsm) -> None:
    """Wait until it is asked again."""
    async with asyncio.timeout(5):
        while hsm.is_down:  # noqa: ASYNC110 - the guard tells nobody but the log
            await asyncio.sleep(0.01)


def down() -> Verdict:
    raise HsmUnavailable("dead")


async def test_every_question_passes() -> None:
    """A guarded HSM answers every question of the protocol with the answer of the HSM behind it."""
    house = House()
    hsm: Hsm = house.guard()
    scheme = CryptogramScheme(
        CardKeyDerivation.OPTION_A, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_1
    )
    block: dict[str, Any] = {"pin_block": bytes(8), "pan": "4761739000000012"}
    answers = [
        await code(hsm),
        await hsm.verify_pin(
            VisaPvv(KEY, "1", "0385"), zone_key=KEY, pin_block_format=PinBlockFormat.ISO_0, **block
        ),
        await hsm.verify_arqc(
            KEY, Cryptogram(scheme, "4761739000000012", "01", b"\0\1", bytes(8), bytes(8)),
            arpc_data=b"00",
        ),
        await hsm.translate_pin(
            from_key=KEY, from_format=PinBlockFormat.ISO_0, to_key=KEY,
            to_format=PinBlockFormat.ISO_3, **block,
        ),
        await hsm.mac(KEY, b"x", algorithm=MacAlgorithm.ISO9797_3),
        await hsm.verify_mac(KEY, b"x", bytes(8), algorithm=MacAlgorithm.ISO9797_3),
    ]  # fmt: skip
    assert [Verdict.MATCH] * 6 == answers
    assert 6 == len(set(house.questions))
    assert {"answered"} == {outcome for _, outcome in house.questions}
    await hsm.close()


async def test_a_dead_hsm_is_not_asked() -> None:
    """After as many outages as are allowed nothing is asked, and every question is an outage."""
    house = House()
    house.hsm.deed = down
    hsm = house.guard()
    for _ in range(10):
        with pytest.raises(HsmUnavailable):
            await code(hsm)
    assert 3 == house.hsm.asked
    assert hsm.is_down
    assert ["open"] == house.states
    assert 7 == house.questions.count(("verify_card_code", "refused"))
    await hsm.close()


async def test_one_that_is_back_is_asked_again() -> None:
    """An HSM that answers a ping is asked one question; its answer lets all others through."""
    house = House()
    house.hsm.deed = down
    hsm = house.guard()
    for _ in range(3):
        with pytest.raises(HsmUnavailable):
            await code(hsm)
    house.hsm.is_alive, house.hsm.deed = True, lambda: Verdict.MISMATCH
    await back(hsm)
    assert Verdict.MISMATCH is await code(hsm)
    assert ["open", "half_open", "closed"] == house.states
    await hsm.close()


async def test_one_that_only_answers_pings_stays_out() -> None:
    """An HSM that answers pings and no question costs one question each time, not one in three."""
    house = House(Scripted(is_alive=True))
    house.hsm.deed = down
    hsm = house.guard()
    for _ in range(3):
        with pytest.raises(HsmUnavailable):
            await code(hsm)
    await back(hsm)
    with pytest.raises(HsmUnavailable):
        await code(hsm)
    assert hsm.is_down
    await hsm.close()


async def test_a_question_given_up_late_is_an_outage() -> None:
    """A caller whose time is over after the HSM had half its own counts as an outage."""
    house = House()
    house.hsm.deed = lambda: asyncio.sleep(3600)
    hsm = house.guard()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await code(hsm)
    assert hsm.is_down
    await hsm.close()


async def test_a_question_given_up_early_is_none() -> None:
    """A caller that had no time left says nothing of the HSM."""
    house = House()
    house.hsm.deed = lambda: asyncio.sleep(3600)
    hsm = house.guard()
    for _ in range(9):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await code(hsm)
    assert not hsm.is_down
    house.hsm.deed = lambda: Verdict.MATCH
    assert Verdict.MATCH is await code(hsm)
    await hsm.close()


async def test_a_refusal_is_an_answer() -> None:
    """A question that is configured wrong is no outage, however often it is asked."""
    house = House()

    def reject() -> Verdict:
        raise HsmRejected("key")

    house.hsm.deed = reject
    hsm = house.guard()
    for _ in range(9):
        with pytest.raises(HsmRejected):
            await code(hsm)
    assert not hsm.is_down
    assert 9 == house.hsm.asked
    await hsm.close()


async def test_questions_at_once_are_bounded() -> None:
    """No more questions than allowed are with the HSM at once, and none is lost in the queue."""
    house = House()

    async def slow() -> Verdict:
        await asyncio.sleep(0.001)
        return Verdict.MATCH

    house.hsm.deed = slow
    hsm = house.guard(in_flight_max=4)
    answers = await asyncio.gather(*(code(hsm) for _ in range(50)))
    assert [Verdict.MATCH] * 50 == answers
    assert 4 == house.hsm.most
    assert 0 == hsm.in_flight
    await hsm.close()


async def test_one_that_is_not_there_at_start_is_waited_for() -> None:
    """An HSM that does not answer at start is tried again, and each wait says why."""
    house = House(Scripted(opened=[HsmUnavailable("no route")]))
    hsm = house.guard()
    await hsm.open()
    assert [("hsm_waiting", "no route")] == [
        (name, fields["problem"]) for name, fields in house.events
    ]
    house.hsm.opened = [HsmRejected("key 'cvk': another")]
    with pytest.raises(HsmRejected, match="cvk"):
        await hsm.open()
    await hsm.close()
