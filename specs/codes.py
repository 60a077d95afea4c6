"""DE39 of each reason. A scheme may change one: then it has the code of its day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from specs.checks import SpecError, require_only, require_table
from specs.field import Field

_RESPONSE_CODE = 39


@dataclass(frozen=True, slots=True)
class ResponseCodes:
    """`[response_codes]`: our reason → its DE39, each from a day on, the earliest first."""

    rows: Mapping[str, tuple[tuple[date, str], ...]]

    def at(self, reason: str, day: date) -> str:
        """The DE39 of a reason on a day."""
        dated = self.rows[reason]
        if len(dated) == 1:  # of all days, as nearly every one
            return dated[0][1]
        return next(code for start, code in reversed(dated) if start <= day)

    def approval(self, kind: str, day: date) -> str:
        """The DE39 of an approval that may have one of its own, else of any approval."""
        return self.at(kind if kind in self.rows else "approved", day)

    def meanings(self, code: str) -> tuple[str, ...]:
        """Every reason that has, or ever had, this DE39."""
        return tuple(
            reason for reason, dated in self.rows.items() if code in (one for _, one in dated)
        )


def read_response_codes(table: Any, fields: Mapping[int, Field]) -> ResponseCodes:
    """`[response_codes]`: a row is a code, or codes with the day from which each is answered."""
    require_table(table, "response_codes")
    return ResponseCodes(
        {reason: _dated(row, f"response_codes.{reason}", fields) for reason, row in table.items()}
    )


def read_code(code: Any, where: str, fields: Mapping[int, Field]) -> str:
    """A value that DE39 can have."""
    field = fields[_RESPONSE_CODE]
    if not isinstance(code, str) or len(code) != field.length or not field.pattern.fullmatch(code):
        raise SpecError(f"{where}: not a value of DE 39 ({field.notation})")
    return code


def _dated(row: Any, where: str, fields: Mapping[int, Field]) -> tuple[tuple[date, str], ...]:
    if not isinstance(row, list):
        return ((date.min, read_code(row, where, fields)),)
    if not row:
        raise SpecError(f"{where}: must be a code or a list of dated ones")
    dated: list[tuple[date, str]] = []
    for number, entry in enumerate(row):
        require_only(entry, where, {"code", "from"} if number else {"code"})
        start = _day(entry["from"], where) if number else date.min
        if dated and start <= dated[-1][0]:
            raise SpecError(f"{where}: dates must ascend")
        dated.append((start, read_code(entry["code"], where, fields)))
    return tuple(dated)


def _day(value: Any, where: str) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise SpecError(f"{where}.from: must be a date, YYYY-MM-DD") from None
