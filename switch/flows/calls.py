"""What a flow asks the ledger: a request and what was found of it, as the ledger's values."""

from __future__ import annotations

import os

from switch.flows.additions import issuer_authentication
from switch.flows.issuer import Issuer
from switch.ledger.calls import AuthorizationCall, RefusedCall
from switch.log_fields import scrub
from switch.rules import checks
from switch.rules.checks import Case, Verdicts
from switch.rules.reason import Reason
from switch.wire.requests import AuthorizationRequest, Money


def authorization_code() -> str:
    """Six digits. They tell attempts apart and are no secret."""
    return f"{int.from_bytes(os.urandom(4)) % 1_000_000:06d}"


def refused_call(request: AuthorizationRequest, issuer: Issuer, reason: Reason) -> RefusedCall:
    """The record of a request for a card that is not ours: by its PAN's token alone."""
    token = issuer.vault.pan_token(request.pan)
    return RefusedCall(
        pan_token=token,
        message_key=request.message_key(token),
        link=request.link,
        mti=request.mti,
        stan=request.stan,
        transmission_datetime=request.transmission_datetime,
        rrn=request.rrn,
        processing_code=request.processing_code,
        transaction_minor=request.transaction.minor,
        transaction_currency=request.transaction.currency,
        reason=reason.value,
    )


def authorization_call(case: Case, verdicts: Verdicts, issuer: Issuer) -> AuthorizationCall:
    """The question of one authorization.

    The ledger asks first whether it is a repeat, then takes these refusals in their
    order, and asks its own between and after them.
    """
    request, card = case.request, case.card
    before_pin = checks.first_refusal(checks.BEFORE_VERIFICATION, case)
    amount = checks.billed(case)
    billed = amount or Money(0, card.currency)
    return AuthorizationCall(
        account_id=card.account_id,
        card_id=card.card_id,
        message_key=request.message_key(issuer.vault.pan_token(request.pan)),
        decide_by=issuer.ledger.clock.there(request.deadline.decide_by),
        refusal_before_pin=before_pin or checks.check_codes(case, verdicts),
        hsm_fault=verdicts.hsm_fault,
        pin_verdict=checks.pin_question(case, verdicts),
        refusal_after_pin=Reason.CURRENCY_NOT_SUPPORTED if amount is None else None,
        kind=request.kind,
        channel=request.channel,
        amount_minor=billed.minor,
        cash_minor=checks.billed_cash_minor(case, billed),
        transaction_minor=request.transaction.minor,
        transaction_currency=request.transaction.currency,
        processing_code=request.processing_code,
        mti=request.mti,
        stan=request.stan,
        transmission_datetime=request.transmission_datetime,
        rrn=request.rrn,
        acquirer=request.acquirer,
        terminal=request.terminal,
        merchant=request.merchant,
        merchant_name=scrub(request.merchant_name) if request.merchant_name else None,
        mcc=request.mcc,
        country=request.country,
        entry_mode=request.entry_mode,
        link=request.link,
        authorization_code=authorization_code(),
        issuer_authentication=issuer_authentication(case, verdicts),
    )
