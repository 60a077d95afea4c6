"""Which plastic of a card a message speaks of, and whether it is still good."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

import pytest

from switch.rules.card import Plastic
from switch.rules.checks import (
    BEFORE_VERIFICATION,
    Case,
    Verdicts,
    check_codes,
    check_expiry,
    first_refusal,
)
from switch.rules.reason import Reason
from tests.rules.support import MATCH, PAN, case

EXPIRED = Reason.CARD_EXPIRED


def track(expiry: str, service_code: str = "201") -> str:
    """Track 2 of a plastic of the card."""
    return f"{PAN}={expiry}{service_code}10385625"


#: A card that was reissued before its old plastic's end, and replaced once since.
FIRST = Plastic("01", "2611", "201")
REISSUED = Plastic("01", "3012", "221")
REPLACED = Plastic("02", "3012", "226")
PLASTICS = (REPLACED, REISSUED, FIRST)  # as the ledger finds them: the newest first


def held(
    fields: Mapping[int, str | None],
    plastics: Sequence[Plastic] = PLASTICS,
    today: date = date(2026, 11, 23),
) -> Case:
    """The case of a card with these plastics."""
    return case(fields, {"plastics": tuple(plastics)}, today)


@pytest.mark.parametrize(
    ("today", "on_card", "told", "reason"),
    [
        ("2026-11-23", "2611", None,   None),
        ("2026-11-30", "2611", None,   None),
        ("2026-12-01", "2611", None,   EXPIRED),
        ("2027-01-01", "2612", None,   EXPIRED),
        ("2026-11-23", "2611", "2611", None),
        ("2026-11-23", "2611", "2612", EXPIRED),
        ("2026-11-23", "2611", "2512", EXPIRED),
        ("2026-11-23", "2511", "2511", EXPIRED),
    ],
)  # fmt: skip
def test_expiry(today: str, on_card: str, told: str | None, reason: Reason | None) -> None:
    """A plastic is good to the end of its last month, and a message must not tell another."""
    this = held({14: told}, [Plastic("01", on_card, "201")], date.fromisoformat(today))
    assert reason == first_refusal(BEFORE_VERIFICATION, this)


@pytest.mark.parametrize(
    ("fields", "plastic"),
    [
        #  DE14, DE35 and DE23 of the message
        ({},                                           REPLACED),  # nothing told: the newest
        ({23: "001"},                                  REISSUED),  # … of that number
        ({23: "009"},                                  REPLACED),
        ({14: "3012", 23: "001"},                      REISSUED),
        ({14: "3012", 23: "002"},                      REPLACED),
        ({14: "3012"},                                 REPLACED),  # a keyed card tells no number
        ({14: "3012", 23: "007"},                      REPLACED),
        ({14: "2611"},                                 FIRST),     # the old one, until its end
        ({14: "2611", 23: "001"},                      FIRST),
        ({14: "2611", 23: "002"},                      FIRST),
        ({35: track("2611")},                          FIRST),
        ({35: track("3012"), 23: "001"},               REISSUED),
        ({14: "2611", 35: track("3012")},              FIRST),     # DE14 goes before the track
        ({55: "9F26088A7F3E2D1C0B9A885F340101"},       REISSUED),  # the chip's own number
        ({55: "9F26088A7F3E2D1C0B9A885F340101", 23: "002"}, REISSUED),
        ({14: "2912"},                                 None),
        ({14: "2912", 23: "001"},                      None),
        ({35: track("2512")},                          None),
    ],
)  # fmt: skip
def test_plastic(fields: Mapping[int, str], plastic: Plastic | None) -> None:
    """A message's expiry names the plastic; its sequence number tells those of one expiry apart."""
    assert plastic == held(fields).plastic


@pytest.mark.parametrize("fields", [{}, {14: "3012"}, {35: track("3012"), 23: "001"}])
def test_no_plastic(fields: Mapping[int, str]) -> None:
    """A card whose plastics were all stopped has expired, whatever the message tells."""
    this = held(fields, [])
    assert this.plastic is None
    assert EXPIRED == check_expiry(this)


@pytest.mark.parametrize(
    ("today", "fields", "reason"),
    [
        ("2026-11-30", {14: "2611"},                      None),
        ("2026-12-01", {14: "2611"},                      EXPIRED),
        ("2026-12-01", {14: "3012"},                      None),
        ("2026-12-01", {},                                None),
        ("2026-12-01", {35: track("2611")},               EXPIRED),
        ("2031-01-01", {},                                EXPIRED),
        ("2026-11-23", {14: "2911"},                      EXPIRED),
        # DE14 and the track are of one plastic, although each by itself is one's of the card
        ("2026-11-23", {14: "3012", 35: track("2611")},   EXPIRED),
        ("2026-11-23", {14: "2611", 35: track("3012")},   EXPIRED),
        ("2026-11-23", {14: "2611", 35: track("2611")},   None),
    ],
)  # fmt: skip
def test_reissued(today: str, fields: Mapping[int, str], reason: Reason | None) -> None:
    """After a reissue each plastic is good until its own end, and for itself alone."""
    this = held(fields, today=date.fromisoformat(today))
    assert reason == first_refusal(BEFORE_VERIFICATION, this)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({35: track("2611", "201")},             None),
        ({35: track("2611", "226")},             Reason.CARD_CODE_MISMATCH),
        ({35: track("3012", "226")},             None),
        ({35: track("3012", "221"), 23: "001"},  None),
        ({35: track("3012", "201")},             Reason.CARD_CODE_MISMATCH),
        ({35: track("2912", "201")},             Reason.CARD_CODE_MISMATCH),  # of no plastic
    ],
)  # fmt: skip
def test_service_code(fields: Mapping[int, str], reason: Reason | None) -> None:
    """A track has the service code of its own plastic, not of another one of the card."""
    assert reason == check_codes(held(fields), MATCH)


def test_no_track_no_service_code() -> None:
    """Without a track there is no service code to compare, with or without a plastic."""
    keyed = {14: "2912", 22: "012", 55: None}
    assert check_codes(held(keyed), Verdicts()) is None
