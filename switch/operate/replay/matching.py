"""
Which answer belongs to which message of one connection, and whether it is right, without I/O.

An answer is known by its MTI and STAN, and by what else of the message key it gives back
(moment, RRN, acquirer, terminal). It is right where DE39 is what is expected, and where each
field that it gives back is as it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from specs.spec import Spec
from switch.operate.replay.fresh import Outgoing
from switch.operate.replay.scenario import Step
from switch.wire import mti
from switch.wire.error import MessageError
from switch.wire.places import Places, to_wire
from switch.wire.versions import version_of

__all__ = ["Book", "Expected", "Found", "Sent", "Verdict"]

_STAN, _CODE, _AUTHORIZATION_CODE = 11, 39, 38
#: An answer may have less in these than was asked for: compared where an expectation has them.
_AMOUNTS = (4, 6)


class Verdict(Enum):
    """What an arriving message is."""

    ANSWER = "answer"
    DUPLICATE = "duplicate"  #: answers what was answered before
    UNASKED = "unasked"  #: a request of the other side, or an answer to nothing that we sent
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Expected:
    """What answers to one step are held to."""

    head: bytes  #: the answer's MTI as it stands on the wire; empty: none comes
    values: Mapping[int, bytes] = field(repr=False)  #: by DE, as they stand on the wire
    echoed: tuple[int, ...]  #: beside what an answer is known by
    is_decision: bool  #: of which an approval leaves a row in the ledger

    @classmethod
    def nothing(cls) -> Expected:
        """What no answer comes to."""
        return cls(b"", {}, (), is_decision=False)

    @classmethod
    def of(cls, step: Step, spec: Spec) -> Expected:
        """Of a step's expectations those that every answer can be held to."""
        message_class = spec.classes.get(mti.without_repeat(step.mti))
        is_answered = message_class is None or bool(message_class.echoed)
        if not mti.is_request(step.mti) or not is_answered or _STAN not in step.fields:
            return cls.nothing()
        encoding = spec.codec["t"]["data_enc"]
        answer = mti.response(step.mti)
        values: dict[int, bytes] = {}
        for number in (_CODE, *_AMOUNTS):
            value, field_ = (step.expect or {}).get(str(number), ""), spec.fields[number]
            # Not "present" or "same as 3": these need more than the one answer.
            if len(value) == field_.length and field_.pattern.fullmatch(value):
                wire = _wire(value, number, spec)
                values |= {number: wire} if wire is not None else {}
        echoed = message_class.echoed if message_class else ()
        return cls(
            bytes.fromhex(answer) if encoding == "b" else answer.encode(encoding),
            values,
            tuple(sorted({*echoed} - {_STAN, *_key(spec), *_AMOUNTS})),
            is_decision=mti.is_decided(step.mti),
        )


@dataclass(slots=True, eq=False)
class Sent:
    """A message on its way, by what its answer begins with."""

    step: int  #: its place in the recording
    round: int  #: of fresh messages; 0: as recorded
    due: float  #: when it was to be sent, in the player's seconds
    message: Outgoing
    expected: Expected
    name: bytes = field(init=False, repr=False)  #: the answer's MTI and STAN
    is_answered: bool = False
    is_overdue: bool = False

    def __post_init__(self) -> None:
        """Say it once: a book asks for it at the beginning and at the end."""
        message = self.message
        self.name = self.expected.head + message.payload[message.places[_STAN]]


@dataclass(slots=True)
class Found:
    """An arriving message, and what it was an answer to."""

    verdict: Verdict
    sent: Sent | None = None
    code: bytes = b""  #: DE39, as it stands on the wire
    authorization_code: bytes = field(default=b"", repr=False)
    differences: Sequence[int] = ()  #: the DEs that are not as expected


class Book:
    """What was sent over one connection."""

    def __init__(self, spec: Spec) -> None:
        numbers = {number for each in spec.classes.values() for number in each.echoed}
        self._places = Places(spec, numbers | {_STAN, _AUTHORIZATION_CODE, _CODE})
        self._key = _key(spec)
        self._mti_size = spec.codec["t"]["max_len"]
        self._sent: dict[bytes, list[Sent]] = {}

    def send(self, sent: Sent) -> None:
        """Note a message that wants an answer. Of those with its name only the open ones stay."""
        same = self._sent.get(sent.name)
        open_ = [] if same is None else [each for each in same if not each.is_answered]
        self._sent[sent.name] = [*open_, sent]

    def forget(self, sent: Sent) -> None:
        """What answers it from now on is unasked."""
        same = self._sent.pop(sent.name, [])
        if rest := [each for each in same if each is not sent]:
            self._sent[sent.name] = rest

    def receive(self, payload: bytes) -> Found:
        """Say what a message of the other side is; an answer is noted."""
        try:
            places = self._places.of(payload)
            name = payload[: self._mti_size] + payload[places[_STAN]]
        except (MessageError, KeyError):
            return Found(Verdict.UNREADABLE)
        same = [s for s in self._sent.get(name, ()) if self._is_of(s.message, payload, places)]
        sent = next((each for each in same if not each.is_answered), None)
        if sent is None:
            return Found(Verdict.DUPLICATE if same else Verdict.UNASKED)
        sent.is_answered = True
        return Found(
            Verdict.ANSWER,
            sent,
            payload[places[_CODE]] if _CODE in places else b"",
            payload[places[_AUTHORIZATION_CODE]] if _AUTHORIZATION_CODE in places else b"",
            _differences(sent, payload, places),
        )

    def _is_of(self, sent: Outgoing, payload: bytes, places: Mapping[int, slice]) -> bool:
        """Whether nothing that both have of the message key is different."""
        for number in self._key:
            ours, theirs = sent.places.get(number), places.get(number)
            if ours and theirs and sent.payload[ours] != payload[theirs]:
                return False
        return True


def _key(spec: Spec) -> tuple[int, ...]:
    """What an answer is known by, beside its MTI and STAN."""
    return tuple({*spec.message_key, version_of(spec).moment} - {_STAN})


def _differences(sent: Sent, payload: bytes, places: Mapping[int, slice]) -> list[int]:
    """What is not as expected, by DE: DE39 and amounts, and what should be as it was sent."""
    expected, message = sent.expected, sent.message
    differences = [
        number
        for number, value in expected.values.items()
        if number not in places or payload[places[number]] != value
    ]
    for number in expected.echoed:
        ours, theirs = message.places.get(number), places.get(number)
        if ours and theirs and message.payload[ours] != payload[theirs]:
            differences.append(number)
    return differences


def _wire(value: str, number: int, spec: Spec) -> bytes | None:
    """Also of an odd count of packed digits, as DE39 has it in 1993."""
    encoding = spec.fields[number].encoding
    if encoding == "bcd":
        return bytes.fromhex(value.rjust(len(value) + len(value) % 2, "0"))
    if encoding == "bcd-right":
        return bytes.fromhex(value.ljust(len(value) + len(value) % 2, "0"))
    return to_wire(value, number, spec)
