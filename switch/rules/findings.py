"""
What was found out for a decision, in one text that is kept with it: names and words, so that
somebody can tell later why it was refused. Never a value of what was verified.

`cryptogram=match track_code=match pin=mismatch`, to which the ledger adds what it alone knows
(`authorize.sql`): `pin_tries=1/3`, `atc=17/20`, `limit.all.day=50000:12000:2500:10:3`. A thing that
did not come and need not has no word; a text without words says that there was none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from keys.hsm import Verdict
from switch.rules.checks import Case, Verdicts
from switch.rules.program import Need
from switch.rules.reason import Reason

_UNWANTED, _MISSING, _UNANSWERED = "unwanted", "missing", "unanswered"
_LIMIT = "limit."


class LimitFigures(NamedTuple):
    """A limit as a decision found it: amounts in minor units of the account's currency."""

    scope: str
    period: str
    limit_minor: int | None  #: none: only the count is limited
    used_minor: int  #: before this one
    this_minor: int  #: what this one uses
    limit_count: int | None
    used_count: int

    @property
    def is_over_amount(self) -> bool:
        """Whether this one would pass it by its amount."""
        return self.limit_minor is not None and self.would_be_minor > self.limit_minor

    @property
    def is_over_count(self) -> bool:
        """Whether this one would be one too many."""
        return self.limit_count is not None and self.used_count >= self.limit_count

    @property
    def would_be_minor(self) -> int:
        """What would be used with this one."""
        return self.used_minor + self.this_minor


def findings(case: Case, verdicts: Verdicts, refusal: Reason | None, pin: str | None) -> str:
    """What became of each thing that the message brought or should have brought.

    `refusal` is the first one by the questions before the PIN, `pin` the question of that: where
    neither has anything against it, all that was verified is right, and the text is made already.
    """
    if refusal is None and not verdicts.hsm_fault and (pin is None or pin == "match"):
        return _RIGHT[
            (verdicts.cryptogram is not None)
            + 2 * (verdicts.track_code is not None)
            + 4 * (verdicts.cvv2 is not None)
            + 8 * (verdicts.cavv is not None)
            + 16 * (pin is not None)
        ]
    return _found(case, verdicts, refusal)


#: What is right, by a bit for each.
_NAMES = ("cryptogram", "track_code", "cvv2", "cavv", "pin")
_RIGHT = tuple(
    " ".join(f"{name}=match" for bit, name in enumerate(_NAMES) if mask >> bit & 1)
    for mask in range(1 << len(_NAMES))
)


def _found(case: Case, verdicts: Verdicts, refusal: Reason | None) -> str:
    need, found = case.verification, []
    if verdicts.cryptogram is not None or need.cryptogram is Need.REQUIRED:
        found.append(f"cryptogram={_word(need.cryptogram, verdicts.cryptogram, verdicts)}")
    if verdicts.refused is not None:
        found.append(_rule(case, verdicts.refused))
        return " ".join(found)
    if verdicts.track_code is not None or need.track_code is Need.REQUIRED:
        found.append(f"track_code={_word(need.track_code, verdicts.track_code, verdicts)}")
    if verdicts.cvv2 is not None or need.cvv2 is Need.REQUIRED:
        found.append(f"cvv2={_word(need.cvv2, verdicts.cvv2, verdicts)}")
    if verdicts.cavv is not None or need.cavv is Need.REQUIRED:
        found.append(f"cavv={_word(need.cavv, verdicts.cavv, verdicts)}")
    if refusal is Reason.CARD_CODE_MISMATCH and _is_other_service_code(case):
        found.append("service_code=differs")
    if refusal is Reason.STRONG_AUTHENTICATION_REQUIRED:
        found.append("authentication=missing")
    if case.request.pin_block is not None or case.pin_need is Need.REQUIRED:
        found.append(f"pin={_pin(case, verdicts)}")
    return " ".join(found)


def _word(need: Need, verdict: Verdict | None, verdicts: Verdicts) -> str:
    if verdict is None:
        return _UNANSWERED if verdicts.hsm_fault else _MISSING
    return _UNWANTED if need is Need.REFUSED and verdict is Verdict.MATCH else verdict.value


def _pin(case: Case, verdicts: Verdicts) -> str:
    if case.request.pin_block is None:
        return _MISSING
    if case.pin_need is Need.REFUSED:
        return _UNWANTED
    if verdicts.pin is not None:
        return verdicts.pin.value
    return _UNANSWERED if verdicts.hsm_fault else "no_reference"


def _rule(case: Case, reason: Reason) -> str:
    """Which rule it was, and of an expiry what is wrong with it."""
    if reason is not Reason.CARD_EXPIRED:
        return f"rule={reason}"
    if case.plastic is None:
        return f"rule={reason} expiry=unknown"
    has_passed = f"{case.today:%y%m}" > case.plastic.expiry
    return f"rule={reason} expiry={'passed' if has_passed else 'differs'}"


def _is_other_service_code(case: Case) -> bool:
    """A service code that is not the plastic's refuses, whatever the code over it."""
    track, plastic = case.request.track, case.plastic
    return track is not None and (plastic is None or track.service_code != plastic.service_code)


def words(text: str) -> Mapping[str, str]:
    """The words of a kept text by name, limits left out."""
    pairs = (word.partition("=") for word in text.split())
    return {name: value for name, _, value in pairs if not name.startswith(_LIMIT)}


def limits(text: str) -> list[LimitFigures]:
    """The limits of a kept text, in the order in which they were asked."""
    found = []
    for word in text.split():
        name, _, value = word.partition("=")
        if name.startswith(_LIMIT):
            _, scope, period = name.split(".")
            limit, used, this, count_limit, count = value.split(":")
            amounts = int(used), int(this)
            found.append(
                LimitFigures(
                    scope, period, _number(limit), *amounts, _number(count_limit), int(count)
                )
            )
    return found


def _number(text: str) -> int | None:
    return int(text) if text else None
