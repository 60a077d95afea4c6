"""What a program lets be approved while the ledger is away."""

from __future__ import annotations

from typing import Any

import pytest

from keys.hsm import Verdict
from switch.rules.checks import Verdicts
from switch.rules.program import Program, ProgramError
from switch.rules.stand_in import StandInRules
from switch.rules.stand_in_checks import Lent, forbidden_by
from tests.rules.support import MATCH, PIN_BLOCK, PROGRAM, SETTINGS, case

#: In a supermarket or a restaurant, by chip: 30.00 at once, 50.00 in two a card, 90.00 in all.
GIVEN: dict[str, Any] = {
    "amount_minor": 3_000,
    "card_minor": 5_000,
    "card_count": 2,
    "total_minor": 9_000,
    "mccs": ["5411", "5811-5814"],
    "channels": ["chip", "contactless"],
}
NO_CRYPTOGRAM = Verdicts(track_code=Verdict.MATCH)
WRONG_PIN = Verdicts(cryptogram=Verdict.MATCH, pin=Verdict.MISMATCH)


def rules(**given: Any) -> StandInRules:
    """Those rules, some of them other."""
    parsed = StandInRules.parse(GIVEN | given)
    assert parsed is not None
    return parsed


def verdict(fields: dict[int, str | None], verdicts: Verdicts, lent: Lent, **given: Any) -> str:
    """The rule that forbids a chip purchase of 25.00 in a supermarket, changed so."""
    asked = case({18: "5411"} | fields)
    return forbidden_by(rules(**given), asked, verdicts, lent) or "allowed"


@pytest.mark.parametrize(
    ("fields", "verdicts", "lent", "given", "said"),
    [
        ({},                    MATCH,         Lent(),             {},              "allowed"),
        ({4: "000000003000"},   MATCH,         Lent(),             {},              "allowed"),
        ({4: "000000003001"},   MATCH,         Lent(),             {},              "amount_minor"),
        ({49: "840"},           MATCH,         Lent(),             {},              "amount_minor"),
        ({4: "000000000000"},   MATCH,         Lent(),             {},              "message"),
        ({3: "010000"},         MATCH,         Lent(),             {},              "message"),
        ({3: "200000"},         MATCH,         Lent(),             {},              "message"),
        ({3: "310000"},         MATCH,         Lent(),             {},              "message"),
        ({22: "071"},           MATCH,         Lent(),             {},              "allowed"),
        ({22: "021"},           MATCH,         Lent(),             {},              "channels"),
        ({22: "012"},           MATCH,         Lent(),             {},              "channels"),
        ({18: "5813"},          MATCH,         Lent(),             {},              "allowed"),
        ({18: "5815"},          MATCH,         Lent(),             {},              "mccs"),
        ({18: None},            MATCH,         Lent(),             {},              "mccs"),
        ({},                    NO_CRYPTOGRAM, Lent(),             {},              "verified"),
        ({},                    NO_CRYPTOGRAM, Lent(), {"verified": ["track_code"]}, "allowed"),
        ({},                    Verdicts(),    Lent(),             {"verified": []}, "allowed"),
        ({},                    MATCH,         Lent(), {"verified": ["cavv"]},      "verified"),
        ({52: PIN_BLOCK},       MATCH,         Lent(),             {},              "pin"),
        ({52: PIN_BLOCK},       MATCH,         Lent(),             {"pin": True},   "allowed"),
        ({52: PIN_BLOCK},       WRONG_PIN,     Lent(),             {"pin": True},   "pin"),
        ({},                    MATCH,         Lent(1, 2_500, 0),  {},              "allowed"),
        ({},                    MATCH,         Lent(1, 2_501, 0),  {},              "card_minor"),
        ({},                    MATCH,         Lent(2, 0, 0),      {},              "card_count"),
        ({},                    MATCH,         Lent(0, 0, 6_500),  {},              "allowed"),
        ({},                    MATCH,         Lent(0, 0, 6_501),  {},              "total_minor"),
    ],
)  # fmt: skip
def test_which_rule_forbids(
    fields: dict[int, str | None], verdicts: Verdicts, lent: Lent, given: Any, said: str
) -> None:
    """The first rule that a purchase is against is told; with none against it, it is allowed."""
    assert said == verdict(fields, verdicts, lent, **given)


@pytest.mark.parametrize("mti", ["0101", "0200", "0120"])
def test_only_first_copies_of_authorizations(mti: str) -> None:
    """A repeat may have been decided before the ledger went away, and an 0200 posts at once."""
    asked = case({18: "5411"})
    asked.request.mti = mti
    assert "message" == forbidden_by(rules(), asked, MATCH, Lent())


def test_without_rules_nothing_is_allowed() -> None:
    """It is off where a program does not say otherwise; the demo's does not."""
    assert StandInRules.parse(None) is None
    assert PROGRAM.stand_in is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (True, "must have"),
        ({}, "must have amount_minor"),
        (GIVEN | {"amount": 1}, "may have pin, verified"),
        (GIVEN | {"amount_minor": 0}, "amount_minor"),
        (GIVEN | {"card_minor": "50.00"}, "card_minor"),
        (GIVEN | {"card_count": True}, "card_count"),
        (GIVEN | {"total_minor": -1}, "total_minor"),
        (GIVEN | {"mccs": []}, "mccs"),
        (GIVEN | {"mccs": "5411"}, "mccs"),
        (GIVEN | {"mccs": ["541"]}, "'541' is no MCC"),
        (GIVEN | {"mccs": ["5814-5811"]}, "'5814-5811' is no MCC"),
        (GIVEN | {"mccs": [5411]}, "5411 is no MCC"),
        (GIVEN | {"channels": []}, "channels must be a list of chip, contactless"),
        (GIVEN | {"channels": ["manual"]}, "channels"),
        (GIVEN | {"channels": [["chip"]]}, "channels"),
        (GIVEN | {"verified": "cryptogram"}, "verified"),
        (GIVEN | {"verified": ["pin"]}, "verified"),
        (GIVEN | {"pin": "yes"}, "pin"),
    ],
)
def test_rules_that_cannot_be_used(given: Any, named: str) -> None:
    """The program is refused in one line that names it, and what the rule must be."""
    with pytest.raises(ProgramError, match=r"^program 'demo': stand_in: ") as raised:
        Program.parse(1, "demo", SETTINGS | {"stand_in": given})
    assert named in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rules_are_read_whole() -> None:
    """Ranges of merchant categories have both their ends; a cryptogram is demanded by default."""
    read = Program.parse(1, "demo", SETTINGS | {"stand_in": GIVEN}).stand_in
    assert read is not None
    assert {"5411", "5811", "5812", "5813", "5814"} == read.mccs
    assert {"cryptogram"} == read.verified
    assert not read.takes_pin
