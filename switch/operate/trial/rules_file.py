"""
The file of what is tried: limits and controls, and the cards that they are for.

    programs = ["demo"]          # or cards = [17, 18]; without either: every card
    currency = "978"             # only accounts in it

    [[limits]]
    scope = "cash"
    period = "day"
    amount = 300.00              # major units of the account's currency
    count = 3

    [[limits]]
    scope = "all"
    period = "month"
    remove = true

    [controls]
    block_channels = ["ecommerce"]
    allow_mccs = ["7995"]
    countries = ["276", "250"]   # or "all"

What is not given stays as it was, as with `switch cards set-limit` and `set-controls`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from switch.operate import issuing_values as values
from switch.operate.trial.error import TrialError
from switch.setting_errors import REASONS
from switch.wire.major_units import AmountError, check_major, to_minor

#: The most that a count and a card's number may be: an int and a bigint of Postgres.
_COUNT_MAX, _CARD_MAX = 2**31 - 1, 2**63 - 1
#: A file of rules is written by hand.
_BYTES_MAX = 1024 * 1024


class RulesError(TrialError):
    """A file of rules that cannot be used: names the key and says what it must be."""


def _whole(least: int, most: int) -> Callable[[int], int]:
    def check(value: int) -> int:
        if not least <= value <= most:
            raise ValueError(f"must be {least} to {most}")
        return value

    return check


def _channel(text: str) -> str:
    if text not in values.CHANNELS:
        raise ValueError(f"must be one of {', '.join(values.CHANNELS)}")
    return text


def _as_written(value: Any) -> str:
    """An amount as it stands in the file. What may be one depends on the currency of accounts; what
    is one in none is refused before any is asked for.
    """
    if type(value) not in (int, str):
        raise ValueError("must be an amount, like 25.00")
    text = str(value)
    check_major(text)
    return text


def _some(given: tuple[Any, ...]) -> tuple[Any, ...]:
    if not given:
        raise ValueError("must name one at least; without it, every card is meant")
    return given


def _countries(value: Any) -> Any:
    if value == ():
        raise ValueError('must name one at least, or be "all"')
    return () if value == "all" else value


_Amount = Annotated[str, BeforeValidator(_as_written)]
_Count = Annotated[int, AfterValidator(_whole(0, _COUNT_MAX))]
_CardNumber = Annotated[int, AfterValidator(_whole(1, _CARD_MAX))]
_Name = Annotated[str, AfterValidator(values.name)]
_Currency = Annotated[str, AfterValidator(values.currency)]
_Channel = Annotated[str, AfterValidator(_channel)]
_Mcc = Annotated[str, AfterValidator(values.mcc)]
_Country = Annotated[str, AfterValidator(values.country)]


class _Table(BaseModel):
    """A table of the file: nothing unknown in it, and nothing taken for what it is not."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class LimitRule(_Table):
    """A limit of one scope and period, changed or removed."""

    scope: Literal["all", "purchase", "cash", "ecommerce", "contactless"]
    period: Literal["transaction", "day", "week", "month"]
    amount: _Amount | None = None  #: major units; none: as it was
    count: _Count | None = None  #: none: as it was
    remove: bool = False

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.remove is (self.amount is not None or self.count is not None):
            raise ValueError("give amount, count or both; or remove = true")
        if self.period == "transaction" and self.count is not None:
            raise ValueError("a transaction is one debit: give amount, and no count")
        return self


class ControlRules(_Table):
    """Where cards may be used, as `switch cards set-controls` changes it."""

    block_channels: tuple[_Channel, ...] = ()
    allow_channels: tuple[_Channel, ...] = ()
    block_mccs: tuple[_Mcc, ...] = ()
    allow_mccs: tuple[_Mcc, ...] = ()
    #: Empty: every country; none: as it was.
    countries: Annotated[tuple[_Country, ...], BeforeValidator(_countries)] | None = None

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        blocked = {*self.block_channels, *self.block_mccs}
        if both := blocked & {*self.allow_channels, *self.allow_mccs}:
            raise ValueError(f"{', '.join(sorted(both))}: blocked and allowed at once")
        return self

    def as_stored(self) -> dict[str, Any]:
        """The same by the names that the ledger has for it."""
        return {
            "channels_blocked": self.block_channels,
            "channels_allowed": self.allow_channels,
            "mcc_blocked": self.block_mccs,
            "mcc_allowed": self.allow_mccs,
            "sets_countries": self.countries is not None,
            "countries_allowed": self.countries or None,
        }


class Rules(_Table):
    """What is tried, and for which cards."""

    programs: Annotated[tuple[_Name, ...], AfterValidator(_some)] | None = None  #: none: all
    #: By number; none: all.
    cards: Annotated[tuple[_CardNumber, ...], AfterValidator(_some)] | None = None
    currency: _Currency | None = None
    limits: tuple[LimitRule, ...] = ()
    controls: ControlRules | None = None

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if self.programs is not None and self.cards is not None:
            raise ValueError("programs and cards: give one of them")
        named = [(limit.scope, limit.period) for limit in self.limits]
        if twice := {one for one in named if named.count(one) > 1}:
            raise ValueError(f"limits: {' '.join(min(twice))} stands there twice")
        return self

    def minor_limits(self, currencies: Sequence[str]) -> list[dict[str, Any]]:
        """The limits in minor units of each currency, as the ledger takes them.

        Raises `RulesError` where an amount is none in it, or could be meant in several.
        """
        if len(currencies) > 1 and any(limit.amount is not None for limit in self.limits):
            raise RulesError(
                f"accounts are in several currencies ({', '.join(currencies)}): say which one is "
                f'meant, like currency = "{currencies[0]}"'
            )
        return [
            {
                "currency": currency,
                "scope": limit.scope,
                "period": limit.period,
                "amount_minor": _minor(limit, place, currency),
                "count": limit.count,
                "removes": limit.remove,
            }
            for currency in currencies
            for place, limit in enumerate(self.limits)
        ]


def read_rules(path: Path) -> Rules:
    """Read a file of rules; raise `RulesError` naming the file and what in it cannot be used."""
    try:
        if path.stat().st_size > _BYTES_MAX:
            raise RulesError(f"{path}: is no file of rules: it is too large")
        # Amounts as they are written: 300.10 is no binary fraction.
        table = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
        return Rules.model_validate(_with_tuples(table))
    except OSError as error:
        raise RulesError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RulesError(f"{path}: must be UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{path}: is not TOML: {error}") from None
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # A misspelt key is also a missing one; the spelling is what helps.
        first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
        raise RulesError(f"{path}: {_told(first)}") from None
    except ValueError:  # of thousands of digits
        raise RulesError(f"{path}: a number in it is too large") from None


def _with_tuples(value: Any) -> Any:
    """The lists of TOML are tuples here: what is read is not changed any more."""
    if isinstance(value, dict):
        return {key: _with_tuples(one) for key, one in value.items()}
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _told(detail: ErrorDetails) -> str:
    """A problem in our words, with its key: what pydantic says repeats values."""
    parts = [part for part in detail["loc"] if isinstance(part, int) or part.isidentifier()]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)[1:]
    kind = detail["type"]
    if kind == "extra_forbidden":
        reason = "unknown key"
    elif kind == "value_error":
        reason = str(detail["ctx"]["error"])
    elif kind == "literal_error":
        reason = f"must be {detail['ctx']['expected']}"
    else:
        reason = REASONS.get(kind, "is not valid")
    return f"{key}: {reason}" if key else reason


def _minor(limit: LimitRule, place: int, currency: str) -> int | None:
    if limit.amount is None:
        return None
    try:
        return to_minor(limit.amount, currency)
    except AmountError as error:
        raise RulesError(f"limits[{place}].amount: {error}") from None
