"""
How what already happened is booked: advices, completions, reversals.

None of them is ever declined. It is answered after its commit, however late, or not
at all: then its sender repeats it. docs/life.md has the rules.
"""

from __future__ import annotations

from switch.flows.calls import booking_call, in_suspense
from switch.flows.issuer import Issuer
from switch.flows.reply import Reply, answer
from switch.ledger.calls import Booked
from switch.rules.card import Card
from switch.rules.reason import Reason
from switch.wire.originals import LaterRequest


async def book(later: LaterRequest, task: str, issuer: Issuer) -> Reply:
    """Book an advice (`advise`), a completion (`complete`) or a reversal (`reverse`)."""
    booked = await _book(later, task, issuer)
    later.about.watch.lap("ledger_us")
    return Reply(
        answer(later.about.message, later.about.spec, reason=None),
        is_repeat=booked.is_repeat,
        batch=booked.batch,
        effect=booked.effect,
    )


async def _book(later: LaterRequest, task: str, issuer: Issuer) -> Booked:
    request = later.about
    card = await issuer.find_card(request)
    request.watch.lap("find_us")
    if card is not None:
        call = booking_call(later, task, issuer.case(request, card), issuer)
        booked = await issuer.ledger.book(call, request.deadline)
        if not booked.is_unbookable:
            return booked
    suspense = issuer.suspense(request, card)
    call = booking_call(later, task, issuer.case(request, suspense), issuer)
    reason = Reason.NO_CARD_RECORD if card is None else _unbookable(card)
    booked = await issuer.ledger.book(in_suspense(call, reason), request.deadline)
    if card is not None and booked.effect == "remembered":
        # Its original may yet come, and with a billing amount, so that the account takes it.
        here = booking_call(later, "remember", issuer.case(request, card), issuer)
        await issuer.ledger.book(here, request.deadline)
    return booked


def _unbookable(card: Card) -> Reason:
    is_open = card.account_status == "open"
    return Reason.CURRENCY_NOT_SUPPORTED if is_open else Reason.ACCOUNT_CLOSED
