"""The questions before the ledger's: what each refuses, and which answers first."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from keys.hsm import Verdict
from switch.rules.checks import (
    BEFORE_VERIFICATION,
    Case,
    Verdicts,
    billed,
    billed_cash_minor,
    check_codes,
    check_strong_authentication,
    first_refusal,
    pin_question,
)
from switch.rules.reason import Reason
from switch.wire.error import MessageError
from switch.wire.requests import Money
from tests.rules.support import MATCH, PIN_BLOCK, SETTINGS, case

YES, NO, UNREADABLE = Verdict.MATCH, Verdict.MISMATCH, Verdict.UNREADABLE
EUR_40 = {6: "000000004000", 51: "978"}


def refusal(this: Case, verdicts: Verdicts = MATCH) -> Reason | None:
    """Rows 4 to 8, then row 10: the first refusal of those that are not the ledger's."""
    return (
        first_refusal(BEFORE_VERIFICATION, this)
        or check_codes(this, verdicts)
        or (Reason.CURRENCY_NOT_SUPPORTED if billed(this) is None else None)
    )


# ---- one row ----------------------------------------------------------------------------------


def test_nothing_against_it() -> None:
    """A plain chip purchase has nothing against it."""
    assert refusal(case()) is None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({3: "300000"},                   Reason.NOT_SUPPORTED),
        ({3: "990000", 4: "000000000000"}, Reason.NOT_SUPPORTED),
        ({49: "000"},                     Reason.CURRENCY_NOT_SUPPORTED),
        ({49: "963"},                     Reason.CURRENCY_NOT_SUPPORTED),  # XTS: for tests
        ({49: "EUR"},                     Reason.CURRENCY_NOT_SUPPORTED),
        ({6: "000000002500", 51: "000"},  Reason.CURRENCY_NOT_SUPPORTED),
        ({3: "310000", 49: "000"},        Reason.CURRENCY_NOT_SUPPORTED),
        ({51: "000"},                     None),  # a currency of no amount
    ],
)  # fmt: skip
def test_supported(fields: Mapping[int, str], reason: Reason | None) -> None:
    """What we do not know the meaning of is not decided."""
    assert reason == refusal(case(fields))


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        ({"status": "lost"},                                Reason.LOST),
        ({"status": "stolen"},                              Reason.STOLEN),
        ({"status": "blocked"},                             Reason.BLOCKED),
        ({"status": "inactive"},                            Reason.INACTIVE),
        ({"status": "closed"},                              Reason.CLOSED),
        ({"account_status": "closed"},                      Reason.ACCOUNT_CLOSED),
        ({"status": "stolen", "account_status": "closed"},  Reason.STOLEN),
    ],
)  # fmt: skip
def test_status(card: Mapping[str, str], reason: Reason) -> None:
    """A card that may not be used, or whose account is closed, is refused by what it is."""
    assert reason == refusal(case(card=card))


STRIPE = {22: "901", 55: None, 35: "4761739000000012=301220110385625"}
NET = {22: "812", 55: None}
KEYED = {22: "012", 55: None}
OTHER: dict[int, str | None] = {22: "102", 55: None}
EMV, CODE = Reason.CRYPTOGRAM_MISMATCH, Reason.CARD_CODE_MISMATCH


@pytest.mark.parametrize(
    ("fields", "verdicts", "reason"),
    [
        # chip: the cryptogram is required, the rest verified where given
        ({},     Verdicts(cryptogram=YES),                          None),
        ({},     Verdicts(cryptogram=NO),                           EMV),
        ({},     Verdicts(),                                        EMV),
        ({},     Verdicts(cryptogram=YES, track_code=NO),           CODE),
        ({},     Verdicts(cryptogram=YES, cvv2=NO),                 CODE),
        ({},     Verdicts(cryptogram=NO, track_code=NO),            EMV),
        # stripe: its code is required
        (STRIPE, Verdicts(track_code=YES),                          None),
        (STRIPE, Verdicts(track_code=NO),                           CODE),
        (STRIPE, Verdicts(),                                        CODE),
        (STRIPE, Verdicts(track_code=YES, cvv2=NO),                 CODE),
        # a chip that fell back to its stripe, and a stripe's data over the air
        (STRIPE | {22: "801"}, Verdicts(),                          CODE),
        (STRIPE | {22: "911"}, Verdicts(),                          CODE),
        (STRIPE | {22: "911"}, Verdicts(track_code=YES),            None),
        (STRIPE, Verdicts(track_code=YES, cryptogram=NO),           EMV),
        # a track that somebody wrote: another service code, whatever code was made for it
        (STRIPE | {35: "4761739000000012=301299910385625"}, Verdicts(track_code=YES), CODE),
        (STRIPE | {35: "4761739000000012=301200010385625"}, Verdicts(track_code=YES), CODE),
        # read in a way that nobody knows, or does not tell
        (OTHER,  Verdicts(),                                        CODE),
        (OTHER,  Verdicts(cvv2=YES),                                CODE),
        (OTHER | {22: None}, Verdicts(),                            CODE),
        (OTHER,  Verdicts(cvv2=YES, track_code=YES),                None),
        # e-commerce: CVV2 is required
        (NET,    Verdicts(cvv2=YES),                                None),
        (NET,    Verdicts(cvv2=NO),                                 CODE),
        (NET,    Verdicts(),                                        CODE),
        # keyed by hand: nothing is required, and what is given is verified
        (KEYED,  Verdicts(),                                        None),
        (KEYED,  Verdicts(cvv2=NO),                                 CODE),
        # a fault of the HSM is no mismatch, and hides none
        ({},     Verdicts(hsm_fault=True),                          None),
        (STRIPE, Verdicts(hsm_fault=True),                          None),
        (NET,    Verdicts(hsm_fault=True),                          None),
        ({},     Verdicts(track_code=NO, hsm_fault=True),           CODE),
    ],
)  # fmt: skip
def test_codes(fields: Mapping[int, str | None], verdicts: Verdicts, reason: Reason | None) -> None:
    """Required and absent is refused as wrong is; what is given is verified all the same."""
    assert reason == refusal(case(fields), verdicts)


def test_refused_code() -> None:
    """What a program does not want to see is refused though it is right."""
    table = SETTINGS["verification"] | {"chip": {"cvv2": "refused"}}
    this = case(verification=table)
    assert CODE == check_codes(this, Verdicts(cryptogram=YES, cvv2=YES))
    assert check_codes(this, Verdicts(cryptogram=YES)) is None


PIN, CASH, CASHBACK = {52: PIN_BLOCK}, {3: "010000"}, {3: "090000"}


@pytest.mark.parametrize(
    ("fields", "verdict", "question"),
    [
        ({},                 None,       None),
        (PIN,                YES,        "match"),
        (PIN,                NO,         "mismatch"),
        (PIN,                UNREADABLE, "refused"),
        (PIN,                None,       "refused"),  # a card without a PIN
        (CASH,               None,       "refused"),
        (CASHBACK,           None,       "refused"),
        (CASH | PIN,         YES,        "match"),
        (CASH | PIN,         NO,         "mismatch"),
        (CASH | {4: "000000000000"}, None, None),     # a verification is no cash
        (NET | PIN,          YES,        "refused"),  # where no PIN may be
        (NET | PIN,          NO,         "refused"),
        (NET,                None,       None),
        (NET | CASH,         None,       "refused"),
    ],
)  # fmt: skip
def test_pin_question(
    fields: Mapping[int, str | None], verdict: Verdict | None, question: str | None
) -> None:
    """Only a PIN that was compared is a match or a mismatch; what cannot be counts no try."""
    assert question == pin_question(case(fields), replace(MATCH, pin=verdict))


@pytest.mark.parametrize(
    ("fields", "account", "amount"),
    [
        #  DE4/DE49 25.00 EUR, unless it says otherwise
        ({},                                       "978", 2_500),
        ({6: "000000002500", 51: "978"},           "978", 2_500),
        ({49: "840"} | EUR_40,                     "978", 4_000),
        ({49: "840"},                              "978", None),
        ({49: "840", 6: "000000004000", 51: "826"}, "978", None),
        ({49: "978", 6: "000000004000", 51: "826"}, "978", 2_500),
        ({6: "000000004000"},                      "978", 2_500),
        ({4: "9" * 12},                            "978", 999_999_999_999),
        # A billing amount of nothing beside a transaction of something is none.
        ({49: "840", 6: "000000000000", 51: "978"}, "978", None),
        # Inquiries and verifications need no amount in the account's currency.
        ({3: "310000", 49: "840"},                 "978", 0),
        ({4: "000000000000", 49: "840"},           "978", 0),
        ({3: "200000", 49: "840"},                 "978", None),
    ],
)  # fmt: skip
def test_billed(fields: Mapping[int, str], account: str, amount: int | None) -> None:
    """What is billed is the billing amount where it is the account's currency, else DE4's."""
    expected = None if amount is None else Money(amount, account)
    assert expected == billed(case(fields, {"currency": account}))


def test_billed_otherwise_in_the_same_currency() -> None:
    """Two amounts of one currency that differ cannot both be right: the message is not read."""
    with pytest.raises(MessageError, match="amount_cardholder_billing"):
        case(EUR_40)


@pytest.mark.parametrize(
    ("fields", "transaction", "billing", "cash", "billed_cash"),
    [
        (CASH,     2_500, None,  None,   2_500),
        (CASH,     2_500, 4_000, None,   4_000),
        (CASHBACK, 2_500, None,  1_000,  1_000),
        (CASHBACK, 2_500, 5_000, 1_000,  2_000),
        (CASHBACK, 3_000, 1_000, 1_000,    333),
        (CASHBACK, 3_000, 1_000, 2_000,    667),
        (CASHBACK, 2_000,     1, 1_000,      1),
        (CASHBACK, 2_500, 5_000, 2_500,  5_000),
        (CASHBACK, 2_500, 5_000,     0,      0),
        ({},       2_500, 5_000, None,       0),
        (CASHBACK, 999_999_999_999, 999_999_999_998, 999_999_999_998, 999_999_999_997),
    ],
)  # fmt: skip
def test_billed_cash(
    fields: Mapping[int, str],
    transaction: int,
    billing: int | None,
    cash: int | None,
    billed_cash: int,
) -> None:
    """The cash in what is billed stands to it as the cash at the till to the whole, half up."""
    whole: dict[int, str | None] = {**fields, 4: f"{transaction:012d}", 49: "840"}
    if cash is not None:
        whole[54] = f"0040840D{cash:012d}"
    if billing is not None:
        whole |= {6: f"{billing:012d}", 51: "978"}
    this = case(whole, {"currency": "840" if billing is None else "978"})
    amount = billed(this)
    assert amount is not None
    assert billed_cash == billed_cash_minor(this, amount)


# ---- the first of two -------------------------------------------------------------------------

#: Rows 4 to 8 and 10, in the order of the policy: what each refuses, by fields, card, verdicts.
POLICY: tuple[tuple[Reason, Mapping[int, Any], Mapping[str, Any], Mapping[str, Any]], ...] = (
    (Reason.NOT_SUPPORTED,          {3: "300000"},  {},                            {}),
    (Reason.CURRENCY_NOT_SUPPORTED, {6: "000000000001", 51: "000"}, {},            {}),
    (Reason.STOLEN,                 {},             {"status": "stolen"},          {}),
    (Reason.ACCOUNT_CLOSED,         {},             {"account_status": "closed"},  {}),
    (Reason.CARD_EXPIRED,           {14: "2912"},   {},                            {}),
    (Reason.CRYPTOGRAM_MISMATCH,    {},             {},             {"cryptogram": NO}),
    (Reason.CARD_CODE_MISMATCH,     {},             {},             {"track_code": NO}),
    (Reason.CURRENCY_NOT_SUPPORTED, {49: "840"},    {},                            {}),
)  # fmt: skip
PAIRS = list(itertools.combinations(POLICY, 2))


@pytest.mark.parametrize("row", POLICY, ids=[f"{row[0]}" for row in POLICY])
def test_each(row: tuple[Reason, Any, Any, Any]) -> None:
    """Each row refuses alone."""
    reason, fields, card, verdicts = row
    assert reason == refusal(case(fields, card), replace(MATCH, **verdicts))


@pytest.mark.parametrize(
    ("earlier", "later"), PAIRS, ids=[f"{first[0]}-{second[0]}" for first, second in PAIRS]
)
def test_first_of_two(
    earlier: tuple[Reason, Any, Any, Any], later: tuple[Reason, Any, Any, Any]
) -> None:
    """Of two refusals the one that stands earlier in the policy is the answer."""
    reason, fields, card, verdicts = earlier
    _, *others = later
    this = case({**others[0], **fields}, {**others[1], **card})
    assert reason == refusal(this, replace(MATCH, **{**others[2], **verdicts}))


@pytest.mark.parametrize(
    ("need", "verdict", "reason"),
    [
        ("optional", None, None),
        ("optional", YES, None),
        ("optional", NO, Reason.CARD_CODE_MISMATCH),
        ("required", None, Reason.CARD_CODE_MISMATCH),
        ("required", YES, None),
        ("refused", YES, Reason.CARD_CODE_MISMATCH),
    ],
)
def test_cavv(need: str, verdict: Verdict | None, reason: Reason | None) -> None:
    """A CAVV is a card code: wrong, or required and absent, it is refused as one."""
    rows = SETTINGS["verification"] | {"ecommerce": {"cavv": need}}
    this = case({22: "812", 25: "59", 55: None}, verification=rows)
    assert reason == check_codes(this, replace(MATCH, cavv=verdict))


@pytest.mark.parametrize(
    ("fields", "least", "verdicts", "is_refused"),
    [
        (NET, None, Verdicts(), False),
        (NET, 0, Verdicts(), True),
        (NET, 0, Verdicts(cavv=YES), False),
        (NET, 10**9, Verdicts(), False),
        (NET | {4: "000000000000"}, 0, Verdicts(), False),
        (NET, 0, Verdicts(hsm_fault=True), True),
        ({}, 0, Verdicts(), False),
    ],
)
def test_strong_authentication(
    fields: Mapping[int, Any], least: int | None, verdicts: Verdicts, is_refused: bool
) -> None:
    """E-commerce from an amount on must bring a CAVV that is right; nothing else must."""
    this = case(fields)
    this = replace(this, program=replace(this.program, strong_authentication_from_minor=least))
    expected = Reason.STRONG_AUTHENTICATION_REQUIRED if is_refused else None
    assert expected == check_strong_authentication(this, verdicts)
