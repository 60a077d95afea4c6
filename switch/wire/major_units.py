"""Amounts as people write them: major units of a currency, with at most its decimals."""

from __future__ import annotations

import re

from switch.wire.currency import CURRENCIES, exponent

#: The most that one amount may be, in minor units: far enough from the end of a bigint that no
#: sum of what an account sees in its life comes there.
MINOR_MAX = 10**15 - 1

#: The most decimals that a currency has, and one that has none.
_DECIMALS_MAX = max(currency.exponent for currency in CURRENCIES.values())
_WITHOUT_DECIMALS = "392"

_AMOUNT = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<decimals>[0-9]+))?", re.ASCII)


class AmountError(ValueError):
    """What was written is no amount: the message says why, without the text."""


def to_minor(text: str, currency: str) -> int:
    """Read an amount that is not negative: "25.00" in 978 → 2500, "25" in 392 → 25.

    Digits and at most one point, no separators. Raises `AmountError`;
    `UnknownCurrency` where the code is none.
    """
    minor = to_signed_minor(text, currency)
    if text.startswith("-"):
        raise AmountError("must not be negative")
    return minor


def check_major(text: str) -> None:
    """Raise `AmountError` for what is an amount that is not negative in no currency."""
    parts = _AMOUNT.fullmatch(text)
    if parts is not None and len(parts["decimals"] or "") > _DECIMALS_MAX:
        raise AmountError("has more decimals than any currency")
    # Without its decimals it is the least that it may come to.
    to_minor(text if parts is None else text.partition(".")[0], _WITHOUT_DECIMALS)


def to_signed_minor(text: str, currency: str) -> int:
    """Read an amount that may have a minus before it. Raises as `to_minor` does."""
    decimals = exponent(currency)
    parts = _AMOUNT.fullmatch(text)
    if parts is None:
        raise AmountError("must be digits with at most one point, like 25.00")
    given = parts["decimals"] or ""
    if len(given) > decimals:
        raise AmountError(
            f"has more decimals than the {decimals} of its currency"
            if decimals
            else "must be whole: its currency has no decimals"
        )
    digits = (parts["whole"] + given.ljust(decimals, "0")).lstrip("0") or "0"
    if len(digits) > len(str(MINOR_MAX)):  # before int(), which refuses very long texts
        raise AmountError("is larger than any amount that is kept")
    return -int(digits) if parts["sign"] else int(digits)
