"""One thing that happened, as it leaves the switch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """One event of the outbox. Nothing in it is a PAN, a card code, a PIN or a key."""

    event_id: str  #: unique for ever; ASCII; sorts per account in the order of what happened
    account: str  #: what orders it: opaque, never a PAN; events of one account keep their order
    type: str  #: "authorization.approved", …: docs/events.md has them all
    body: bytes  #: one JSON object as docs/events/ describes it, its version inside
