"""
A breaker: whether an HSM that did not answer is asked again. A state and no I/O.

Closed, everything is asked. After so many outages in a row it opens, and nothing is asked: what
needs the HSM is answered 91 at once instead of at its deadline. Once the HSM answers a ping, one
question probes: its answer closes the breaker, its outage opens it again.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """What becomes of a question."""

    CLOSED = "closed"  #: asked
    OPEN = "open"  #: refused
    HALF_OPEN = "half_open"  #: one at a time is asked, the others are refused


class Breaker:
    """The state of one HSM."""

    __slots__ = ("_failures_max", "_is_probing", "failures", "state")

    def __init__(self, *, failures_max: int) -> None:
        """Open after `failures_max` outages in a row."""
        self._failures_max = failures_max
        self._is_probing = False
        self.failures = 0  #: in a row
        self.state = State.CLOSED

    def may_ask(self) -> bool:
        """Whether a question may be asked; in the half-open state this one becomes the probe."""
        if self.state is State.CLOSED:
            return True
        if self.state is State.OPEN or self._is_probing:
            return False
        self._is_probing = True
        return True

    def answered(self) -> None:
        """The HSM answered a question, whatever it said."""
        self.failures = 0
        self.state, self._is_probing = State.CLOSED, False

    def failed(self) -> None:
        """The HSM did not answer a question."""
        self.failures += 1
        if self.state is State.HALF_OPEN or self.failures >= self._failures_max:
            self.state, self._is_probing = State.OPEN, False

    def gave_up(self) -> None:
        """The asker left before it could be told whether the HSM answers: another one may probe."""
        self._is_probing = False

    def pinged(self) -> None:
        """The HSM is there again: a question may try."""
        if self.state is State.OPEN:
            self.state, self._is_probing = State.HALF_OPEN, False
