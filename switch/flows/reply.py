"""How a request is answered: what is echoed, the code of the dialect, what the decision adds."""

from __future__ import annotations

from dataclasses import dataclass

from specs.spec import Spec
from switch.ledger.calls import AuthorizationCall
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

    @property
    def response_code(self) -> str:
        """DE39."""
        return self.message.fields[_RESPONSE_CODE]


def answer(
    request: Message, spec: Spec, *, reason: Reason | None, added: dict[int, str] | None = None
) -> Message:
    """The answer to a request: what its class echoes, DE39, and what is added."""
    message_class = spec.classes.get(mti.without_repeat(request.mti))
    echoed = message_class.echoed if message_class else spec.message_key
    fields = {number: request.fields[number] for number in echoed if number in request.fields}
    fields[_RESPONSE_CODE] = response_code(spec, reason)
    if added:
        fields.update(added)
    return Message(mti.response(request.mti), dict(sorted(fields.items())))


def response_code(spec: Spec, reason: Reason | None) -> str:
    """The dialect's DE39 of a reason; none is an approval."""
    return spec.response_codes["approved" if reason is None else reason.value]
