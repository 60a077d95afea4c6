"""How long a hold stands, by merchant category."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.rules.holds import HoldRuleError, HoldRules
from switch.rules.program import Program, ProgramError
from tests.rules.support import PROGRAM, SETTINGS

HOUR = 3600
RULES = HoldRules.parse(
    {"default": 100, "5541": 2, "7011": 720, "3501-3999": 720, "3715": 48, "0001-0001": 1}
)

codes = st.integers(0, 9999)
hours = st.integers(1, 8784)


@pytest.mark.parametrize(
    ("mcc", "hours"),
    [
        ("5411", 100), ("5541", 2), ("5542", 100), ("7011", 720), (None, 100), ("", 100),
        # a range has both its ends, and a code in it may have a rule of its own
        ("3500", 100), ("3501", 720), ("3714", 720), ("3715", 48), ("3999", 720), ("4000", 100),
        ("0001", 1), ("1", 100), ("55411", 100), ("5541 ", 100), ("54A1", 100),
    ],
)  # fmt: skip
def test_seconds(mcc: str | None, hours: int) -> None:
    """A code's own rule, else its range's, else the default; what is no MCC has the default."""
    assert hours * HOUR == RULES.seconds(mcc)


@pytest.mark.parametrize(
    ("mcc", "hours"),
    [("5541", 2), ("5542", 2), ("7011", 720), ("3501", 720), ("3999", 720), ("5411", 168)],
)
def test_demo(mcc: str, hours: int) -> None:
    """The demo holds fuel for two hours, lodging for 30 days, all else for seven days."""
    assert hours * HOUR == PROGRAM.hold_seconds(mcc)


@pytest.mark.parametrize("given", [{}, {"5541": 2}])
def test_no_default(given: dict[str, int]) -> None:
    """Seven days where nothing else is said."""
    assert 168 * HOUR == HoldRules.parse(given).seconds("5411")


def test_missing_setting() -> None:
    """A program without the setting holds for seven days."""
    settings = {name: value for name, value in SETTINGS.items() if name != "hold_hours"}
    assert 168 * HOUR == Program.parse(1, "demo", settings).hold_seconds("7011")


@pytest.mark.parametrize(
    ("rules", "key"),
    [
        ({"554": 2},                        "554"),
        ({"55411": 2},                      "55411"),
        ({"": 2},                           "''"),
        ({"fuel": 2},                       "fuel"),
        ({"Default": 2},                    "Default"),
        ({"५५४१": 2},                       "'"),  # digits of another script
        ({"5541\n": 2},                     "5541"),
        ({"5542-5541": 2},                  "5542-5541"),
        ({"3501-": 2},                      "3501-"),
        ({"3501-3600-3999": 2},             "3501-3600-3999"),
        ({"3501 - 3999": 2},                "3501 - 3999"),
        ({"3501-3999": 2, "3999-4000": 3},  "3999-4000"),
        ({"3501-3999": 2, "3600-3601": 3},  "3600-3601"),
        ({"5541": 0},                       "5541"),
        ({"5541": -1},                      "5541"),
        ({"5541": 8785},                    "5541"),
        ({"5541": 1.5},                     "5541"),
        ({"5541": True},                    "5541"),
        ({"5541": "2"},                     "5541"),
        ({"5541": None},                    "5541"),
        ({"default": 0},                    "default"),
        ({"3501-3999": 0},                  "3501-3999"),
        (168,                               "hold_hours"),
        (["5541"],                          "hold_hours"),
        (None,                              "hold_hours"),
    ],
    ids=str,
)  # fmt: skip
def test_nonsense(rules: Any, key: str) -> None:
    """What cannot be a rule is refused with its key, in one line."""
    with pytest.raises(ProgramError, match=r"^program 'demo': hold_hours: ") as raised:
        Program.parse(1, "demo", SETTINGS | {"hold_hours": rules})
    assert key in str(raised.value)
    assert "\n" not in str(raised.value)


@given(first=codes, last=codes, within=hours, besides=hours, mcc=codes)
def test_any_range(first: int, last: int, within: int, besides: int, mcc: int) -> None:
    """A range has what lies between its ends, and nothing else; backwards it is none."""
    rules = {f"{first:04d}-{last:04d}": within, "default": besides}
    if first > last:
        with pytest.raises(HoldRuleError):
            HoldRules.parse(rules)
        return
    expected = within if first <= mcc <= last else besides
    assert expected * HOUR == HoldRules.parse(rules).seconds(f"{mcc:04d}")
