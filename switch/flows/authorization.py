"""
How one authorization is decided. Read this page first.

A decline is an answer. What raises is a fault, and answering faults is the
router's work.
"""

from __future__ import annotations

from dataclasses import replace

from keys.hsm import Verdict
from switch.flows.additions import additions
from switch.flows.calls import authorization_call, refused_call
from switch.flows.issuer import Issuer
from switch.flows.reply import Reply, answer, decided_code
from switch.flows.stand_in import stand_in
from switch.flows.verify import verify
from switch.ledger.calls import AuthorizationCall
from switch.ledger.errors import CardChanged, LedgerUnavailable
from switch.rules.checks import Case, Verdicts, check_supported
from switch.rules.decision import Decision, Declined
from switch.rules.reason import Reason
from switch.wire.requests import AuthorizationRequest


async def authorize(request: AuthorizationRequest, issuer: Issuer) -> Reply:
    """Decide with what is known of the card; where that has changed meanwhile, look again."""
    try:
        return await decide(request, issuer, anew=False)
    except CardChanged:
        return await decide(request, issuer, anew=True)


async def decide(request: AuthorizationRequest, issuer: Issuer, *, anew: bool) -> Reply:
    """Find the card, verify what the message brings, decide, reply."""
    card = await issuer.find_card(request, anew=anew)
    request.watch.lap("find_us")
    if card is None:
        return await refuse_unknown(request, issuer)

    issuer.ledger.admit(card.account_id, request.link, request.deadline)
    case = issuer.case(request, card)
    verdicts = await verify(case, issuer)
    request.watch.lap("hsm_us")

    call = authorization_call(case, verdicts, issuer)
    try:
        decision = await issuer.ledger.authorize(call, request.deadline)  # one transaction
    except LedgerUnavailable as outage:
        return await without_ledger(case, verdicts, call, outage, issuer)
    request.watch.lap("ledger_us")
    return await reply_to(case, verdicts, decision, call, issuer)


async def refuse_unknown(request: AuthorizationRequest, issuer: Issuer) -> Reply:
    """Not our card: no account, so no lock. The refusal is recorded, and that is all."""
    reason = check_supported(request) or Reason.NO_CARD_RECORD
    await issuer.ledger.refuse(refused_call(request, issuer, reason), request.deadline)
    request.watch.lap("ledger_us")
    return Reply(answer(request.message, request.spec, reason=reason), reason=reason)


async def without_ledger(
    case: Case,
    verdicts: Verdicts,
    call: AuthorizationCall,
    outage: LedgerUnavailable,
    issuer: Issuer,
) -> Reply:
    """The ledger was not reached: what the program lends meanwhile, else it is an outage."""
    decision = await stand_in(case, verdicts, call, outage, issuer)
    case.request.watch.lap("ledger_us")
    reply = await reply_to(case, verdicts, decision, call, issuer)
    return replace(reply, batch=None, effect="stand_in")


async def reply_to(
    case: Case, verdicts: Verdicts, decision: Decision, call: AuthorizationCall, issuer: Issuer
) -> Reply:
    """The dialect's answer to a decision."""
    try:
        reason = decision.reason if isinstance(decision, Declined) else None
        code = decided_code(case.request, decision)
        added = await additions(case, verdicts, decision, code, issuer)
        return Reply(
            answer(case.request.message, case.request.spec, reason=reason, code=code, added=added),
            reason=reason,
            is_repeat=decision.is_repeat,
            batch=decision.batch,
            undo=call if reason is None else None,
            alarm="pin_block_unreadable" if verdicts.pin is Verdict.UNREADABLE else None,
        )
    except Exception:
        # An approval that cannot be told is none: what it holds must not stay held.
        await issuer.ledger.take_back(call)
        raise
