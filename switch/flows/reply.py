"""How a request is answered: what is echoed, the code of the dialect, what the decision adds."""

from __future__ import annotations

from dataclasses import dataclass

from specs.spec import Spec
from switch.ledger.calls import AuthorizationCall
from switch.rules.decision import Decision, Declined
from switch.rules.reason import Reason
from switch.wire import mti
from switch.wire.message import Message

_RESPONSE_CODE = 39


@dataclass(frozen=True, slots=True)
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
    message_class = spec.classes.get(mti.without_repeat(request.mti))
    echoed = message_class.echoed if message_class else spec.message_key
    fields = {number: request.fields[number] for number in echoed if number in request.fields}
    fields[_RESPONSE_CODE] = code or response_code(spec, reason)
    if added:
        fields.update(added)
    is_request = mti.is_request(request.mti)
    answer_mti = mti.response(request.mti) if is_request else request.mti
    return Message(answer_mti, dict(sorted(fields.items())))


def decided_code(spec: Spec, decision: Decision) -> str:
    """DE39 of a decision: as an advice brought it that was here first, else the dialect's own."""
    brought = decision.response_code
    if brought is not None and len(brought) == spec.fields[_RESPONSE_CODE].length:
        return brought
    if isinstance(decision, Declined):
        return response_code(spec, decision.reason)
    is_partial = decision.partial_transaction_minor is not None
    return spec.response_codes["approved_partial" if is_partial else "approved"]


def response_code(spec: Spec, reason: Reason | None) -> str:
    """The dialect's DE39 of a reason; none is an approval."""
    return spec.response_codes["approved" if reason is None else reason.value]
