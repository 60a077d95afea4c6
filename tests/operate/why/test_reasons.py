"""Each decline is explained as it was answered: by the question that refused, and its figures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from keys.hsm import Verdict
from switch.operate.why.checks import NOT_ASKED, PASSED
from switch.operate.why.page import page
from switch.operate.why.questions import QUESTIONS
from tests.flows.day import CASH, Day
from tests.flows.later import changed
from tests.flows.support import PIN_BLOCK, House, icc
from tests.operate.why.support import ECOMMERCE, why

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

WRONG = Verdict.MISMATCH
OTHER_EXPIRY = {"_14": "2001"}


@dataclass
class Case:
    """A card, what happens to it before, and the message that is refused."""

    reason: str
    check: str
    inputs: str  #: what the refusing question looked at, as a pattern
    card: Mapping[str, Any] = field(default_factory=dict)
    limit: Mapping[str, Any] | None = None
    before: Sequence[Mapping[str, Any]] = ()  #: messages of 10.00 that are approved first
    message: Mapping[str, str | None] = field(default_factory=dict)
    hsm: Mapping[str, Sequence[Any]] = field(default_factory=dict)


CASES = (
    Case("not_supported", "supported", "processing code 990000", message={"_3": "990000"}),
    Case("currency_not_supported", "supported", "currency 001, which ISO 4217 has not",
         message={"_49": "001"}),
    *(
        Case(status, "status", f"card {status}, account open", card={"card_status": status})
        for status in ("lost", "stolen", "blocked", "inactive", "closed")
    ),
    Case("account_closed", "status", "card active, account closed", card={"status": "closed"}),
    Case("card_expired", "expiry", "no plastic of the card has the expiry", message=OTHER_EXPIRY),
    Case("cryptogram_mismatch", "cryptogram", "cryptogram wrong", hsm={"arqc": [WRONG]}),
    Case("cryptogram_mismatch", "cryptogram", "cryptogram required, and did not come",
         message={"_55": None}),
    Case("card_code_mismatch", "card_codes", "CVV2 wrong", message=ECOMMERCE,
         hsm={"code": [WRONG]}),
    Case("card_code_mismatch", "card_codes", "CVV2 required, and did not come",
         message={**ECOMMERCE, "_48": None}),
    Case("cryptogram_replayed", "counter", "ATC 77, the highest before was 77",
         before=[{"_55": icc(77)}], message={"_55": icc(77)}),
    Case("atc_out_of_window", "counter", "ATC 12, the highest before was 77",
         before=[{"_55": icc(77)}], message={"_55": icc(12)}),
    Case("pin_mismatch", "pin", "PIN wrong, 1 of 3 tries used before", card={"pin_tries": 1},
         message={"_52": PIN_BLOCK}, hsm={"pin": [WRONG]}),
    Case("pin_mismatch", "pin", "PIN unreadable, 0 of 3", message={"_52": PIN_BLOCK},
         hsm={"pin": [Verdict.UNREADABLE]}),
    Case("pin_mismatch", "pin", "PIN required, and did not come", message={"_3": CASH}),
    Case("pin_mismatch", "pin", "PIN came, and may not", message={**ECOMMERCE, "_52": PIN_BLOCK}),
    Case("pin_tries_exceeded", "pin", "PIN wrong, 2 of 3", card={"pin_tries": 2},
         message={"_52": PIN_BLOCK}, hsm={"pin": [WRONG]}),
    Case("pin_tries_exceeded", "pin", "PIN right, 3 of 3", card={"pin_tries": 3},
         message={"_52": PIN_BLOCK}),
    Case("currency_not_supported", "currency", "none of its amounts .* account's currency 978",
         message={"_49": "840"}),
    Case("not_permitted", "controls", "channel chip is blocked",
         card={"channels_blocked": ["chip"]}),
    Case("not_permitted", "controls", "MCC 7995 is blocked", card={"mcc_blocked": ["7995"]},
         message={"_18": "7995"}),
    Case("not_permitted", "controls", "country 276 is not allowed",
         card={"countries_allowed": ["250"]}),
    Case("limit_amount", "limits",
         "all a day: used 10.00 EUR, with this 10.00 EUR: 20.00 EUR of 15.00 EUR",
         limit={"amount_minor": 1_500}, before=[{}]),
    Case("limit_amount", "limits", "all a transaction: .*: 10.00 EUR of 9.99 EUR",
         limit={"amount_minor": 999, "period": "transaction"}),
    Case("limit_count", "limits", "all a day: used 2 times of 2", limit={"count": 2},
         before=[{}, {}]),
    Case("insufficient_funds", "funds", "10.00 EUR of 9.99 EUR available",
         card={"posted_minor": 1_999}, before=[{}]),
)  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.reason}: {case.inputs[:40]}")
async def test_the_refusing_question_is_named(one_house: House, case: Case) -> None:
    """A decline is explained by the question of its reason and its figures; what comes after it in
    the policy was not asked, and nothing that is known contradicts it.
    """
    day = await Day.begin(one_house, **case.card)
    if case.limit is not None:
        await one_house.books.limit(day.account_id, **case.limit)
    for changes in case.before:
        await day.approved(**changes)
    for script, deeds in case.hsm.items():
        getattr(one_house.hsm, script)[:] = deeds
    message = changed(day.asks(), **case.message)
    await day.send(message)

    told = await why(day, message)
    assert ("declined", case.reason, ()) == (told.verdict, told.reason, told.notes)
    assert told.refusing is not None
    assert (case.check, case.reason) == (told.refusing.name, told.refusing.reason)
    assert re.search(case.inputs, told.refusing.inputs), told.refusing.inputs
    place = [check.name for check in told.checks].index(case.check)
    assert {check.verdict for check in told.checks[:place]} <= {PASSED, NOT_ASKED}
    assert {check.verdict for check in told.checks[place + 1 :]} <= {NOT_ASKED}
    assert next(page(told)).startswith(f"declined   {case.reason}")


async def test_every_reason_has_a_case() -> None:
    """No question of the policy is without a decline that shows it, here or in `test_explain`."""
    others = {"reversed_before_original", "declined_elsewhere", "strong_authentication_required"}
    asked: set[str] = set().union(*(question.reasons for question in QUESTIONS))
    assert asked - {"no_card_record"} == {case.reason for case in CASES} | others
