"""What comes of a simulation: a load's figures, what the scheme did, and each kind of story."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from switch.operate.histogram import Histogram
from switch.operate.replay.tally import Tally
from switch.operate.simulate.steps import Answer
from switch.wire.mti import is_decided

#: What a scheme does, and what is counted of it by story.
DEEDS = ("timed_out", "unavailable", "stood_in", "reversed", "completed", "repeats")
#: What only a simulation has, beside a load's figures.
OWN = ("stories", *DEEDS, "unacknowledged", "unfinished", "unheard", "served", "cuts", "differ")
#: What must be 0 where nothing else is said of it.
NONE_OF = (
    "wrong", "unasked", "unreadable", "duplicates", "unacknowledged", "unfinished", "missing",
    "broken", "differ",
)  # fmt: skip

#: Stories that are no customers': those of links, and of what goes wrong with them.
NETWORK, TROUBLES = "network", "troubles"

#: How many messages without an answer are named.
NAMED_MOST = 20


@dataclass(slots=True, eq=False)
class Counts:
    """The figures of one kind of story."""

    name: str
    score: Score = field(repr=False)
    stories: int = 0
    sent: int = 0
    approved: int = 0  #: of requests for a decision
    declined: Counter[str] = field(default_factory=Counter)  #: by DE39
    timed_out: int = 0  #: requests without an answer in time, or whose link was lost
    unavailable: int = 0  #: answered that no decision can be made
    stood_in: int = 0  #: decided by the scheme
    reversed: int = 0  #: taken back, whole or in part
    completed: int = 0
    repeats: int = 0
    latencies: Histogram = field(default_factory=Histogram)

    def note(self, mti: str, answer: Answer, seconds: float) -> None:
        """Count an answer and how long it took."""
        self.latencies.add(seconds)
        if is_decided(mti) and answer.is_approval:
            self.approved += 1
        elif is_decided(mti):
            self.declined[answer.code] += 1

    def tell_wrong(self, what: str) -> None:
        """An answer was not what it should have been."""
        self.score.wrong += 1
        self.score.tell(f"wrong: {self.name}: {what}")

    def tell_unacknowledged(self, what: str) -> None:
        """An advice or a reversal was given up."""
        self.score.unacknowledged += 1
        self.score.tell(f"not acknowledged: {self.name}: {what}")


@dataclass(slots=True)
class Score(Tally):
    """The figures of a whole simulation."""

    began: date = field(default_factory=lambda: datetime.now(UTC).date())
    by_story: dict[str, Counts] = field(default_factory=dict)
    unacknowledged: int = 0  #: advices and reversals that were given up
    unfinished: int = 0  #: stories that were not over at the end
    unheard: int = 0  #: messages whose link was lost before their answer came
    served: int = 0  #: requests of the switch that were answered
    cuts: int = 0  #: links that the scheme itself cut
    differ: int | None = None  #: purchases of which other than here stands in the ledger
    other: list[str] = field(default_factory=list)  #: what differs
    named: list[str] = field(default_factory=list)  #: what has no answer
    stands: list[Mapping[str, int | None]] = field(default_factory=list)  #: by RRN, a story each

    def counts(self, name: str) -> Counts:
        """Those of one kind of story."""
        if name not in self.by_story:
            self.by_story[name] = Counts(name, self)
        return self.by_story[name]

    def name(self, what: str) -> None:
        """Note a message without an answer, while there is room."""
        if len(self.named) < NAMED_MOST:
            self.named.append(what)

    def figure(self, name: str) -> float:
        """A figure by the name that thresholds have for it; not a number where there is none."""
        if name == "stories" or name in DEEDS:
            told = (each for each in self.by_story.values() if each.name not in (NETWORK, TROUBLES))
            return float(sum(getattr(each, name) for each in told))
        return Tally.figure(self, name)

    def known_to_stand(self) -> Sequence[tuple[str, int]]:
        """RRN and minor units of every purchase of which the scheme knows what stands."""
        return [
            (rrn, minor)
            for story in self.stands
            for rrn, minor in story.items()
            if minor is not None
        ]
