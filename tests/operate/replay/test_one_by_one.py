"""The replayer: what it sends, how it compares, and how it fails."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from specs.spec import load as load_spec
from switch.operate.replay import ReplayError
from switch.operate.replay.one_by_one import Player, Result, compare
from switch.operate.replay.scenario import form_of, read_scenario
from switch.operate.replay.sources import read_capture
from switch.wire import mti
from switch.wire.frame import Framing
from switch.wire.message import Message, decode, encode
from tests.traffic import GOLDEN

ASCII = load_spec("iso87-ascii")
FRAMING = Framing.parse("2-byte")


def answer(**fields: str) -> Message:
    """An answer with these fields."""
    return Message("0110", {int(name.removeprefix("de_")): value for name, value in fields.items()})


#: Expected, and how it compares with an approval (DE39 00, DE38 123456) and answer 1 before it.
COMPARISONS: list[tuple[dict[str, str], list[str]]] = [
    ({"mti": "0110", "39": "00"}, []),
    ({"mti": "0130"},             ["mti: expected 0130, got 0110"]),
    ({"39": "51"},                ["39: expected 51, got 00"]),
    ({"38": "present"},           []),
    ({"54": "present"},           ["54: expected present, got None"]),
    ({"38": "same as 1"},         []),
    ({"39": "same as 1"},         ["39: expected 91, got 00"]),
    ({"38": "same as 2"},         ["38: expected None, got 123456"]),
    ({"arpc": "absent"},          []),
    ({"arpc": "AB", "arpc_csu": "CD"}, ["55 tag 91: expected ABCD, got None"]),
]  # fmt: skip


@pytest.mark.parametrize(("expect", "differences"), COMPARISONS)
def test_an_answer_is_compared_with_what_is_expected(
    expect: dict[str, str], differences: list[str]
) -> None:
    """Each expectation that is not met is told with what came instead."""
    given = answer(de_39="00", de_38="123456")
    before = {1: answer(de_39="91", de_38="123456")}
    assert differences == list(compare(expect, given, before))


def test_no_answer_is_a_difference() -> None:
    """A message that got no answer differs from every expectation."""
    assert ["no answer"] == list(compare({"39": "00"}, None, {}))


def test_a_response_cryptogram_is_found_in_tag_91() -> None:
    """The ARPC is expected before the CSU or the ARC in tag 91 of DE55."""
    given = answer(de_55="9108A144DB0B00820000")
    assert [] == list(compare({"arpc": "A144DB0B", "arpc_csu": "00820000"}, given, {}))
    (difference,) = compare({"arpc": "absent"}, given, {})
    assert difference.startswith("55 tag 91: expected absent")
    (difference,) = compare({"arpc": "absent"}, answer(de_55="91"), {})
    assert difference.startswith("55: ")


def scenario(path: Path, *rows: dict[str, Any]) -> Path:
    """A scenario of these rows."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


BAD_ROWS = ['{"mti"', "[1]", "7", '{"fields": {"x": "1"}}', '{"fields": [1]}', '{"hex": "0"}',
            '{"fields": {"2": 7}}']  # fmt: skip


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, row: str) -> None:
    """A scenario that cannot be read says which line it is."""
    path = tmp_path / "bad.jsonl"
    path.write_text(f'{{"mti": "0800"}}\n{row}\n')
    with pytest.raises(ReplayError, match=r"bad\.jsonl: line 2: "):
        read_scenario(path, ASCII)


def test_a_capture_takes_its_expectations_from_the_scenario_beside_it(tmp_path: Path) -> None:
    """Messages of a capture are those of the scenario with the same bytes; others stand alone."""
    beside = read_capture(GOLDEN / "scenario.pcap", ASCII, form_of("2-byte"), None)
    assert 73 == len(beside)
    assert all(step.expect for step in beside)
    alone = tmp_path / "alone.pcap"
    alone.write_bytes((GOLDEN / "scenario.pcap").read_bytes())
    assert {None} == {step.expect for step in read_capture(alone, ASCII, form_of("2-byte"), None)}
    given = read_capture(alone, ASCII, form_of("2-byte"), GOLDEN / "scenario.jsonl")
    assert [step.number for step in beside] == [step.number for step in given]


@pytest.mark.parametrize(("framing", "said"), [("4-ascii", "length_not_digits"), ("x", "framing")])
def test_a_capture_in_another_framing_is_refused(framing: str, said: str) -> None:
    """A capture that is not framed as said is an error, no run of garbage."""
    with pytest.raises(ReplayError, match=said):
        read_capture(GOLDEN / "scenario.pcap", ASCII, form_of(framing), None)


@contextlib.asynccontextmanager
async def issuer(*codes: str) -> AsyncIterator[tuple[str, list[Message]]]:
    """A link that answers with these DE39 in turn, "" is silence, "x" closes; what it heard."""
    heard: list[Message] = []
    turns, ended = iter(codes), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                length = int.from_bytes(await reader.readexactly(2), "big")
                request = decode(await reader.readexactly(length), ASCII)
                heard.append(request)
                if (code := next(turns)) == "x":
                    break
                if code:
                    fields = {11: request.fields[11], 39: code, 38: f"{len(heard):06d}"}
                    reply = Message(mti.response(request.mti), fields)
                    unasked = Message("0810", {11: "999999", 39: "00"})
                    for each in (unasked, reply):
                        writer.write(FRAMING.frame(encode(each, ASCII)))
                    writer.write(FRAMING.frame(b""))
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()), heard
    finally:
        server.close()
        if heard:
            await ended.wait()


async def play(address: str, path: Path, *only: str) -> Result:
    """Play a scenario against an address."""
    player = Player(address, ASCII, form_of("2-byte"), timeout=0.3)
    return await player.play(read_scenario(path, ASCII), only=only)


ROW: dict[str, Any] = {"mti": "0100", "fields": {"11": "000001"}, "expect": {"39": "00"}}


async def test_answers_are_taken_by_stan_and_compared(tmp_path: Path) -> None:
    """What was not asked for is passed over; right, different and silent are counted."""
    rows = [ROW, ROW | {"fields": {"11": "000002"}}, ROW, ROW | {"expect": None}]
    async with issuer("00", "51", "", "00") as (address, _):
        result = await play(address, scenario(tmp_path / "a.jsonl", *rows))
    assert "1 right, 2 different, 1 sent and not compared" == result.summary
    assert ["39: expected 00, got 51", "no answer"] == [
        line.strip() for line in result.lines if line.startswith("     ")
    ]


async def test_a_value_may_come_from_an_earlier_answer(tmp_path: Path) -> None:
    """`from N` stands for the same field of answer N, and is left out where there is none."""
    rows = [
        ROW | {"id": 7},
        ROW | {"fields": {"11": "000002", "38": "from 7"}},
        ROW | {"fields": {"11": "000003", "38": "from 9"}},
    ]
    async with issuer("00", "00", "00") as (address, heard):
        await play(address, scenario(tmp_path / "a.jsonl", *rows))
    assert [None, "000001", None] == [request.fields.get(38) for request in heard]


async def test_only_the_chosen_classes_are_compared(tmp_path: Path) -> None:
    """All is sent; what is not among the chosen MTIs is not compared."""
    rows = [ROW, {"mti": "0800", "fields": {"11": "000002", "70": "301"}, "expect": {"39": "00"}}]
    async with issuer("51", "00") as (address, heard):
        result = await play(address, scenario(tmp_path / "a.jsonl", *rows), "0800")
    assert "1 right, 0 different, 1 sent and not compared" == result.summary
    assert ["0100", "0800"] == [request.mti for request in heard]


async def test_a_response_in_a_recording_is_sent_and_not_waited_for(tmp_path: Path) -> None:
    """A recorded answer to somebody's request gets no answer itself."""
    rows = [{"mti": "0810", "fields": {"11": "000001"}}, ROW]
    async with issuer("", "00") as (address, _):
        result = await play(address, scenario(tmp_path / "a.jsonl", *rows))
    assert "1 right, 0 different, 1 sent and not compared" == result.summary


async def test_a_link_that_closes_ends_the_replay(tmp_path: Path) -> None:
    """A link that is closed in the middle is named with the message it happened at."""
    async with issuer("00", "x") as (address, _):
        with pytest.raises(ReplayError, match="message 2: the link was closed"):
            await play(address, scenario(tmp_path / "a.jsonl", ROW, ROW))


async def test_a_message_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Fields that no dialect allows end the replay with the field's name, and no value."""
    row = {"mti": "0100", "fields": {"4": "1x"}}
    async with issuer("00") as (address, _):
        with pytest.raises(ReplayError, match=r"message 1: .*amount_transaction") as raised:
            await play(address, scenario(tmp_path / "a.jsonl", row))
    assert "1x" not in str(raised.value)


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1", ":8583", "127.0.0.1:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    """An address without host or port is an error that says what to give."""
    with pytest.raises(ReplayError, match="give host:port"):
        Player(address, ASCII, form_of("2-byte"), timeout=1)
