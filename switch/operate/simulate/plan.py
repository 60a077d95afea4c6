"""What is played, and the limits of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from switch.operate.simulate.mix import Mix

#: No answer is waited for less than this by the clock, however fast the story goes: the switch's
#: own deadline does not go faster.
LEAST_WAIT_SECONDS = 1.0
#: How long after the last customer stories may take to end: of the story, and at the least.
DRAIN_SECONDS, LEAST_DRAIN_SECONDS = 600.0, 60.0
#: By the clock: until a link that was lost comes back, until all have signed on or off.
RECONNECT_SECONDS, SIGN_SECONDS = 0.5, 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A simulation as it was asked for."""

    addresses: Sequence[str]
    mix: Mix
    rate: float  #: customers a second of the story
    seconds: float  #: of the story
    speed: float = 1.0  #: seconds of the story in one by the clock
    links: int = 2  #: to each address
    cards: int = 1_000
    seed: int = 1

    @property
    def lasts(self) -> float:
        """How long customers come, by the clock."""
        return self.seconds / self.speed

    @property
    def drains(self) -> float:
        """How long their stories may take to end after that, by the clock."""
        return max(DRAIN_SECONDS / self.speed, LEAST_DRAIN_SECONDS)

    def pause(self, seconds: float) -> float:
        """A time of the story, by the clock."""
        return seconds / self.speed

    def patience(self, seconds: float) -> float:
        """How long an answer is waited for, by the clock."""
        return max(self.pause(seconds), LEAST_WAIT_SECONDS)
