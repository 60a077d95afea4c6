"""A case that nothing speaks against, and what changes it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import orjson

from keys.hsm import Verdict
from specs.spec import load
from switch.deadline import Deadline
from switch.demo.program import read_program
from switch.rules.card import Card, Plastic
from switch.rules.checks import Case, Verdicts
from switch.rules.program import Program
from switch.stopwatch import Stopwatch
from switch.wire.message import Message
from switch.wire.requests import AuthorizationRequest

SPEC = load("iso87-ascii")
PAN = "4761739000000012"
TODAY = date(2026, 11, 23)
SETTINGS: dict[str, Any] = read_program().program["settings"]
PROGRAM = Program.parse(1, "demo", SETTINGS)
CARD = Card(
    account_id=1,
    card_id=1,
    program_id=1,
    status="active",
    account_status="open",
    currency="978",
    pin_method="visa_pvv",
    version=1,
    key_token=bytes(32),
    pin_reference="10385",
    plastics=(Plastic(sequence_number="01", expiry="3012", service_code="201"),),
)
CHIP_DATA = "9F26088A7F3E2D1C0B9A88"
PIN_BLOCK = "0E0E74D9913BEEA8"
MATCH = Verdicts(
    cryptogram=Verdict.MATCH, track_code=Verdict.MATCH, cvv2=Verdict.MATCH, pin=Verdict.MATCH
)


def request(fields: Mapping[int, str | None]) -> AuthorizationRequest:
    """A chip purchase of 25.00 EUR with these fields instead of, or beside, its own."""
    own = {
        2: PAN, 3: "000000", 4: "000000002500", 7: "1123120000", 11: "000001", 22: "051",
        32: "476173", 37: "000000000001", 41: "TERM0001", 49: "978", 55: CHIP_DATA,
    }  # fmt: skip
    whole = {number: value for number, value in {**own, **fields}.items() if value is not None}
    now = time.monotonic()
    return AuthorizationRequest.parse(
        Message("0100", whole),
        SPEC,
        link="demo",
        deadline=Deadline(now, now + 1, now + 1),
        watch=Stopwatch(),
    )


def case(
    fields: Mapping[int, str | None] | None = None,
    card: Mapping[str, Any] | None = None,
    today: date = TODAY,
    **settings: Any,
) -> Case:
    """A case with these fields, on such a card, under these settings of its program."""
    document: dict[str, Any] = orjson.loads(orjson.dumps(SETTINGS)) | settings
    return Case(
        request(fields or {}),
        replace(CARD, **(card or {})),
        Program.parse(1, "demo", document) if settings else PROGRAM,
        today,
    )
