"""What a program lets us approve by ourselves while the ledger is away. Without rules: nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switch.rules.categories import categories

#: How a card may have been read. Whoever keys in a number has nothing that could be verified.
CHANNELS = frozenset({"stripe", "chip", "contactless", "ecommerce"})
#: What can be demanded of a message beside its PIN, by the names of `Verdicts`.
VERIFIABLE = frozenset({"cryptogram", "track_code", "cvv2", "cavv"})
_AMOUNTS = ("amount_minor", "card_minor", "card_count", "total_minor")
_NEEDED = frozenset({*_AMOUNTS, "mccs", "channels"})
_DEFAULTS: Mapping[str, Any] = {"verified": ["cryptogram"], "pin": False}
_KNOWN = _NEEDED | _DEFAULTS.keys()


class StandInRuleError(ValueError):
    """A rule that cannot be used: names its key and says what it must be."""


@dataclass(frozen=True, slots=True)
class StandInRules:
    """The most that is lent by one process until the ledger is back; amounts in minor units."""

    amount_minor: int  #: of one purchase
    card_minor: int  #: of all purchases of a card
    card_count: int  #: how many those may be
    total_minor: int  #: of all cards of the program in one currency
    mccs: frozenset[str]
    channels: frozenset[str]
    verified: frozenset[str]  #: what must have matched
    takes_pin: bool  #: a right PIN is let pass, though its tries are not counted

    @classmethod
    def parse(cls, given: Any) -> StandInRules | None:
        """Read `stand_in` of a program's settings; none is off. Raises `StandInRuleError`."""
        if given is None:
            return None
        if not isinstance(given, Mapping) or not _NEEDED <= given.keys() <= _KNOWN:
            needed = ", ".join(sorted(_NEEDED))
            raise StandInRuleError(f"stand_in: must have {needed}, and may have pin, verified")
        for name in _AMOUNTS:
            if type(given[name]) is not int or given[name] < 1:
                raise StandInRuleError(f"stand_in: {name} must be a whole number above zero")
        if type(given.get("pin", False)) is not bool:
            raise StandInRuleError("stand_in: pin must be true or false")
        return cls(
            **{name: given[name] for name in _AMOUNTS},
            mccs=_mccs(given["mccs"]),
            channels=_some(given, "channels", CHANNELS),
            verified=_some({**_DEFAULTS, **given}, "verified", VERIFIABLE, may_be_empty=True),
            takes_pin=given.get("pin", False),
        )


def _mccs(given: Any) -> frozenset[str]:
    if not isinstance(given, list) or not given:
        raise StandInRuleError("stand_in: mccs must be a list of MCCs and ranges of MCCs")
    try:
        return frozenset(code for one in given for code in categories(one))
    except ValueError as error:
        raise StandInRuleError(f"stand_in: mccs: {error}") from None


def _some(
    given: Mapping[str, Any], name: str, known: frozenset[str], *, may_be_empty: bool = False
) -> frozenset[str]:
    """A list of some of the words that a rule knows."""
    words = given[name]
    is_list = isinstance(words, list) and all(isinstance(word, str) for word in words)
    if not is_list or not known.issuperset(words) or not (words or may_be_empty):
        raise StandInRuleError(f"stand_in: {name} must be a list of {', '.join(sorted(known))}")
    return frozenset(words)
