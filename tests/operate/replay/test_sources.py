"""Recordings of every kind, read as the same steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest

from specs.spec import load as load_spec
from switch.operate.replay import ReplayError
from switch.operate.replay.scenario import Step, form_of
from switch.operate.replay.sources import read
from switch.wire.frame import Framing
from switch.wire.message import Message, encode
from tests.operate.replay.test_capture import FIRST, frame, written
from tests.traffic import GOLDEN, PLAIN, purchase

ASCII, FORM, FRAMING = load_spec("iso87-ascii"), form_of("2-byte"), Framing.parse("2-byte")
ASKED = [purchase(PLAIN, de_11=f"{number:06d}") for number in range(1, 4)]


def answer(asked: Message, code: str) -> Message:
    """The answer of a switch to that."""
    return Message("0110", {n: asked.fields[n] for n in (3, 4, 7, 11)} | {39: code})


def framed(*messages: Message) -> bytes:
    """One after the other."""
    return b"".join(FRAMING.frame(encode(each, ASCII)) for each in messages)


def talk(*turns: tuple[bool, bytes], port: int = 40_000) -> list[bytes]:
    """A connection whose sides send in turn: whether the client does, and what."""
    sent = {True: 0, False: 0}
    frames = [frame(FIRST - 1, b"", flags=dpkt.tcp.TH_SYN, port=port)]
    frames.append(
        frame(FIRST - 1, b"", flags=dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK, from_client=False, port=port)
    )
    for is_client, data in turns:
        frames.append(frame(FIRST + sent[is_client], data, from_client=is_client, port=port))
        sent[is_client] += len(data)
    return frames


def of(steps: list[Step]) -> list[tuple[str, dict[str, str] | None]]:
    """STAN and expectation of each."""
    return [(step.fields[11], step.expect) for step in steps]


WRITERS = {"pcap": dpkt.pcap.Writer, "pcapng": dpkt.pcapng.Writer}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_capture_has_both_sides(tmp_path: Path, writer: Callable[..., dpkt.pcap.Writer]) -> None:
    """What the client sent is played, at its times; what it was answered is expected."""
    one, two, three = ASKED
    begin, end = framed(two)[:9], framed(two)[9:]
    frames = talk(
        (True, framed(one) + begin),
        (True, end + framed(three)),
        (False, framed(answer(three, "51"), Message("0800", {11: "000001", 70: "301"}))),
        (False, framed(answer(one, "00"))),
    )
    steps = read(written(tmp_path / "any", frames, writer), ASCII, FORM)
    amount = {"4": one.fields[4]}
    assert [
        ("000001", {"mti": "0110", "39": "00"} | amount),
        ("000002", None),
        ("000003", {"mti": "0110", "39": "51"} | amount),
    ] == of(steps)
    assert [2.0, 3.0, 3.0] == [step.at for step in steps]
    assert [encode(each, ASCII) for each in ASKED] == [step.payload for step in steps]


def test_a_completion_is_known_by_the_code_it_brings(tmp_path: Path) -> None:
    """Its DE38 is that of an earlier answer for the same card."""
    one, *_ = ASKED
    approved = Message("0110", {**answer(one, "00").fields, 38: "A1B2C3", 39: "00"})
    approved = Message("0110", dict(sorted(approved.fields.items())))
    later = [purchase(PLAIN, mti="0220", de_38=code) for code in ("A1B2C3", "ZZZZZZ")]
    later = [Message("0220", dict(sorted(each.fields.items()))) for each in later]
    frames = talk((True, framed(one)), (False, framed(approved)), (True, framed(*later)))
    steps = read(written(tmp_path / "a.pcap", frames), ASCII, FORM)
    assert [None, 1, None] == [step.code_from for step in steps]


def test_every_connection_of_a_capture_is_played(tmp_path: Path) -> None:
    """Steps of several connections stand in the order of their times, each with its own answer."""
    one, two, _ = ASKED
    mine = talk((True, framed(one)), (False, framed(answer(one, "00"))))
    other = talk((True, framed(two, one)), (False, framed(answer(one, "05"))), port=40_001)
    frames = [each for pair in zip(mine, other, strict=True) for each in pair]
    steps = read(written(tmp_path / "a.pcap", frames), ASCII, FORM)
    assert [(0, "000001"), (1, "000002"), (1, "000001")] == [
        (step.connection, step.fields[11]) for step in steps
    ]
    assert ["00", None, "05"] == [(step.expect or {}).get("39") for step in steps]


def test_ports_that_are_used_again_are_another_connection(tmp_path: Path) -> None:
    """A second opening between the same ports begins anew; one that was sent again does not."""
    first = talk((True, framed(ASKED[0])))
    again = [frame(77, b"", flags=dpkt.tcp.TH_SYN), frame(78, framed(ASKED[1]))]
    path = written(tmp_path / "a.pcap", [first[0], *first, *again])
    assert [0, 1] == [step.connection for step in read(path, ASCII, FORM)]


def test_an_unreadable_answer_is_no_expectation(tmp_path: Path) -> None:
    """What the server sent only tells what to expect: nonsense of its side ends nothing."""
    frames = talk((True, framed(ASKED[0])), (False, b"\xff\xff\xff"))
    assert [("000001", None)] == of(read(written(tmp_path / "a.pcap", frames), ASCII, FORM))


def test_lines_of_hex(tmp_path: Path) -> None:
    """A message a line, without its frame; blank lines and remarks are passed over."""
    lines = ["# two purchases", encode(ASKED[0], ASCII).hex(), "", encode(ASKED[1], ASCII).hex()]
    for name in ("a.hex", "a.txt"):
        path = tmp_path / name
        path.write_text("\n".join(lines))
        assert [("000001", None), ("000002", None)] == of(read(path, ASCII, FORM))


@pytest.mark.parametrize(("line", "said"), [("3038zz", "not hex"), ("30", "mti"), ("é", "not hex")])
def test_a_line_that_is_no_message_is_named(tmp_path: Path, line: str, said: str) -> None:
    """Its number, and what is wrong."""
    path = tmp_path / "a.hex"
    path.write_text(f"{encode(ASKED[0], ASCII).hex()}\n{line}\n")
    with pytest.raises(ReplayError, match=f"line 2: .*{said}"):
        read(path, ASCII, FORM)


def test_content_goes_before_a_name(tmp_path: Path) -> None:
    """A capture and a scenario are known whatever they are called."""
    capture = tmp_path / "capture.jsonl"
    capture.write_bytes((GOLDEN / "scenario.pcap").read_bytes())
    scenario = tmp_path / "scenario"
    scenario.write_text(json.dumps({"mti": "0800", "fields": {"11": "000001"}, "at": 1.5}))
    assert 73 == len(read(capture, ASCII, FORM))
    (step,) = read(scenario, ASCII, FORM)
    assert ("0800", 1.5) == (step.mti, step.at)


def test_the_demos_capture_has_its_times() -> None:
    """Its messages stand in order, and none before the first."""
    steps = read(GOLDEN / "scenario.pcap", ASCII, FORM)
    times = [step.at for step in steps if step.at is not None]
    assert (73, sorted(times)) == (len(times), times)
