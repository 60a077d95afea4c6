"""A refused dialect is refused with the line that is to be changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from specs.spec import SpecError, load
from specs.where import line_of

ASCII = (Path(__file__).parents[2] / "specs" / "iso87_ascii.toml").read_text()


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('"amount_transaction",                   "n 12",', '"amount_transaction", "n12",'),
        ('[  5, "amount_settlement", ', '[  4, "amount_settlement", '),
        ('version     = "0"', 'version = "zero"'),
        ('bitmap      = "hex"', 'bitmap = "bcd"'),
        ("message_key = [7, 11,", "message_key = [7, 7,"),
        ("0800 = { required = [7, 11, 70],", "0800 = { required = [7, 11, 200],"),
        ("0800 = {", "0810 = {"),
        ('duplicate_conflict       = "94"', 'duplicate_conflict       = "9"'),
        ('duplicate_conflict       = "94"', "duplicate_conflict       = "),
        ("tag_digits    = 2", "tag_digits    = 0"),
        ('layout      = "key-block"', 'layout      = "in-clear"'),
    ],
)
def test_line(tmp_path: Path, good: str, bad: str) -> None:
    """The line is the one with the mistake."""
    assert 1 == ASCII.count(good)
    path = tmp_path / "mine.toml"
    path.write_text(ASCII.replace(good, bad))
    with pytest.raises(SpecError) as refused:
        load(str(path))
    mistaken = 1 + ASCII[: ASCII.index(good)].count("\n")
    assert mistaken == line_of(path, str(refused.value))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ('  [  4, "amount_transaction",                   "n 12",        "ascii",     ""],\n', ""),
        ('version     = "0"     # the first digit of every MTI\n', ""),
    ],
)
def test_no_line(tmp_path: Path, good: str, bad: str) -> None:
    """What is missing stands in no line."""
    assert good in ASCII
    path = tmp_path / "mine.toml"
    path.write_text(ASCII.replace(good, bad))
    with pytest.raises(SpecError, match="missing") as refused:
        load(str(path))
    assert line_of(path, str(refused.value)) is None
