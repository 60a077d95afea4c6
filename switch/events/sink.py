"""Where events go: what a sink promises to the publisher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from switch.events.event import Event


class SinkUnavailable(Exception):
    """The sink did not take a stretch of events, or not all of it. Says why in one line.

    Its text is logged: it names the kind of failure, never a value of an event or a credential.
    """


class Sink(Protocol):
    """Takes events. It may block: only the publisher's own thread calls it."""

    name: str  #: as `events.sink` has it

    def publish(self, events: Sequence[Event]) -> None:
        """Have all of them out when it returns, in order for each account.

        Raises `SinkUnavailable`: some may be out; the same stretch is published again.
        """

    def close(self) -> None:
        """Let go of what it holds; nothing is published after it."""
