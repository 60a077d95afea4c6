"""
Recordings: packet captures, scenarios, lines of hex, all read as the steps of one sequence.

What a file is, its first bytes say; where they do not, its name.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

from specs.spec import Spec
from switch.operate.replay.error import ReplayError
from switch.operate.replay.scenario import Step, messages_of, read_scenario
from switch.wire import mti
from switch.wire.conversation import Format, Receiver
from switch.wire.error import FrameError
from switch.wire.header import HeaderError
from switch.wire.message import Message, MessageError, decode
from switch.wire.versions import version_of

_PAN, _STAN, _AUTHORIZATION_CODE, _CODE = 2, 11, 38, 39
#: What an answer may have otherwise than its request, beside DE39: less than was asked for.
_AMOUNTS = (4, 6)

_Timed = tuple[float, bytes]
_Known = dict[bytes | None, Step]


def read(path: Path, spec: Spec, form: Format, scenario: Path | None = None) -> list[Step]:
    """Read a recording of any kind. Raises `ReplayError` naming the file and the place in it.

    Expectations come from the scenario that is given, else from one of the same name beside
    the recording, else from the answers in a capture.
    """
    # Imported where it is used: dpkt would cost every command a tenth of a second.
    from switch.operate.replay.capture import MAGIC

    begin = _first_bytes(path)
    if begin.startswith(MAGIC):
        return read_capture(path, spec, form, scenario)
    if path.suffix == ".jsonl" or begin.lstrip().startswith(b"{"):
        return read_scenario(path, spec)
    if path.suffix in (".hex", ".txt"):
        return _read_hex(path, spec, _known(path, scenario, spec))
    return read_capture(path, spec, form, scenario)


def read_capture(path: Path, spec: Spec, form: Format, scenario: Path | None) -> list[Step]:
    """Read what the clients of a capture's connections sent, in the order of its times."""
    from switch.operate.replay.capture import CaptureError, Connection, Piece, connections

    known = _known(path, scenario, spec)

    def messages(pieces: Sequence[Piece]) -> Iterator[_Timed]:
        receiver = Receiver(form)
        for at, data in pieces:
            yield from ((at, message) for message in messages_of(receiver.receive(data)))

    def of_client(connection: Connection) -> list[_Timed]:
        return list(messages(connection.client))

    def of_server(connection: Connection) -> Iterator[Message]:
        """Its answers, up to what cannot be read: they are expectations and no more."""
        with contextlib.suppress(FrameError, HeaderError, MessageError):
            for _, payload in messages(connection.server):
                yield decode(payload, spec)

    steps: list[Step] = []
    try:
        for place, connection in enumerate(connections(path)):
            where = f"{path}: message"
            own = [
                dataclasses.replace(
                    _step(number, payload, spec, known, where), at=at, connection=place
                )
                for number, (at, payload) in enumerate(of_client(connection), len(steps) + 1)
            ]
            steps += _with_answers(own, of_server(connection), spec)
    except (CaptureError, FrameError, HeaderError) as error:
        raise ReplayError(f"{path}: {error}") from None
    return sorted(steps, key=lambda step: step.at or 0.0)


def _with_answers(steps: list[Step], answers: Iterator[Message], spec: Spec) -> list[Step]:
    """The same steps: those of which nothing is expected expect what was answered then."""
    moment = version_of(spec).moment
    asked: dict[tuple[str, str | None], list[int]] = {}
    for place, step in enumerate(steps):
        if mti.is_request(step.mti):
            key = (mti.response(step.mti), step.fields.get(_STAN))
            asked.setdefault(key, []).append(place)
    given: dict[tuple[str | None, str], int] = {}  # authorization codes: whose answer had them
    for answer in answers:
        waiting = asked.get((answer.mti, answer.fields.get(_STAN)), [])
        for place in waiting:
            step = steps[place]
            if answer.fields.get(moment) in (None, step.fields.get(moment)):
                waiting.remove(place)
                if code := answer.fields.get(_AUTHORIZATION_CODE):
                    given[step.fields.get(_PAN), code] = step.number
                if step.expect is None:
                    steps[place] = dataclasses.replace(step, expect=_expected(answer))
                break
    return [
        dataclasses.replace(step, code_from=given.get((step.fields.get(_PAN), code)))
        if (code := step.fields.get(_AUTHORIZATION_CODE))
        else step
        for step in steps
    ]


def _expected(answer: Message) -> dict[str, str]:
    compared = (number for number in (_CODE, *_AMOUNTS) if number in answer.fields)
    return {"mti": answer.mti, **{str(number): answer.fields[number] for number in compared}}


def _read_hex(path: Path, spec: Spec, known: _Known) -> list[Step]:
    """Messages as lines of hex without their frames, as `switch describe` reads them."""
    steps = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(b"#"):
            continue
        where = f"{path}: line"
        try:
            payload = bytes.fromhex(line.decode("ascii"))
        except ValueError:
            raise ReplayError(f"{where} {number}: not hex") from None
        steps.append(_step(number, payload, spec, known, where))
    return steps


def _step(number: int, payload: bytes, spec: Spec, known: _Known, where: str) -> Step:
    step = known.get(payload)
    if step is not None:
        return step
    try:
        message = decode(payload, spec)
    except MessageError as error:
        raise ReplayError(f"{where} {number}: {error}") from None
    return Step(number, "", message.mti, dict(message.fields), payload, None)


def _known(path: Path, scenario: Path | None, spec: Spec) -> _Known:
    """The steps of the scenario that says what is expected, by their bytes."""
    beside = path.with_suffix(".jsonl")
    if scenario is None and beside != path and beside.is_file():
        scenario = beside
    return {step.payload: step for step in (read_scenario(scenario, spec) if scenario else [])}


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise ReplayError(f"{path}: {error.strerror}") from None
