"""
What each question of the policy said of one message.

What was answered is recorded; that the facts say the same is a proof of both, and where they do
not, it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from switch.operate.why.facts import Facts
from switch.operate.why.questions import QUESTIONS, Question, Seen

PASSED, REFUSED, NOT_ASKED, NOT_RECORDED = "passed", "refused", "not_asked", "not_recorded"

#: Where an advice that was here first has answered a message, nothing after this is asked.
_EARLIER = next(number for number, one in enumerate(QUESTIONS) if one.name == "earlier")


@dataclass(frozen=True, slots=True)
class Check:
    """One question as it was answered."""

    row: int  #: of the policy's table
    name: str
    question: str
    verdict: str  #: PASSED, REFUSED, NOT_ASKED, NOT_RECORDED
    inputs: str  #: what it looked at, in words and figures
    reason: str | None  #: where it refused

    def as_json(self) -> dict[str, Any]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


def ask(facts: Facts) -> tuple[list[Check], list[str]]:
    """Every question with its verdict, and what of the facts contradicts the record."""
    reason = facts.row["reason"]
    seen = [question.look(facts) for question in QUESTIONS]
    last = _answered_at(reason, seen) if reason or not facts.is_advised else _EARLIER
    checks = [
        _check(question, one, number, last, reason)
        for number, (question, one) in enumerate(zip(QUESTIONS, seen, strict=True))
    ]
    return checks, list(_contradictions(seen, last, reason))


def _answered_at(reason: str | None, seen: Sequence[Seen]) -> int | None:
    """The place of the question that refused: of several with that reason, the one that sees it."""
    places = [number for number, one in enumerate(QUESTIONS) if reason in one.reasons]
    for place in places:
        if seen[place].refusal == reason:
            return place
    return places[-1] if places else None


def _check(
    question: Question, seen: Seen, number: int, last: int | None, reason: str | None
) -> Check:
    verdict, inputs = PASSED, seen.inputs
    if last is not None and number > last:
        verdict = NOT_ASKED
        inputs = "an earlier one refused" if reason else "an advice had answered it"
    elif number == last and reason:
        verdict = REFUSED
    elif not seen.is_recorded:
        verdict = NOT_RECORDED
    elif not seen.is_asked:
        verdict = NOT_ASKED
    return Check(
        question.row, question.name, question.text, verdict, inputs,
        reason if verdict == REFUSED else None,
    )  # fmt: skip


def _contradictions(seen: Sequence[Seen], last: int | None, reason: str | None) -> Iterator[str]:
    """Where what is known now says another thing than what was answered then."""
    for number, (question, one) in enumerate(zip(QUESTIONS, seen, strict=True)):
        if not one.is_recorded or (last is not None and number > last):
            continue
        expected = reason if number == last else None
        if one.refusal != expected:
            says = one.refusal or "nothing against it"
            yield f"{question.name}: what is known now says {says}: changed past the records"
