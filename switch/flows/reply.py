"""How a request is answered: what is echoed, the code of the dialect, what the decision adds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from specs.spec import Spec
from switch.days import today
from switch.ledger.calls import AuthorizationCall
from switch.rules.decision import Decision, Declined
from switch.rules.reason import Reason
from switch.wire import mti
from switch.wire.day import sent_on
from switch.wire.message import Message
from switch.wire.requests import AuthorizationRequest

_RESPONSE_CODE = 39

#: What a dialect may have an approving DE39 of its own for, by the MTI's class.
_APPROVALS = {"4": "approved_reversal", "8": "approved_network"}


@dataclass(slots=True)  # frozen in all but name, as all that is made for each message
class Reply:
    """An answer, and what the log and the link must know of it."""

    message: Message
    reason: Reason | None = None  #: none: approved
    is_repeat: bool = False
    batch: int | None = None  #: requests that shared the transaction
    #: An approval that must be taken back if this reply does not leave in time.
    undo: AuthorizationCall | None = None
    alarm: str | None = None  #: an event that operators should count
    effect: str | None = None  #: of an advice or a reversal: what it did
    managed: str | None = None  #: of network management: sign_on, sign_off or echo

    @property
    def response_code(self) -> str:
        """DE39."""
        return self.message.fields[_RESPONSE_CODE]


def answer(
    request: Message,
    spec: Spec,
    *,
    reason: Reason | None,
    code: str | None = None,
    added: dict[int, str] | None = None,
) -> Message:
    """The answer to a request: what its class echoes, DE39, and what is added.

    DE39 is the code given, else the reason's. What stands for an answer to a 0190, which is never
    sent, has its MTI: there is none for it.
    """
    answer_mti, echoed = _form(request.mti, spec)
    asked = request.fields
    fields = {number: asked[number] for number in echoed if number in asked}
    fields[_RESPONSE_CODE] = code or response_code(request, spec, reason)
    if added:
        fields.update(added)
    return Message(answer_mti, fields)


@cache
def _form(request_mti: str, spec: Spec) -> tuple[str, tuple[int, ...]]:
    """Of every answer to requests of an MTI: its own, and what it echoes."""
    message_class = spec.classes.get(mti.without_repeat(request_mti))
    echoed = message_class.echoed if message_class else spec.message_key
    is_request = mti.is_request(request_mti)
    return (mti.response(request_mti) if is_request else request_mti), echoed


def decided_code(request: AuthorizationRequest, decision: Decision) -> str:
    """DE39 of a decision: as an advice brought it that was here first, else the dialect's own."""
    brought, spec = decision.response_code, request.spec
    if brought is not None and len(brought) == spec.fields[_RESPONSE_CODE].length:
        return brought
    if isinstance(decision, Declined):
        return response_code(request.message, spec, decision.reason)
    day = sent_on(request.message.fields, today())
    if decision.partial_transaction_minor is not None:
        return spec.response_codes.at("approved_partial", day)
    kind = "approved_verification" if request.kind == "verification" else "approved"
    return spec.response_codes.approval(kind, day)


def response_code(request: Message, spec: Spec, reason: Reason | None) -> str:
    """The dialect's DE39 of a reason; none is an approval.

    It is that of the request's day, not of the answer's: a repeat has the day of its original,
    and so its answer, also where the scheme has changed the code between them.
    """
    day = sent_on(request.fields, today())
    if reason is None:
        return spec.response_codes.approval(_APPROVALS.get(request.mti[1:2], "approved"), day)
    return spec.response_codes.at(reason.value, day)
