"""
What a scheme does about one request: it asks, and where nobody answers it stands in or reverses.

An advice and a reversal are sent again until they are acknowledged, `REPEATS_MOST` times at most.
Every way through these functions ends with the scheme knowing what stands of the purchase.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from switch.operate.simulate.cards import Dealer
from switch.operate.simulate.desk import STAND_IN_CODE, Desk
from switch.operate.simulate.mix import Mix
from switch.operate.simulate.score import Counts
from switch.operate.simulate.steps import Answer, Ask, Part, Pause, Step

#: How often an advice or a reversal is sent again before it counts as not acknowledged.
REPEATS_MOST = 20
#: Each time it is waited for twice as long, up to so many times as long.
BACK_OFF_MOST = 8
#: How long after a silence or a loss it is sent again, in seconds of the story.
RESEND_SECONDS = 5.0

#: More than this no scheme approves in the issuer's place, in minor units.
STAND_IN_MOST_MINOR = 25_000

#: A decision: the authorization code under which a purchase stands; none: it does not.
Decided: TypeAlias = Generator[Step, Answer | None, str | None]

_AMOUNT, _RRN = 4, 37


@dataclass(slots=True)
class Case:
    """One story that is being told, and what it may use."""

    desk: Desk
    mix: Mix
    dealer: Dealer
    chance: random.Random
    counts: Counts
    approving: str  #: DE39 of an advice that says yes, and of one that says no
    declining: str
    takes_increments: bool = True  #: whether the dialect has a word for them
    #: What should stand in the issuer's books, by RRN, in minor units; none: nobody knows.
    stands: dict[str, int | None] = field(default_factory=dict)
    last: Answer | None = None  #: the issuer's, to what was asked last
    carrier: Ask | None = None  #: what a purchase stands by: its request, or the scheme's advice

    def happens(self, what: str) -> bool:
        """Whether one of the mix's shares comes up."""
        share: float = getattr(self.mix.shares, what)
        return self.chance.random() < share

    def think(self) -> Pause:
        """The time between two steps of a story."""
        times = self.mix.times
        return Pause(self.chance.expovariate(1 / times.think) if times.think else 0.0)

    def hold_to(self, ask: Ask, answer: Answer, expected: str) -> None:
        """An answer is right where it approves, or declines for the reason that it should."""
        is_right = answer.is_approval if expected == "approved" else expected in answer.reasons
        if not is_right:
            self.wrong(ask, f"answered {answer.code}, {expected} is right")

    def wrong(self, ask: Ask, what: str) -> None:
        """Note what an answer should not have been, without a value of a card."""
        self.counts.tell_wrong(f"{ask.mti} RRN {ask.fields.get(_RRN, '-')}: {what}")

    def book(self, ask: Ask, minor: int | None) -> None:
        """Note what stands of a purchase now."""
        self.stands[ask.fields[_RRN]] = minor


def amount_of(ask: Ask) -> int:
    """What a message asks for, in minor units."""
    return int(ask.fields[_AMOUNT])


def decide(case: Case, ask: Ask, expected: str = "approved") -> Decided:
    """Have a request decided, by the issuer or in its place, until it is known what stands."""
    case.book(ask, 0)
    case.carrier = ask
    ask.is_twin = case.happens("twin")
    answer = yield ask
    if answer is not None and answer.is_unavailable and ask.is_twin:
        answer = yield Pause(ask.seconds, until=ask)  # the other copy may have been decided
    is_unsure = answer is None or ask.copies_lost > 0
    case.counts.timed_out += answer is None
    if answer is None and case.happens("ask_again"):
        case.counts.repeats += 1
        answer = yield ask.again(ask.seconds)
    case.last = answer
    # A copy of which nobody knows may have been approved, whatever became of another.
    if answer is None or (is_unsure and answer.is_unavailable):
        return (yield from _without_answer(case, ask))
    if answer.is_unavailable:
        case.counts.unavailable += 1
        if moves_money(ask) and case.happens("stand_in"):
            return (yield from _stand_in(case, ask))
        return None
    # What came too late of an earlier copy was unwound, and its repeat is declined for that.
    if not (answer.says_little and (is_unsure or ask.is_twin)):
        case.hold_to(ask, answer, expected)
    if case.happens("repeat"):
        yield from _compare(case, ask, answer)
    if not answer.is_approval:
        return None
    case.book(ask, amount_of(ask) if holds(ask) else None)
    return answer.authorization_code


def insist(case: Case, ask: Ask) -> Part:
    """Send what already happened until it is acknowledged. Gives whether it was."""
    for attempt in range(REPEATS_MOST + 1):
        case.counts.repeats += bool(attempt)
        patience = ask.seconds * min(2**attempt, BACK_OFF_MOST)
        answer = yield ask.again(patience) if attempt else ask
        if answer is None:
            answer = yield Pause(RESEND_SECONDS, until=ask)
        if answer is not None:
            if not answer.is_approval:
                case.wrong(ask, f"answered {answer.code}, it must be acknowledged")
            return True
    case.counts.tell_unacknowledged(f"{ask.mti} RRN {ask.fields[_RRN]}")
    case.book(ask, None)
    return False


def reverse(case: Case, ask: Ask, mti: str = "0420", keep_minor: int | None = None) -> Part:
    """Take a request back, or down to what is kept. What never went out needs no reversal."""
    case.book(ask, keep_minor or 0)
    if ask.message is None:
        return True
    case.counts.reversed += 1
    return (yield from insist(case, case.desk.reversal(ask, mti, keep_minor)))


def moves_money(ask: Ask) -> bool:
    """Whether anything would stand of it: not of an inquiry, a verification, an asked refund."""
    is_credit = ask.fields[3].startswith("2")
    return amount_of(ask) > 0 and not (is_credit and ask.mti[1] == "1")


def holds(ask: Ask) -> bool:
    """Whether what stands of it is its amount: a credit is booked the other way."""
    return moves_money(ask) and not ask.fields[3].startswith("2")


def _without_answer(case: Case, ask: Ask) -> Decided:
    """Nobody answered. What the switch made of the request is unknown, so it is settled."""
    if not moves_money(ask):
        return None
    if case.happens("watch"):
        late = yield Pause(case.mix.times.watch, until=ask)
        if late is None or late.is_approval or late.is_unavailable:
            yield from reverse(case, ask)
        return None
    if case.happens("stand_in"):
        return (yield from _stand_in(case, ask))
    yield from reverse(case, ask)
    return None


def _stand_in(case: Case, ask: Ask) -> Decided:
    """The scheme decides in the issuer's place, and tells it."""
    if amount_of(ask) > STAND_IN_MOST_MINOR or case.happens("refuse"):
        if ask.mti[1] == "2":  # an advice of a decline takes nothing back of what was posted
            yield from reverse(case, ask)
            return None
        case.counts.stood_in += 1
        yield from insist(case, case.desk.advice(ask, case.declining, is_approved=False))
        return None
    case.counts.stood_in += 1
    case.book(ask, amount_of(ask) if holds(ask) else None)
    case.carrier = case.desk.advice(ask, case.approving, is_approved=True)
    yield from insist(case, case.carrier)
    return STAND_IN_CODE


def _compare(case: Case, ask: Ask, first: Answer) -> Generator[Step, Answer | None, None]:
    """A repeat gets what its original got, if it is decided at all."""
    case.counts.repeats += 1
    second = yield ask.again(ask.seconds)
    if second is not None and not second.is_unavailable and not second.is_same_as(first):
        case.wrong(ask, f"its repeat was answered {second.code}, not as {first.code} before")
