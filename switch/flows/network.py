"""Network management: sign-on, sign-off, echo; those of schemes, and our own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from specs.spec import Spec
from switch.flows.reply import Reply, answer
from switch.rules.reason import Reason
from switch.wire.message import Message
from switch.wire.requests import NetworkRequest
from switch.wire.versions import version_of

_TRANSMISSION_DATETIME, _STAN, _LOCAL_DATETIME, _RESPONSE_CODE = 7, 11, 12, 39
#: What tells the kind: DE70, or the function code in the versions of 1993 and 2003.
_NETWORK_CODE, _FUNCTION_CODE = 70, 24
#: What no setting adds to a request of ours: the switch fills them.
OURS = frozenset({_TRANSMISSION_DATETIME, _STAN, _FUNCTION_CODE, _NETWORK_CODE})
_ACCEPTING = frozenset({"approved", "approved_network"})


def manage(request: NetworkRequest) -> Reply:
    """Acknowledge what we know; anything else is answered 12."""
    managed = version_of(request.spec).network_codes.meaning(request.code)
    reason = None if managed else Reason.NOT_SUPPORTED
    reply = answer(request.message, request.spec, reason=reason)
    return Reply(reply, reason=reason, managed=managed)


def management_mti(spec: Spec) -> str | None:
    """The MTI of a network management request; none where the dialect has no such class."""
    return next((first for first in spec.classes if first[1] == "8"), None)


def own_request(
    spec: Spec, code: str, *, stan: str, at: datetime, added: Mapping[int, str]
) -> Message:
    """A network management request of ours, with what a scheme wants to see in it besides.

    The dialect must have the class (`management_mti`).
    """
    first = management_mti(spec)
    assert first is not None  # settings are refused where it is not  # noqa: S101
    required = spec.classes[first].required
    utc = at.astimezone(UTC)
    stan = stan.zfill(spec.fields[_STAN].length)
    fields = {_TRANSMISSION_DATETIME: f"{utc:%m%d%H%M%S}", _STAN: stan}
    if _LOCAL_DATETIME in required:
        fields[_LOCAL_DATETIME] = f"{utc:%Y%m%d%H%M%S}"[-spec.fields[_LOCAL_DATETIME].length :]
    fields[version_of(spec).network_code] = code
    return Message(first, dict(sorted({**fields, **added}.items())))


def is_accepted(answered: Message, spec: Spec) -> bool:
    """Whether the answer to a request of ours says yes."""
    meanings = spec.response_codes.meanings(answered.fields.get(_RESPONSE_CODE, ""))
    return not _ACCEPTING.isdisjoint(meanings)
