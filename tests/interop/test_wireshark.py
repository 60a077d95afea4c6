"""Wireshark's own dissector reads what we answer."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dpkt
import pytest

from switch.wire.message import Message, encode
from tests.client import all_of, connected
from tests.process import PATIENCE_SECONDS, Switch
from tests.traffic import chip, code, echo, load_card, purchase, stripe

PORT, PEER = 8583, 50_000
#: How the dissector is told of a dialect: its digits, its binary values.
WORDS = {
    "iso87-ascii": (
        "Digits represented as ASCII Characters", "Bin data represented as Hex Ascii characters",
    ),
    "iso87-binary": ("Digits represented in nibbles", "Bin data not encoded"),
}  # fmt: skip


def captured(path: Path, frames: list[tuple[bool, bytes]]) -> None:
    """Write a conversation over one TCP connection as a capture; true is from the peer."""
    sent = {True: 1, False: 1}
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number, (from_peer, data) in enumerate(frames):
            tcp = dpkt.tcp.TCP(
                sport=PEER if from_peer else PORT, dport=PORT if from_peer else PEER,
                seq=sent[from_peer], ack=sent[not from_peer],
                flags=dpkt.tcp.TH_ACK | dpkt.tcp.TH_PUSH, data=data,
            )  # fmt: skip
            sent[from_peer] += len(data)
            address = b"\x7f\x00\x00\x01"
            ip = dpkt.ip.IP(
                src=address, dst=address, p=dpkt.ip.IP_PROTO_TCP, data=tcp, len=40 + len(data)
            )
            ethernet = dpkt.ethernet.Ethernet(data=ip, type=dpkt.ethernet.ETH_TYPE_IP)
            writer.writepkt(bytes(ethernet), ts=float(number))


def dissected(path: Path, dialect: str) -> list[dict[str, Any]]:
    """What tshark says of each packet, by layer."""
    charset, binary = WORDS[dialect]
    ran = subprocess.run(
        ["tshark", "-r", str(path), "-d", f"tcp.port=={PORT},iso8583", "-T", "json",
         "-o", "iso8583.len_endian:Big endian", "-o", f"iso8583.charset:{charset}",
         "-o", f"iso8583.binencode:{binary}"],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True,
    )  # fmt: skip
    return [packet["_source"]["layers"] for packet in json.loads(ran.stdout)]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="NOT SHOWN: tshark is not installed")
@pytest.mark.parametrize(("link", "dialect"), [("demo", "iso87-ascii"), ("packed", "iso87-binary")])
async def test_wireshark_reads_our_answers(
    switch: Switch, tmp_path: Path, link: str, dialect: str
) -> None:
    """An echo, an approval with a chip's answer, a decline and a balance are read without error."""
    card = load_card(2 + list(WORDS).index(dialect))
    requests: list[Message] = [
        echo(), chip(card), stripe(card, pin="9999"), purchase(card, 0, de_3="310000"),
    ]  # fmt: skip
    async with connected(switch.port(link), dialect=dialect) as client:
        answers = await all_of([client.send(each) for each in requests])
        frames = [(True, client.framing.frame(encode(each, client.spec))) for each in requests]
        frames += [(False, client.framing.frame(each)) for each in client.frames]
    assert ["00", "00", "55", "00"] == [code(answer) for answer in answers]
    captured(tmp_path / "answers.pcap", frames)
    packets = dissected(tmp_path / "answers.pcap", dialect)[len(requests) :]
    assert len(answers) == len(packets)
    assert "_ws." not in json.dumps(packets), "malformed, or an expert's word"
    assert answers_by_stan(client.answers) == answers_by_stan(map(read, packets))


def read(packet: dict[str, Any]) -> Message:
    """The message as the dissector read it."""
    told = packet["iso8583"]
    fields = {
        int(name.removeprefix("iso8583.bit")): text.replace(":", "").upper()
        for name, text in told.items()
        if name.startswith("iso8583.bit")
    }
    return Message(told["iso8583.mti"], fields)


def answers_by_stan(answers: Iterable[Message]) -> dict[str, tuple[str, dict[int, str]]]:
    """Each answer by its number."""
    return {each.fields[11]: (each.mti, dict(each.fields)) for each in answers}
