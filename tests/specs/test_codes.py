"""A reason has the DE39 of its day, and the dialect's file says from which day on."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from specs.spec import SpecError, load
from specs.where import line_of

FOLDER = Path(__file__).parents[2] / "specs"
ASCII = (FOLDER / "iso87_ascii.toml").read_text()
CLOSED = 'closed                   = "46"'


@pytest.mark.parametrize(
    ("day", "closed", "inactive"),
    [
        (date(2025, 4, 20), "78", "78"),
        (date(2025, 4, 21), "46", "72"),
        (date(2026, 1, 1), "46", "72"),
    ],
)
def test_changeover(day: date, closed: str, inactive: str) -> None:
    """Mastercard's closed and inactive have codes of their own since 2025-04-21."""
    codes = load("mastercard-cis").response_codes
    told = [codes.at(reason, day) for reason in ("closed", "account_closed", "inactive")]
    assert [closed, closed, inactive] == told


def test_meanings() -> None:
    """A code means whatever reason has it or had it."""
    codes = load("mastercard-cis").response_codes
    assert ("inactive", "closed", "account_closed") == codes.meanings("78")
    assert () == codes.meanings("99")


@pytest.mark.parametrize(
    ("dialect", "kind", "code"),
    [
        ("visa-base1", "approved_verification", "85"),
        ("mastercard-cis", "approved_verification", "85"),
        ("iso87-ascii", "approved_verification", "00"),
        ("iso93-ascii", "approved_reversal", "400"),
        ("iso93-binary", "approved_network", "800"),
        ("cmf-2003", "approved_reversal", "4000"),
        ("cmf-2003", "approved_network", "8000"),
        ("visa-base1", "approved_network", "00"),
    ],
)
def test_approvals(dialect: str, kind: str, code: str) -> None:
    """A dialect may have an approving code of its own for some messages; else the one for all."""
    assert code == load(dialect).response_codes.approval(kind, date(2026, 1, 1))


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("[]", "response_codes.closed: must be a code or a list of dated ones"),
        ('["46"]', "response_codes.closed: must be a table"),
        ('[{ from = "2025-04-21", code = "46" }]', "response_codes.closed: from is unknown"),
        ('[{ code = "78" }, { code = "46" }]', "response_codes.closed: from is missing"),
        ('[{ code = "78" }, { from = "soon", code = "46" }]', "closed.from: must be a date"),
        ('[{ code = "78" }, { from = "2025-04-21", code = "4" }]', "closed: not a value of DE 39"),
        (
            '[{ code = "1" }, { from = "2025-04-21", code = "46" }]',
            "response_codes.closed: not a value of DE 39",
        ),
        (
            '[{ code = "78" }, { from = "2025-04-21", code = "46" },'
            ' { from = "2025-04-21", code = "14" }]',
            "response_codes.closed: dates must ascend",
        ),
    ],
)
def test_refused(tmp_path: Path, row: str, problem: str) -> None:
    """What is no list of dated codes is refused with its line."""
    assert CLOSED in ASCII
    path = tmp_path / "mine.toml"
    path.write_text(ASCII.replace(f"\n{CLOSED}", f"\nclosed = {row}"))
    with pytest.raises(SpecError) as refusal:
        load(str(path))
    assert problem in str(refusal.value)
    number = line_of(path, str(refusal.value))
    assert number is not None
    assert path.read_text().splitlines()[number - 1].startswith("closed")
