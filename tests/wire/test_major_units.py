"""Amounts as people write them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.wire.currency import CURRENCIES, UnknownCurrency, in_units
from switch.wire.major_units import MINOR_MAX, AmountError, to_minor, to_signed_minor

EUR, JPY, KWD = "978", "392", "414"

#: Text, currency → minor units.
RIGHT: list[tuple[str, str, int]] = [
    ("0",                   EUR, 0),
    ("25",                  EUR, 2_500),
    ("25.0",                EUR, 2_500),
    ("25.05",               EUR, 2_505),
    ("0.01",                EUR, 1),
    ("00025.50",            EUR, 2_550),
    ("25",                  JPY, 25),
    ("25",                  KWD, 25_000),
    ("25.5",                KWD, 25_500),
    ("25.005",              KWD, 25_005),
    ("9999999999999.99",    EUR, MINOR_MAX),
    ("999999999999999",     JPY, MINOR_MAX),
    ("999999999999.999",    KWD, MINOR_MAX),
]  # fmt: skip

#: Text, currency → a word of why not.
WRONG: list[tuple[str, str, str]] = [
    ("",                    EUR, "digits"),
    (" 25",                 EUR, "digits"),
    ("25 ",                 EUR, "digits"),
    ("25\n",                EUR, "digits"),
    ("+25",                 EUR, "digits"),
    ("25.",                 EUR, "digits"),
    (".5",                  EUR, "digits"),
    ("1,000.00",            EUR, "digits"),
    ("25,00",               EUR, "digits"),
    ("1e3",                 EUR, "digits"),
    ("0x10",                EUR, "digits"),
    ("1_000",               EUR, "digits"),
    ("٢٥",                  EUR, "digits"),
    ("--1",                 EUR, "digits"),
    ("NaN",                 EUR, "digits"),
    ("25.001",              EUR, "decimals"),
    ("25.000",              EUR, "decimals"),
    ("25.0",                JPY, "whole"),
    ("25.0001",             KWD, "decimals"),
    ("10000000000000.00",   EUR, "larger"),
    ("1000000000000000",    JPY, "larger"),
    ("9" * 5_000,           EUR, "larger"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "currency", "minor"), RIGHT)
def test_an_amount_is_read_by_its_currency(text: str, currency: str, minor: int) -> None:
    """What is missing of the decimals is zeros; a currency has none, two or three."""
    assert minor == to_minor(text, currency)
    assert -minor == to_signed_minor(f"-{text}", currency)


@pytest.mark.parametrize(("text", "currency", "why"), WRONG)
def test_what_is_no_amount_is_refused(text: str, currency: str, why: str) -> None:
    """Nothing is rounded, and no separator is guessed."""
    for read in (to_minor, to_signed_minor):
        with pytest.raises(AmountError, match=why):
            read(text, currency)


@pytest.mark.parametrize("pan", ["4761739000000012", "4761739000000012=3012", "4761739000000.012"])
def test_a_pan_in_an_amounts_place_is_not_repeated(pan: str) -> None:
    """A refusal has none of the text in it: columns may have been exchanged."""
    with pytest.raises(AmountError) as refused:
        to_minor(pan, EUR)
    assert "4761739" not in str(refused.value)


def test_a_minus_is_read_only_where_it_may_stand() -> None:
    """A negative amount, zero included, is refused where only amounts above are asked for."""
    for text in ("-1", "-0"):
        with pytest.raises(AmountError, match="negative"):
            to_minor(text, EUR)
    assert -100 == to_signed_minor("-1", EUR)


def test_an_unknown_currency_is_no_currency() -> None:
    """An amount in what is no ISO 4217 currency is not guessed."""
    with pytest.raises(UnknownCurrency):
        to_minor("25.00", "000")


@given(st.integers(-MINOR_MAX, MINOR_MAX), st.sampled_from(sorted(CURRENCIES)))
def test_what_is_shown_can_be_typed(minor: int, currency: str) -> None:
    """An amount as it is shown, without the letters, is read as the same amount."""
    shown = in_units(minor, currency).split()[0]
    assert minor == to_signed_minor(shown, currency)


@given(st.text(alphabet="0123456789.-+, e٢", max_size=24), st.sampled_from([EUR, JPY, KWD]))
def test_any_text_is_an_amount_or_refused(text: str, currency: str) -> None:
    """A text gives an amount that is not too large and shows as itself, or an `AmountError`."""
    try:
        minor = to_signed_minor(text, currency)
    except AmountError:
        return
    assert abs(minor) <= MINOR_MAX
    assert Decimal(text) == Decimal(in_units(minor, currency).split()[0])
