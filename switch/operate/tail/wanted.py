"""Which lines of a log somebody wants to see, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from switch.operate.tail.lines import Entry

#: The reason that stands for every refusal.
DECLINED = "declined"
_RANKS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
#: Levels that may be asked for.
LEVELS = ("info", "warning", "error")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a line must have; nothing said: every line is wanted.

    Reasons, cards and the like are those of messages: where one is given, no event is wanted.
    What is no line of ours is wanted only where nothing is said.
    """

    links: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()  #: `approved`, refusals, or `declined`: any refusal
    last_four: str = ""  #: of the card
    rrn: str = ""
    stan: str = ""
    slower_ms: float | None = None  #: from the last byte to the write
    level: str = ""  #: this one or above
    kind: str = ""  #: "messages" or "events"

    def matches(self, entry: Entry) -> bool:
        """Whether a line is wanted."""
        fields = entry.fields
        if fields is None:
            return self == _EVERYTHING
        if self.links and not _is_one_of(self.links, fields.get("link")):
            return False
        if self.level and _rank(fields) < _RANKS[self.level]:
            return False
        if self.kind and entry.is_message != (self.kind == "messages"):
            return False
        return self._is_of_any_message or (entry.is_message and self._matches_message(fields))

    @property
    def _is_of_any_message(self) -> bool:
        asked = self.reasons or self.last_four or self.rrn or self.stan
        return not asked and self.slower_ms is None

    def _matches_message(self, fields: dict[str, Any]) -> bool:
        if self.reasons and not self._has_reason(fields.get("reason")):
            return False
        if self.last_four and not str(fields.get("pan")).endswith(self.last_four):
            return False
        if self.rrn and fields.get("rrn") != self.rrn:
            return False
        if self.stan and fields.get("stan") != self.stan:
            return False
        if self.slower_ms is None:
            return True
        total_us = fields.get("total_us")
        return isinstance(total_us, int | float) and total_us > self.slower_ms * 1000

    def _has_reason(self, reason: object) -> bool:
        if _is_one_of(self.reasons, reason):
            return True
        return DECLINED in self.reasons and reason not in (None, "approved")


_EVERYTHING = Wanted()


def _is_one_of(names: frozenset[str], value: object) -> bool:
    return isinstance(value, str) and value in names


def _rank(fields: dict[str, Any]) -> int:
    level = fields.get("level")
    return _RANKS.get(level, 0) if isinstance(level, str) else 0
