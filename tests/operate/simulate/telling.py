"""Tells a story without sockets and without a clock: what becomes of each message a test says."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from specs.spec import load as load_spec
from switch.demo.cards_in_hand import CardsInHand
from switch.operate.replay.moments import Moments
from switch.operate.simulate.cards import Dealer
from switch.operate.simulate.desk import Desk
from switch.operate.simulate.habits import Case
from switch.operate.simulate.mix import Mix, Shares
from switch.operate.simulate.score import Score
from switch.operate.simulate.steps import Answer, Ask, Pause
from switch.operate.simulate.stories import tell
from switch.operate.simulate.terms import Terms
from tests.operate.simulate.issuer import UNAVAILABLE, Issuer

SPEC = load_spec("iso87-ascii")
TERMS, HAND = Terms(SPEC), CardsInHand(1)
#: No story that anybody answers in the end takes more.
STEPS_MOST = 400
EXPECTED = {"insufficient_funds": "insufficient_funds", "unknown_card": "no_card_record"}
STOPPED = {card.pan: reason for card, reason in HAND.stopped()}
#: Nothing happens but what is asked for.
NOTHING = Shares(**dict.fromkeys(Shares.__dataclass_fields__, 0.0))


class Fate(Enum):
    """What becomes of a message."""

    ANSWERED = "answered"
    NOT_THERE = "not there"  #: it never reached the issuer, and no answer comes
    ANSWER_LOST = "answer lost"  #: it did, and no answer comes
    LATE = "late"  #: its answer comes when nobody waits for it any more, or who watches for it
    UNAVAILABLE = "unavailable"  #: a decision is refused as 91; anything else waits
    UNWOUND = "unwound"  #: a decision came too late: it was taken back, and no answer comes
    NO_LINK = "no link"  #: it does not even go out


@dataclass
class Told:
    """What came of a story."""

    case: Case
    score: Score
    issuer: Issuer
    asks: list[tuple[Ask, Fate]] = field(default_factory=list)

    @property
    def mtis(self) -> list[str]:
        """What went out, in order."""
        sent = (ask.message for ask, fate in self.asks if fate is not Fate.NO_LINK)
        return [message.mti for message in sent if message is not None]


def case_of(shares: Shares, seed: int = 1) -> tuple[Case, Score]:
    """A case at a desk of its own."""
    chance, score = random.Random(seed), Score()
    moments = Moments(SPEC, clock=lambda: 1_795_000_000.0)
    desk = Desk(chance, moments.now, rrn_from=1, time_out=10.0, repeat_after=20.0)
    mix = Mix(shares=shares)
    dealer = Dealer(HAND, 10)
    return Case(desk, mix, dealer, chance, score.counts("story"), "00", "05"), score


def told(
    name: str, fates: Iterator[Fate], shares: Shares = NOTHING, seed: int = 1,
    on_ask: Callable[[Ask], None] = lambda _: None,
) -> Told:  # fmt: skip
    """Tell a story to its end. When the fates are over, everything is answered."""
    case, score = case_of(shares, seed)
    come_of = Told(case, score, Issuer())
    stans, late = itertools.count(1), dict[Ask, Answer]()
    story = tell(name, case)
    value: Answer | None = None
    for _ in range(STEPS_MOST):
        try:
            step = story.send(value)
        except StopIteration:
            return come_of
        value = None
        if isinstance(step, Pause):
            copy = next((each for each in late if each.is_copy_of(step.until)), None)
            value = late.pop(copy) if copy is not None else None
            continue
        assert isinstance(step, Ask)
        fate = next(fates, Fate.ANSWERED)
        come_of.asks.append((step, fate))
        if fate is Fate.NO_LINK:
            continue
        if step.message is None:
            step.message = TERMS.message(step, next(stans))
        on_ask(step)
        value = _come_of(step, fate, _reason(name, come_of, step), come_of.issuer, late)
    raise AssertionError(f"{name} does not end")


def _reason(name: str, come_of: Told, ask: Ask) -> str | None:
    """Why a request is declined; of two PINs the first one is wrong."""
    is_first = ask.fields[37] == come_of.asks[0][0].fields[37]
    if name == "wrong_pin" and is_first:
        return "pin_mismatch"
    return STOPPED.get(ask.fields[2]) or EXPECTED.get(name)


def _come_of(
    ask: Ask, fate: Fate, reason: str | None, issuer: Issuer, late: dict[Ask, Answer]
) -> Answer | None:
    message = ask.message
    assert message is not None
    is_decision = message.mti[1:3] in ("10", "20")
    if fate is Fate.NOT_THERE:
        return None
    if fate is Fate.UNAVAILABLE:
        return UNAVAILABLE if is_decision else None
    if is_decision and reason is not None:
        issuer.declines.setdefault(message.fields[37], reason)
    decides = is_decision and not issuer.has_answer_to(message)  # a repeat has nothing to unwind
    answer = issuer.receive(message)
    if fate is Fate.ANSWERED:
        return answer
    if fate is Fate.LATE:
        late[ask] = answer
    if fate is Fate.UNWOUND and decides:
        issuer.unwind(message)
    return None
