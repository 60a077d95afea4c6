"""A story while it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from switch.operate.simulate.habits import Case
from switch.operate.simulate.lines import Line
from switch.operate.simulate.score import Counts
from switch.operate.simulate.steps import Ask, Story


@dataclass(slots=True, eq=False)
class Tale:
    """What a story waits for."""

    story: Story = field(repr=False)
    case: Case = field(repr=False)
    line: Line | None = None  #: of a link's own story
    turn: int = 0  #: each wait has a number; what comes under an older one comes too late
    asked: Ask | None = None  #: whose answer is waited for
    copies: int = 0  #: of it, on links that are there
    until: Ask | None = None  #: whose late answer ends a pause

    @property
    def counts(self) -> Counts:
        """The figures of its kind."""
        return self.case.counts

    def stop(self) -> None:
        """It goes on no more."""
        self.turn += 1
        self.asked = self.until = None
        self.story.close()
