"""How long a hold stands: a rule of the program by merchant category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from switch.rules.categories import categories

_DEFAULT = "default"
_DEFAULT_HOURS = 168
_HOURS_MAX = 8_784  # a leap year


class HoldRuleError(ValueError):
    """A rule that cannot be used: names its key."""


@dataclass(frozen=True, slots=True)
class HoldRules:
    """Seconds by merchant category code, every code of a range for itself."""

    by_category: Mapping[str, int]
    default: int

    def seconds(self, mcc: str | None) -> int:
        """How long a hold for a merchant of this category stands."""
        return self.default if mcc is None else self.by_category.get(mcc, self.default)

    @classmethod
    def parse(cls, hours: Mapping[str, Any]) -> HoldRules:
        """Read hours by MCC, by range of MCCs, or `default`, which is 168 where it is missing.

        A code's own rule goes before that of a range it is in. Raises `HoldRuleError`
        where a key is none of these, where ranges overlap, or where the hours are not
        1 to 8784.
        """
        if not isinstance(hours, Mapping):
            raise HoldRuleError("hold_hours: must be hours by merchant category")
        own: dict[str, int] = {}
        ranged: dict[str, int] = {}
        default = _DEFAULT_HOURS * 3600
        for key, value in hours.items():
            seconds = _seconds(key, value)
            if key == _DEFAULT:
                default = seconds
                continue
            codes = _codes(key)
            if "-" not in key:
                own[key] = seconds
            elif ranged.keys().isdisjoint(codes):
                ranged.update(dict.fromkeys(codes, seconds))
            else:
                raise HoldRuleError(f"hold_hours: {key!r} overlaps another range")
        return cls(ranged | own, default)


def _seconds(key: str, hours: object) -> int:
    if type(hours) is not int or not 1 <= hours <= _HOURS_MAX:
        raise HoldRuleError(f"hold_hours: {key!r} must be 1 to {_HOURS_MAX} whole hours")
    return hours * 3600


def _codes(key: str) -> list[str]:
    try:
        return categories(key)
    except ValueError:
        raise HoldRuleError(
            f"hold_hours: {key!r} is no MCC, no range of MCCs and not default"
        ) from None
