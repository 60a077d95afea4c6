"""Plays recorded messages against a link, one after the other, and compares the answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from specs.spec import Spec
from specs.tlv import TlvError, decode_ber
from switch.wire import mti
from switch.wire.conversation import Event, Format, Malformed, Receiver
from switch.wire.error import FrameError
from switch.wire.frame import Framing
from switch.wire.header import HeaderError, Opened, header_of
from switch.wire.message import Message, MessageError, decode, encode

_STAN, _ICC_DATA, _PAN = 11, 55, 2
_BINARY = "0x"


class ReplayError(Exception):
    """A recording or a link cannot be used: says which and why in one line."""


@dataclass(frozen=True, slots=True)
class Step:
    """One message to send, and what its answer should be."""

    number: int
    note: str
    mti: str
    fields: dict[int, str] = field(repr=False)  #: a value may be "from N": of that answer
    payload: bytes | None = field(repr=False)  #: as recorded; none where it must be encoded
    expect: dict[str, str] | None  #: none: nothing to compare with


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


def read_scenario(path: Path, spec: Spec) -> list[Step]:
    """Read a scenario: one JSON object a line, with fields, expectations and bytes."""
    return [_step(number, row, path) for number, row in _rows(path)]


def read_capture(path: Path, spec: Spec, form: Format, expect: Path | None) -> list[Step]:
    """Read what the client sent in a capture; expectations come from a scenario with those bytes.

    Without `expect` a scenario of the same name beside the capture is taken.
    """
    # Imported where it is used: dpkt would cost every command a tenth of a second.
    from switch.operate.capture import CaptureError, client_bytes

    beside = path.with_suffix(".jsonl")
    scenario = expect or (beside if beside.is_file() else None)
    known = {step.payload: step for step in (read_scenario(scenario, spec) if scenario else [])}
    try:
        payloads = list(_messages(Receiver(form).receive(client_bytes(path))))
    except (CaptureError, FrameError, HeaderError) as error:
        raise ReplayError(f"{path}: {error}") from None
    steps = []
    for number, payload in enumerate(payloads, start=1):
        step = known.get(payload)
        if step is None:
            message = _readable(payload, spec, f"{path}: message {number}")
            fields = dict(message.fields)
            step = Step(number, "", message.mti, fields, payload, None)
        steps.append(step)
    return steps


def form_of(framing: str, header: str = "none", header_hex: str = "") -> Format:
    """A link's framing and header, as its settings name them; raises `ReplayError`."""
    try:
        ours = bytes.fromhex(header_hex)
    except ValueError:
        raise ReplayError("the header must be hex") from None
    if header == "fixed" and not ours:
        raise ReplayError("a fixed header needs its bytes")
    try:
        return Format(Framing.parse(framing), header_of(header, ours))
    except ValueError as error:
        raise ReplayError(str(error)) from None


def _messages(events: Iterable[Event]) -> Iterator[bytes]:
    """What is a message among the events of a link; raises `HeaderError`."""
    for event in events:
        if isinstance(event, Malformed):
            raise HeaderError(event.problem, event.offset)
        if isinstance(event, Opened):
            yield event.message


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            row = orjson.loads(line)
            yield number, {"fields": {}, "mti": "", **row}
        except (ValueError, TypeError):
            raise ReplayError(f"{path}: line {number}: not a JSON object") from None


def _step(number: int, row: dict[str, Any], path: Path) -> Step:
    try:
        return Step(
            number=row.get("id", number),
            note=row.get("note", ""),
            mti=row["mti"],
            fields={int(de): _plain(value) for de, value in row["fields"].items()},
            payload=bytes.fromhex(row["hex"]) if row.get("hex") else None,
            expect=row.get("expect"),
        )
    except (ValueError, TypeError, AttributeError):
        raise ReplayError(f"{path}: line {number}: fields or hex are not a message's") from None


def _plain(value: str) -> str:
    """Binary is marked `0x` in a scenario and stands as hex in a message."""
    return value.removeprefix(_BINARY)


def _readable(payload: bytes, spec: Spec, where: str) -> Message:
    try:
        return decode(payload, spec)
    except MessageError as error:
        raise ReplayError(f"{where}: {error}") from None


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
                    for message in _messages(receiver.receive(data)):
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
