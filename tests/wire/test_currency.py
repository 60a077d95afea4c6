"""ISO 4217, as far as cards go."""

from __future__ import annotations

import pytest

from switch.wire.currency import CURRENCIES, UnknownCurrency, currency, exponent, in_units, is_known


@pytest.mark.parametrize(
    ("code", "alpha", "decimals"),
    [
        ("008", "ALL", 2),
        ("392", "JPY", 0),
        ("410", "KRW", 0),
        ("414", "KWD", 3),
        ("788", "TND", 3),
        ("826", "GBP", 2),
        ("840", "USD", 2),
        ("952", "XOF", 0),
        ("978", "EUR", 2),
    ],
)
def test_currencies(code: str, alpha: str, decimals: int) -> None:
    """A currency has letters and a count of decimals."""
    assert (alpha, decimals) == (currency(code).alpha, exponent(code))
    assert is_known(code)


@pytest.mark.parametrize("code", ["", "123", "999", "EUR", "97", "0978", "959", "963"])
def test_unknown(code: str) -> None:
    """What is no active currency is not known, and the error does not repeat it."""
    assert not is_known(code)
    with pytest.raises(UnknownCurrency, match="no active currency of ISO 4217"):
        exponent(code)


def test_table() -> None:
    """Every code is three digits, every name three letters, and none stands twice."""
    assert 150 < len(CURRENCIES) == len({each.alpha for each in CURRENCIES.values()})
    for code, each in CURRENCIES.items():
        assert code == each.numeric
        assert (len(code), code.isdigit()) == (3, True)
        assert (len(each.alpha), each.alpha.isupper()) == (3, True)


@pytest.mark.parametrize(
    ("amount_minor", "code", "text"),
    [
        (2500, "978", "25.00 EUR"),
        (5, "978", "0.05 EUR"),
        (0, "978", "0.00 EUR"),
        (-1234, "840", "-12.34 USD"),
        (1500, "392", "1500 JPY"),
        (1500, "414", "1.500 KWD"),
    ],
)
def test_in_units(amount_minor: int, code: str, text: str) -> None:
    """Minor units become an amount that people write."""
    assert text == in_units(amount_minor, code)
