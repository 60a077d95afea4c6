"""
How one authorization is decided. Read this page first.

A decline is an answer. What raises is a fault, and answering faults is the
router's work.
"""

from __future__ import annotations

import secrets

from keys.hsm import Verdict
from switch.flows.additions import additions, issuer_authentication
from switch.flows.issuer import Issuer
from switch.flows.reply import Reply, answer
from switch.flows.verify import verify
from switch.ledger.calls import AuthorizationCall, RefusedCall
from switch.rules import checks
from switch.rules.checks import Case, Verdicts
from switch.rules.decision import Decision, Declined
from switch.rules.reason import Reason
from switch.wire.requests import AuthorizationRequest, Money


async def authorize(request: AuthorizationRequest, issuer: Issuer) -> Reply:
    """Find the card, verify what the message brings, decide, reply."""
    card = await issuer.find_card(request.pan, request.deadline)
    request.watch.lap("find_us")
    if card is None:
        return await refuse_unknown(request, issuer)

    case = issuer.case(request, card)
    verdicts = await verify(case, issuer)
    request.watch.lap("hsm_us")

    call = call_of(case, verdicts, issuer)
    decision = await issuer.ledger.authorize(call, request.deadline)  # one transaction
    request.watch.lap("ledger_us")

    try:
        return await reply_to(case, verdicts, decision, call, issuer)
    except Exception:
        # An approval that cannot be told is none: what it holds must not stay held.
        await issuer.ledger.take_back(call)
        raise


async def reply_to(
    case: Case, verdicts: Verdicts, decision: Decision, call: AuthorizationCall, issuer: Issuer
) -> Reply:
    """The dialect's answer to a decision."""
    request = case.request
    reason = decision.reason if isinstance(decision, Declined) else None
    added = await additions(case, verdicts, decision, issuer)
    return Reply(
        answer(request.message, request.spec, reason=reason, added=added),
        reason=reason,
        is_repeat=decision.is_repeat,
        batch=decision.batch,
        undo=call if reason is None and not decision.is_repeat else None,
        alarm="pin_block_unreadable" if verdicts.pin is Verdict.UNREADABLE else None,
    )


async def refuse_unknown(request: AuthorizationRequest, issuer: Issuer) -> Reply:
    """No card, no account, no lock: the refusal is recorded by the PAN's token alone."""
    reason = checks.check_supported(request) or Reason.NO_CARD_RECORD
    token = issuer.vault.pan_token(request.pan)
    call = RefusedCall(
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
    await issuer.ledger.refuse(call, request.deadline)
    request.watch.lap("ledger_us")
    return Reply(answer(request.message, request.spec, reason=reason), reason=reason)


def call_of(case: Case, verdicts: Verdicts, issuer: Issuer) -> AuthorizationCall:
    """The ledger's question. It asks the repeat first, then these refusals, then its own."""
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
        merchant_name=request.merchant_name,
        mcc=request.mcc,
        country=request.country,
        entry_mode=request.entry_mode,
        link=request.link,
        authorization_code=f"{secrets.randbelow(1_000_000):06d}",
        issuer_authentication=issuer_authentication(case, verdicts),
    )
