"""
What a story says to whoever plays it, and what it hears: without sockets and without a clock.

A story is a generator. It yields steps; an `Ask` comes back with its answer or with none: none
came in time, or its link was lost. So a test plays one with any order of answers, silences and
losses, and a player with a real switch.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeAlias

from switch.wire import mti
from switch.wire.message import Message


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says, in words that no dialect has."""

    code: str  #: DE39
    authorization_code: str  #: DE38, or nothing
    reasons: frozenset[str]  #: what that DE39 means
    is_approval: bool  #: also of what is acknowledged

    @property
    def is_unavailable(self) -> bool:
        """No decision: the issuer says that it cannot make one."""
        return not self.is_approval and not self.reasons.isdisjoint({"unavailable", "system_error"})

    @property
    def says_little(self) -> bool:
        """It may be another than that to a copy: none was decided, or it was taken back since."""
        taken_back = {"reversed", "reversed_before_original"}
        return self.is_unavailable or not self.reasons.isdisjoint(taken_back)

    def is_same_as(self, other: Answer) -> bool:
        """As an answer to a repeat must be."""
        return (self.code, self.authorization_code) == (other.code, other.authorization_code)


@dataclass(slots=True, eq=False)
class Ask:
    """A message to send. Fields and MTI are those of 1987; `Terms` says them in the dialect."""

    mti: str
    fields: dict[int, str] = field(repr=False)
    seconds: float  #: how long an answer is waited for, of the story's seconds
    said: dict[str, str] = field(default_factory=dict, repr=False)  #: subfields, by name
    original: Ask | None = None  #: what it is about
    keep_minor: int | None = None  #: what a reversal leaves; none: nothing
    network: str = ""  #: sign_on, echo or sign_off, of a link
    is_twin: bool = False  #: sent over a second link at the same time
    copies_lost: int = 0  #: whose link was lost before an answer came
    message: Message | None = None  #: as it was sent
    answers: list[Answer] = field(default_factory=list)  #: all that came, in time or not
    first: Ask | None = None  #: of a repeat, what it repeats

    def again(self, seconds: float) -> Ask:
        """The same message as a repeat: as it was sent, but for its MTI."""
        sent = self.message
        if sent is None:  # it never went out
            return self
        repeated = Message(mti.repeat(sent.mti), sent.fields)
        own = mti.repeat(self.mti)
        return Ask(own, self.fields, seconds, message=repeated, first=self.first or self)

    def is_copy_of(self, other: Ask | None) -> bool:
        """An answer to one is an answer to the other: nobody can tell which it was made for."""
        return other is not None and (self.first or self) is (other.first or other)


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing for so long; less where a copy of that message is answered after all."""

    seconds: float
    until: Ask | None = None


@dataclass(frozen=True, slots=True)
class Cut:
    """A link is cut, and comes back after so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Deafness:
    """A link reads nothing for so long."""

    seconds: float


Step: TypeAlias = Ask | Pause | Cut | Deafness
#: What a story, or a part of one that gives a value, is.
Story: TypeAlias = Generator[Step, Answer | None, None]
Part: TypeAlias = Generator[Step, Answer | None, bool]
