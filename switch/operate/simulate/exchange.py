"""
Messages over the links of a simulation: encoded, sent, matched with their answers.

What a story asks becomes bytes here, and bytes an `Answer`. What the switch asks us is answered
as a scheme that takes everything does.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from specs.spec import Spec
from switch.operate.replay.fresh import Outgoing
from switch.operate.replay.matching import Book, Expected, Found, Sent, Verdict
from switch.operate.replay.peers import Crowd, Peer, connect
from switch.operate.replay.playing import approval_of, code_text, value_text
from switch.operate.replay.scenario import Step as Recorded
from switch.operate.simulate.lines import Line
from switch.operate.simulate.score import Score
from switch.operate.simulate.steps import Answer, Ask
from switch.operate.simulate.tale import Tale
from switch.operate.simulate.terms import Terms
from switch.wire import mti
from switch.wire.conversation import Format
from switch.wire.mac import encode_with_room, put_mac, split_mac
from switch.wire.message import Message, MessageError, decode, encode
from switch.wire.places import Places

_STAN, _RRN, _AUTHORIZATION_CODE, _CODE = 11, 37, 38, 39
#: How long an answered message is remembered, so that a second answer is known as one.
_KEPT_SECONDS = 30.0
_CONNECT_SECONDS = 2.0
_YES = frozenset({"approved", "approved_reversal", "approved_network"})

#: Makes the authentication code of bytes; none: messages have none.
Mac = Callable[[bytes], bytes]


@dataclass(slots=True, eq=False)
class Letter:
    """One copy of a message on its way."""

    ask: Ask
    tale: Tale
    line: Line
    due: float  #: when it was to be sent, in the player's seconds
    sent: Sent = field(repr=False)


class Exchange:
    """All links, and what is on its way over them."""

    def __init__(
        self, lines: Sequence[Line], spec: Spec, form: Format, score: Score, *, mac: Mac | None,
        on_answer: Callable[[Letter, Answer, float], None],
        on_lost: Callable[[Line, Sequence[Letter]], None],
    ) -> None:  # fmt: skip
        self.terms = Terms(spec)
        self.letters: dict[int, Letter] = {}  #: without an answer so far
        self._lines = lines
        self._spec, self._form, self._score, self._mac = spec, form, score, mac
        self._on_answer, self._on_lost = on_answer, on_lost
        self._places = Places(spec)
        self._numbers = itertools.count()
        self._expected: dict[str, Expected] = {}
        self._answered: deque[tuple[float, Peer, Sent]] = deque()
        self._crowd = Crowd((), self._peer_lost)

    def open(self, line: Line) -> None:
        """Connect a link. Raises `ReplayError` where nobody listens."""
        line.peer = connect(line.address, self._form, Book(self._spec), _CONNECT_SECONDS)
        self._crowd.add(line.peer)

    def lose(self, line: Line) -> None:
        """Cut a link, if it is there."""
        if line.peer is not None:
            self._crowd.lose(line.peer)

    def send(self, ask: Ask, tale: Tale, line: Line, due: float) -> None:
        """Have a message go out with the next flush; the first time it gets its STAN."""
        assert line.peer is not None  # noqa: S101
        if ask.message is None:
            ask.message = self.terms.message(ask, next(line.stans))
        payload = self._encoded(ask.message)
        message = Outgoing(payload, self._places.of(payload))
        number = next(self._numbers)
        sent = Sent(number, 0, due, message, self._expectation(ask.message))
        line.peer.write(self._form.request(payload))
        line.peer.book.send(sent)
        self.letters[number] = Letter(ask, tale, line, due, sent)
        self._score.sent += 1
        tale.counts.sent += 1

    def receive(self, seconds: float, clock: Callable[[], float]) -> None:
        """Wait so long at most, and take what came."""

        def take(peer: Peer, payloads: Sequence[bytes]) -> None:
            now = clock()
            for payload in payloads:
                self._take(peer, payload, now)

        self._crowd.flush()
        self._crowd.receive(seconds, take)
        give_up = clock() - _KEPT_SECONDS
        while self._answered and self._answered[0][0] < give_up:
            _, peer, sent = self._answered.popleft()
            peer.book.forget(sent)

    def close(self) -> None:
        """Close all links, and name what has no answer."""
        self._crowd.close()
        self._score.unanswered += len(self.letters)
        for letter in self.letters.values():
            self._score.name(f"no answer: {_named(letter)}")

    def _encoded(self, message: Message) -> bytes:
        if self._mac is None:
            return encode(message, self._spec)
        payload = encode_with_room(message, self._spec)
        room = split_mac(payload, self._spec)
        assert room is not None  # noqa: S101
        return put_mac(payload, self._mac(room.data), self._spec)

    def _expectation(self, message: Message) -> Expected:
        """What every answer to messages of this MTI is held to."""
        if message.mti not in self._expected:
            step = Recorded(0, "", message.mti, {_STAN: ""}, None, None)
            self._expected[message.mti] = Expected.of(step, self._spec)
        return self._expected[message.mti]

    def _take(self, peer: Peer, payload: bytes, now: float) -> None:
        found = peer.book.receive(payload)
        if found.sent is None:
            self._take_other(peer, payload, found.verdict)
            return
        letter = self.letters.pop(found.sent.step)
        self._answered.append((now, peer, found.sent))
        score = self._score
        score.answered += 1
        score.seconds = now
        answer = self._answer(letter, found)
        score.codes[answer.code] += 1
        if found.sent.expected.is_decision and answer.is_approval:
            score.approvals += 1
            if score.kept is not None:
                code = answer.authorization_code
                score.kept.append(approval_of(found.sent.message, code, self._spec))
        if found.differences:
            which = ", ".join(f"DE{number}" for number in found.differences)
            letter.tale.counts.tell_wrong(f"{_named(letter)}: {which}: not as it was sent")
        if self._mac is not None and not self._is_authentic(payload, self._mac):
            letter.tale.counts.tell_wrong(f"{_named(letter)}: its answer has a wrong MAC")
        self._on_answer(letter, answer, now)

    def _take_other(self, peer: Peer, payload: bytes, verdict: Verdict) -> None:
        """What is no answer to anything open."""
        if verdict is Verdict.DUPLICATE:
            self._score.duplicates += 1
        elif verdict is Verdict.UNREADABLE:
            self._score.unreadable += 1
        elif not self._served(peer, payload):
            self._score.unasked += 1

    def _served(self, peer: Peer, payload: bytes) -> bool:
        """Answer a request of the switch: an echo, a file update. Gives whether it was one."""
        try:
            asked = decode(payload, self._spec)
            described = self._spec.classes.get(mti.without_repeat(asked.mti))
            if described is None or not mti.is_request(asked.mti):
                return False
            fields = {n: asked.fields[n] for n in described.echoed if n in asked.fields}
            today = self._score.began
            kind = "approved_network" if asked.mti[1] == "8" else "approved"
            fields[_CODE] = self._spec.response_codes.approval(kind, today)
            given = Message(mti.response(asked.mti), dict(sorted(fields.items())))
            peer.write(self._form.request(self._encoded(given)))
        except MessageError:
            return False
        self._score.served += 1
        return True

    def _answer(self, letter: Letter, found: Found) -> Answer:
        code = code_text(found.code, self._spec)
        reasons = frozenset(self._spec.response_codes.meanings(code))
        is_decision = mti.is_decided(letter.ask.mti)
        return Answer(
            code,
            value_text(found.authorization_code, _AUTHORIZATION_CODE, self._spec).strip(),
            reasons,
            code in self._spec.approving if is_decision else bool(reasons & _YES),
        )

    def _is_authentic(self, payload: bytes, mac: Mac) -> bool:
        given = split_mac(payload, self._spec)
        return given is not None and mac(given.data)[: len(given.mac)] == given.mac

    def _peer_lost(self, peer: Peer) -> None:
        line = next(line for line in self._lines if line.peer is peer)
        line.peer, line.is_signed_on = None, False
        lost = [(number, one) for number, one in self.letters.items() if one.line is line]
        for number, letter in lost:
            del self.letters[number]
            self._score.name(f"link lost: {_named(letter)}")
        self._score.unheard += len(lost)
        self._on_lost(line, [letter for _, letter in lost])


def _named(letter: Letter) -> str:
    """A message by what is no secret of it."""
    message = letter.ask.message
    assert message is not None  # it was sent  # noqa: S101
    rrn = message.fields.get(_RRN)
    told = f"{letter.tale.counts.name}: {message.mti} STAN {message.fields[_STAN]}"
    return f"{told} RRN {rrn}" if rrn else told
