"""How long to wait before dialling again, without a clock."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Doublings after which a wait cannot grow in any case, so that its power stays a number.
DOUBLINGS_MAX = 24


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first` to `most` seconds.

    Each is drawn from its upper half: switches that lost one peer together come back
    one by one, and none at once.
    """

    first: float
    most: float
    failures: int = 0  #: in a row

    @property
    def longest(self) -> float:
        """The most that the next wait can be, in seconds."""
        return float(min(self.most, self.first * 2 ** min(self.failures, DOUBLINGS_MAX)))

    def seconds(self, chance: float) -> float:
        """The next wait, for a chance of 0 to 1."""
        return self.longest * (0.5 + 0.5 * chance)

    def failed(self) -> Backoff:
        """After another failure."""
        return replace(self, failures=self.failures + 1)

    def lived(self, seconds: float) -> Backoff:
        """After a connection that lived so long.

        One that did not outlive the longest wait counts as a failure: a peer may accept only to
        close, again and again.
        """
        return replace(self, failures=0) if seconds >= self.most else self.failed()
