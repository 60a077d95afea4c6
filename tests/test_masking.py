"""What is shown of a PAN, in its own field and in free text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.log_fields import passes_luhn, scrub
from switch.mask import mask_pan

PAN = "4761739001010119"
MASKED = "47617390****0119"


@pytest.mark.parametrize(
    ("pan", "masked"),
    [
        ("4761739001010119",     "47617390****0119"),      # 16: eight of the BIN
        ("4761739001010119123",  "47617390*******9123"),   # 19
        ("374245455400126",      "374245*****0126"),       # 15: six
        ("676770000000",         "676770**0000"),          # 12
        ("67677000000",          "***********"),           # 11: no PAN
        ("47617390010101191234", "*******************"),   # 20: no PAN
        ("4761 7390 0101 0119",  "*******************"),
        ("٤٧٦١٧٣٩٠٠١٠١٠١١٩",     "****************"),
        ("",                     ""),
    ],
)  # fmt: skip
def test_a_masked_pan_shows_the_bin_and_the_last_four(pan: str, masked: str) -> None:
    """More than that is shown of nothing."""
    assert masked == mask_pan(pan)


@given(st.text())
def test_of_what_is_no_pan_nothing_is_shown(text: str) -> None:
    """Garbage in the PAN's place may be anything, a track for one."""
    if not re.fullmatch(r"[0-9]{12,19}", text):
        assert not mask_pan(text).strip("*")


def luhn_digit(digits: str) -> str:
    return next(digit for digit in "0123456789" if passes_luhn(digits + digit))


PANS = st.from_regex(r"\A[0-9]{11,18}\Z").map(lambda digits: digits + luhn_digit(digits))
NOT_DIGITS = st.text(st.characters(exclude_characters="0123456789@"))


@given(before=NOT_DIGITS, pan=PANS, after=NOT_DIGITS)
def test_a_pan_in_free_text_is_masked(before: str, pan: str, after: str) -> None:
    """Wherever it stands, its middle is not to be read."""
    assert pan not in scrub(before + pan + after)
    assert mask_pan(pan) in scrub(before + pan + after)


@given(st.text())
def test_text_without_long_numbers_is_left_alone(text: str) -> None:
    """Cleaning changes what looks like a PAN or a password, and nothing else."""
    if not re.search(r"[0-9]{12}|@", text):
        assert text == scrub(text)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"card {PAN}, ref 476173900101", f"card {MASKED}, ref 476173900101"),
        (f"{PAN}=25122010000012300000",   f"{MASKED}=*******************"),
        ("4761739001010118",              "4761739001010118"),
        ("0" * 20,                        "*" * 19),
        ("postgresql://me:p@ss@db/x",     "postgresql://db/x"),
        ("mail me@example.com",           "mail me@example.com"),
    ],
)  # fmt: skip
def test_free_text_is_cleaned(text: str, scrubbed: str) -> None:
    """Numbers pass where they are no PAN, and are hidden whole where they may hold one."""
    assert scrubbed == scrub(text)
