"""Network management: sign-on, sign-off, echo."""

from __future__ import annotations

from switch.flows.reply import Reply, answer
from switch.rules.reason import Reason
from switch.wire.requests import NetworkRequest

#: DE70 in the generic use of ISO 8583:1987 and in jPOS's public code table.
SIGN_ON, SIGN_OFF, ECHO = ("001", "071"), ("002", "072"), ("301",)
_KNOWN = frozenset({*SIGN_ON, *SIGN_OFF, *ECHO})


def manage(request: NetworkRequest) -> Reply:
    """Acknowledge what we know; anything else is answered 12."""
    reason = None if request.code in _KNOWN else Reason.NOT_SUPPORTED
    return Reply(answer(request.message, request.spec, reason=reason), reason=reason)
