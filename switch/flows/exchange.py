"""One message and its answer: what the link writes and what the log tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from switch.deadline import Deadline
from switch.flows.reply import Reply
from switch.stopwatch import Stopwatch
from switch.wire.message import Message
from switch.wire.requests import AuthorizationRequest
from switch.wire.versions import Version


@dataclass(slots=True)
class Exchange:
    """Filled in on the way from the frame to the answer. Holds no bytes of the frame."""

    link: str
    deadline: Deadline
    length: int  #: of the frame, in bytes
    version: Version  #: of the link's dialect
    watch: Stopwatch = field(default_factory=Stopwatch)
    message: Message | None = field(default=None, repr=False)
    request: AuthorizationRequest | None = None
    reply: Reply | None = None
    answer: bytes | None = field(default=None, repr=False)  #: to be framed and written
    has_mac: bool = False  #: it brought a MAC, so that its answer has one
    fault: str | None = None  #: the kind of a fault that was answered
    done_at: float | None = None  #: when nothing was left to do for it, by `time.monotonic`
    outcome: str = "dropped"  #: sent, late, unread, too_long, link_gone, unanswered, dropped, taken
