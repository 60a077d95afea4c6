"""
What is approved while the ledger is away: little, by the rules of the card's program, and on disk
before it is told. docs/standin.md.

Nothing is declined here. What may not be approved stays the outage that it is, and is answered 91.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

from switch.flows.calls import own_advice
from switch.flows.issuer import Issuer
from switch.ledger.calls import AuthorizationCall
from switch.ledger.errors import CardChanged, LedgerUnavailable, OutcomeUnknown, VerdictMissing
from switch.ledger.stand_in_journal import StandIn
from switch.ledger.stand_ins import StandIns
from switch.rules.checks import Case, Verdicts
from switch.rules.decision import Decision
from switch.rules.stand_in_checks import forbidden_by
from switch.wire import mti

#: What is no outage of the ledger, or one in which it may have decided.
_NOT_AWAY = (OutcomeUnknown, CardChanged, VerdictMissing)


async def stand_in(
    case: Case,
    verdicts: Verdicts,
    call: AuthorizationCall,
    outage: LedgerUnavailable,
    issuer: Issuer,
) -> Decision:
    """What is decided without the ledger about a request that it did not take.

    Raises the outage where nothing is. What was approved here and is not in the ledger yet is told
    again, whether that is back or not.
    """
    stand_ins, deadline = issuer.ledger.stand_ins, case.request.deadline
    if stand_ins is None:
        raise outage
    # Another copy may have been in the last connection that was lost: whoever waits for that one
    # has his turn before us, and notes that its outcome is unknown.
    is_at_the_ledger = stand_ins.has_sent_another(call)
    await asyncio.sleep(0)

    # The disk has half of what is left after the last moment to decide, as the ARPC has.
    by = (deadline.decide_by + deadline.answer_by) / 2
    told = await stand_ins.repeated(call, by=by, answer_by=deadline.answer_by)
    if told is not None:
        return told

    # From here to the approval, which counts at once, nobody else has a turn: two requests never
    # use the same room, two copies are never approved twice. The ledger may come back meanwhile. It
    # was not asked and will not be: the request was withdrawn, and its copies find this approval.
    if is_at_the_ledger or isinstance(outage, _NOT_AWAY):
        raise outage
    if not _is_allowed(case, verdicts, call, stand_ins):
        raise outage
    return await stand_ins.approve(
        StandIn(
            booking=own_advice(case, call),
            beside_key=_beside_key(case),
            program_id=case.program.program_id,
            currency=case.card.currency,
            decided_at=time.time(),
            issuer_authentication=call.issuer_authentication,
            findings=call.findings or "",
            sequence_number=call.sequence_number,
            atc=call.atc,
        ),
        by=by,
        answer_by=deadline.answer_by,
    )


def _is_allowed(
    case: Case, verdicts: Verdicts, call: AuthorizationCall, stand_ins: StandIns
) -> bool:
    """Whether the ledger is away and all that can be asked without it says yes."""
    rules = case.program.stand_in
    if rules is None or not stand_ins.is_ledger_away or stand_ins.may_be_decided(call):
        return False
    refusal = call.refusal_before_pin or call.refusal_after_pin
    if refusal or call.hsm_fault or call.pin_verdict not in (None, "match"):
        return False
    lent = stand_ins.lending.of(call, case.program.program_id, case.card.currency)
    forbidden = forbidden_by(rules, case, verdicts, lent)
    if forbidden is None and stand_ins.lending.has_used(call):
        forbidden = "cryptogram"
    if forbidden is None and stand_ins.is_full:
        forbidden = "kept_most"
    if forbidden is not None:
        stand_ins.forbidden[forbidden] += 1
    return forbidden is None


def _beside_key(case: Case) -> bytes:
    """The key of the advice that another switch would send of such an approval."""
    request = case.request
    advice = replace(request, mti=mti.advice(request.mti))
    return advice.message_key(case.card.key_token)
