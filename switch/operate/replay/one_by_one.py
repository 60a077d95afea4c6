"""Plays recorded messages against a link, one after the other, and compares the answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from specs.spec import Spec
from specs.tlv import TlvError, decode_ber
from switch.operate.replay.error import ReplayError
from switch.operate.replay.scenario import Step, messages_of
from switch.wire import mti
from switch.wire.conversation import Format, Receiver
from switch.wire.error import FrameError
from switch.wire.header import HeaderError
from switch.wire.message import Message, MessageError, decode, encode

_STAN, _ICC_DATA, _PAN = 11, 55, 2


@dataclass(slots=True)
class Result:
    """What came of a replay."""

    right: int = 0
    different: int = 0
    uncompared: int = 0
    lines: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line of figures."""
        return (
            f"{self.right} right, {self.different} different, "
            f"{self.uncompared} sent and not compared"
        )


class Player:
    """A scheme that sends one message at a time."""

    def __init__(self, address: str, spec: Spec, form: Format, *, timeout: float) -> None:
        """`address` is host:port; `timeout` is in seconds, for each answer."""
        host, _, port = address.rpartition(":")
        if not host or not port.isdigit():
            raise ReplayError(f"{address}: give host:port")
        self._host, self._port, self._spec = host, int(port), spec
        self._form = form
        self._timeout = timeout

    async def play(self, steps: Sequence[Step], *, only: Sequence[str] = ()) -> Result:
        """Send every step; compare those whose MTI is in `only`, or all."""
        try:
            reader, writer = await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ReplayError(
                f"{self._host}:{self._port}: {reason}: is the switch running?"
            ) from None
        answers: dict[int, Message] = {}
        result = Result()
        receiver = Receiver(self._form)
        try:
            for step in steps:
                answer = await self._ask(step, answers, reader, writer, receiver)
                if answer is not None:
                    answers[step.number] = answer
                if step.expect is None or (only and step.mti not in only):
                    result.uncompared += 1
                    continue
                differences = list(compare(step.expect, answer, answers))
                result.right += not differences
                result.different += bool(differences)
                verdict = "DIFFERENT" if differences else "right"
                result.lines.append(f"{step.number:>4} {step.mti} {verdict:<9} {step.note}")
                result.lines += [f"          {difference}" for difference in differences]
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return result

    async def _ask(
        self,
        step: Step,
        answers: dict[int, Message],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        receiver: Receiver,
    ) -> Message | None:
        try:
            payload = step.payload or encode(_resolved(step, answers), self._spec)
            writer.write(self._form.request(payload))
            if not mti.is_request(step.mti):
                return None
            async with asyncio.timeout(self._timeout):
                while True:
                    data = await reader.read(65_536)
                    if not data:
                        raise ReplayError(f"message {step.number}: the link was closed")
                    for message in messages_of(receiver.receive(data)):
                        answer = decode(message, self._spec)
                        if _answers(answer, step):
                            return answer
        except TimeoutError:
            return None
        except (OSError, FrameError, HeaderError, MessageError, ValueError) as error:
            raise ReplayError(f"message {step.number}: {type(error).__name__}: {error}") from None


def _resolved(step: Step, answers: dict[int, Message]) -> Message:
    """The message with what "from N" stands for: that answer's same field."""
    fields = {}
    for number, value in step.fields.items():
        if value.startswith("from "):
            source = answers.get(int(value.removeprefix("from ")))
            if source is None or number not in source.fields:
                continue
            value = source.fields[number]  # noqa: PLW2901 - the value that the words stand for
        fields[number] = value
    return Message(step.mti, fields)


def _answers(answer: Message, step: Step) -> bool:
    return answer.mti == mti.response(step.mti) and answer.fields.get(_STAN) == step.fields.get(
        _STAN
    )


def compare(
    expect: dict[str, str], answer: Message | None, answers: dict[int, Message]
) -> Iterator[str]:
    """What differs between an answer and its expectations, a line each."""
    if answer is None:
        yield "no answer"
        return
    for name, expected in expect.items():
        if name.startswith("arpc"):
            continue
        given = answer.mti if name == "mti" else answer.fields.get(int(name))
        if expected.startswith("same as "):
            source = answers.get(int(expected.removeprefix("same as ")))
            wanted = source.fields.get(int(name)) if source else None
        else:
            wanted = expected
        if not (given is not None if expected == "present" else given == wanted):
            yield f"{name}: expected {wanted}, got {given if name != str(_PAN) else 'another'}"
    if "arpc" in expect:
        yield from _compare_arpc(expect, answer)


def _compare_arpc(expect: dict[str, str], answer: Message) -> Iterator[str]:
    """Tag 91 is the response cryptogram, then the CSU or the ARC."""
    wanted = expect["arpc"] + expect.get("arpc_csu", "") + expect.get("arpc_arc", "")
    try:
        given = decode_ber(answer.fields.get(_ICC_DATA, "")).get("91")
    except TlvError as error:
        yield f"55: {error}"
        return
    if (expect["arpc"] == "absent") != (given is None) or (given is not None and given != wanted):
        yield f"55 tag 91: expected {wanted}, got {given}"
