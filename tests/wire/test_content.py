"""The fast questions to values and lengths have the answers of the patterns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from specs.field import Field
from switch.wire.content import LENGTHS_MAX, ONLY, Lengths


@pytest.mark.parametrize("kind", ONLY)
def test_characters(kind: str) -> None:
    """Of every character, the check of values joined says what the pattern of one value says."""
    fits = Field(2, "any", f"{kind} ..20", "binary" if kind == "b" else "ascii", "").pattern
    planes = (range(0x3100), range(0xD7F0, 0xE010), range(0xFE00, 0x10000), range(0x1D7C0, 0x1D800))
    for character in (chr(code) for plane in planes for code in plane):
        pair = character * 2  # `b` has two a byte
        assert (fits.fullmatch(pair) is not None) == ONLY[kind](pair), hex(ord(character))
    assert ONLY[kind]("0" if kind in "nzb" else "")


@pytest.mark.parametrize("kind", [kind for kind in ONLY if kind != "b"])
@given(values=st.lists(st.text("019 azAZ=-\x1b\x7f\xa0\xad\xe9٢²", min_size=1), min_size=1))
def test_values_joined(kind: str, values: list[str]) -> None:
    """Values joined pass just when each of them does."""
    fits = Field(2, "any", f"{kind} ..20", "ascii", "").pattern
    assert all(fits.fullmatch(value) for value in values) == ONLY[kind]("".join(values))


@pytest.mark.parametrize(
    ("form", "scale", "text", "length"),
    [
        ("02d", 1, "19", 19),
        ("02d", 1, "00", None),  # under the shortest
        ("02d", 1, "20", None),
        ("02d", 1, "+4", None),
        ("02d", 1, " 4", None),
        ("02d", 1, "-0", None),
        ("02d", 1, "4", None),
        ("03d", 1, "1_0", None),
        ("02d", 1, "٠٤", None),
        ("04d", 1, "0019", 19),
        ("04d", 1, "001A", None),
        ("02X", 2, "09", 18),
        ("02X", 2, "0A", None),
        ("02X", 1, "0A", 10),
        ("02X", 1, "0a", None),  # never cut out of a message: digits are uppercase
    ],
)
def test_lengths(form: str, scale: int, text: str, length: int | None) -> None:
    """A length is what could have been written, and what the field may have."""
    lengths = Lengths(form, range(1, 20), scale)
    if length is not None:
        assert [length] * 2 == [lengths[text], lengths[text]]
        return
    with pytest.raises((KeyError, ValueError)):
        lengths[text]
    assert not lengths


def test_lengths_are_bounded() -> None:
    """A peer that sends every length there is does not fill the memory with them."""
    lengths = Lengths("06d", range(1_000_000), 1)
    assert all(lengths[f"{length:06d}"] == length for length in range(2 * LENGTHS_MAX))
    assert LENGTHS_MAX == len(lengths)
