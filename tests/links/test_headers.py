"""What stands before messages, byte by byte as peers send and read it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from specs.spec import load as load_spec
from switch.wire.message import Message, decode, encode
from tests.client import connected
from tests.links.conftest import locked
from tests.links.test_file_updates import block
from tests.process import PATIENCE_SECONDS, Switch
from tests.traffic import CardInHand, change, code, echo, purchase
from tests.typed import typed

POLLS = 10_000

#: Link → its dialect, bytes of its length header, a header that comes and the one that goes back.
#: The length in a Visa header is the message's.
HEADERS = {
    "tpdu": ("iso87-ascii", 2, "6000031234", "6012340003"),
    "fixed": ("iso87-ascii", 2, b"ISO026000070".hex(), b"ISO026000070".hex()),
    "scripted": ("iso87-ascii", 2, b"ISO026000070".hex(), b"ISO026000050".hex()),
    "tight": ("iso87-ascii", 2, b"ISO026000070".hex(), b"ISO026000070".hex()),
    "visa": ("visa-base1", 4, "160102LLLL123456654321a1b2b3c4c5c6d7e8e9eafb",
                                "160102LLLL654321123456a1b2b3c4c5c6d7e8e9eafb"),
}  # fmt: skip
each_link = pytest.mark.parametrize("link", [link for link in HEADERS if link != "tight"])


class Peer:
    """A peer that writes and reads every byte itself."""

    def __init__(
        self, link: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        dialect, self._size, self.header, self.expected = HEADERS[link]
        self.spec = load_spec(dialect)
        self.reader, self.writer = reader, writer

    def framed(self, payload: bytes, last: bytes = b"\0\0") -> bytes:
        """A length, and what it counts."""
        return (len(payload).to_bytes(2, "big") + last)[: self._size] + payload

    def frame(self, message: Message, header: str = "") -> bytes:
        """A message behind its header, behind its length."""
        entry_mode = message.fields.get(22)
        if entry_mode is not None and self.spec.fields[22].length == 4:
            message = change(message, de_22=f"{entry_mode}0")
        body = encode(message, self.spec)
        return self.framed(self._header(header or self.header, body) + body)

    def send(self, message: Message, header: str = "") -> None:
        """Send a message."""
        self.writer.write(self.frame(message, header))

    async def read(self) -> bytes:
        """The next frame without its length."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = await self.reader.readexactly(self._size)
            assert bytes(self._size - 2) == head[2:]
            return await self.reader.readexactly(int.from_bytes(head[:2], "big"))

    async def answer(self, header: str = "") -> Message:
        """The next message; its header is the one that is expected."""
        frame = await self.read()
        size = len(self.expected) // 2
        assert self._header(header or self.expected, frame[size:]).hex() == frame[:size].hex()
        return decode(frame[size:], self.spec)

    async def ask(self, message: Message) -> str:
        """The code that answers a message."""
        self.send(message)
        answer = await self.answer()
        assert message.fields[11] == answer.fields[11]  # nothing else was answered before
        return code(answer)

    @property
    def address(self) -> str:
        """Our own, as the log has it."""
        return "{}:{}".format(*self.writer.get_extra_info("sockname"))

    def _header(self, header: str, body: bytes) -> bytes:
        return bytes.fromhex(header.replace("LLLL", f"{len(header) // 2 + len(body):04x}"))


@contextlib.asynccontextmanager
async def peer(switch: Switch, link: str) -> AsyncIterator[Peer]:
    """A peer that is connected."""
    reader, writer = await asyncio.open_connection("127.0.0.1", switch.port(link))
    try:
        yield Peer(link, reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


#: How `switch replay` is told of these links.
REPLAYED = {
    "tpdu": ["--header", "tpdu", "--header-hex", "6000031234"],
    "fixed": ["--header", "fixed", "--header-hex", b"ISO026000070".hex()],
    "visa": ["--framing", "visa", "--header", "visa", "--dialect", "visa-base1"],
    "bcd": ["--framing", "2-bcd"],
    "byte4": ["--framing", "4-byte-inclusive"],
}


@pytest.mark.parametrize("link", REPLAYED)
def test_a_replay(switch: Switch, link: str, tmp_path: Path) -> None:
    """`switch replay` plays a scenario behind any header and in any framing."""
    asked = echo()
    row = {"mti": asked.mti, "fields": asked.fields, "expect": {"mti": "0810", "39": "00"}}
    scenario = tmp_path / "echo.jsonl"
    scenario.write_text(json.dumps(row))
    words = ["--to", f"127.0.0.1:{switch.port(link)}", *REPLAYED[link]]
    played = typed("replay", str(scenario), *words)
    assert "1 right, 0 different, 0 sent and not compared" in played.output


@pytest.mark.parametrize("words", ["--header fixed", "--header tpdu --header-hex 6"])
def test_a_replay_with_half_a_header(words: str, tmp_path: Path) -> None:
    """A header that cannot be is refused in one line before anything is sent."""
    scenario = tmp_path / "none.jsonl"
    scenario.write_text("")
    refused = typed("replay", str(scenario), *words.split())
    assert 1 == refused.exit_code
    assert 1 == refused.output.count("\n")
    assert "header" in refused.output


@each_link
async def test_a_purchase(switch: Switch, cards: list[CardInHand], link: str) -> None:
    """A purchase and an echo are answered behind the header that belongs to theirs."""
    number = 180 + list(HEADERS).index(link)
    async with peer(switch, link) as one:
        assert "00" == await one.ask(purchase(cards[number]))
        assert "00" == await one.ask(echo())


async def test_each_answer_has_its_own_header(switch: Switch, cards: list[CardInHand]) -> None:
    """An answer that overtakes another goes to the source of its own request."""
    async with peer(switch, "tpdu") as one:
        async with locked(switch, cards[184]):
            one.send(purchase(cards[184]), "6000010001")
            one.send(purchase(cards[185]), "6000010002")
            assert "00" == code(await one.answer("6000020001"))
        assert "00" == code(await one.answer("6000010001"))


@each_link
async def test_byte_by_byte(switch: Switch, link: str) -> None:
    """However its bytes are split, a message behind a header is answered once."""
    async with peer(switch, link) as one:
        for byte in one.frame(echo()):
            one.writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert "00" == code(await one.answer())
        assert "00" == await one.ask(echo())


@each_link
async def test_a_frame_without_room_for_its_header(switch: Switch, link: str) -> None:
    """It is logged with its place and not answered; the link lives on."""
    async with peer(switch, link) as one:
        one.writer.write(one.framed(bytes.fromhex("1601")))
        assert "00" == await one.ask(echo())
        line = switch.wait_for("message_error", link=link, peer=one.address)
        assert ("header", "short", 2, 2) == tuple(
            line[name] for name in ("field", "problem", "offset", "length")
        )


async def test_a_rejected_message(switch: Switch) -> None:
    """A message of ours that Visa rejects is logged with its code, and is not answered."""
    header = "1a810101312416160000000100004100000001000000800001341601020117000000241616"
    async with peer(switch, "visa") as one:
        body = encode(echo(), one.spec)
        one.writer.write(one.framed(bytes.fromhex(header + "011000400000000100b900") + body))
        assert "00" == await one.ask(echo())
        switch.wait_for("message_rejected", link="visa", peer=one.address, problem="0134")


async def test_a_request_of_ours(switch: Switch, cards: list[CardInHand]) -> None:
    """What we ask has the configured header, and the answer behind its own is taken."""
    async with peer(switch, "tpdu") as one:
        await block(switch, cards[188], "tpdu")
        asked = await one.answer("6000120034")
        echoed = {number: asked.fields[number] for number in (7, 11, 91, 101)}
        one.send(Message("0312", dict(sorted({**echoed, 39: "00"}.items()))), "6000340012")
        switch.wait_for("file_update_accepted", link="tpdu")
    assert ("0302", "BLOCKED") == (asked.mti, asked.fields[101])


async def test_an_answer_that_is_too_long(switch: Switch) -> None:
    """An answer over frame_max is not written, and the log says so; the link lives on."""
    async with peer(switch, "tight") as one:
        for _ in range(2):
            asked = echo()
            assert 67 <= 12 + len(encode(asked, one.spec)) <= 68
            one.send(asked)
            switch.wait_for("message", link="tight", stan=asked.fields[11], outcome="too_long")


async def test_session_control(switch: Switch) -> None:
    """A frame of the session is not answered, even where its bytes would be a message."""
    async with peer(switch, "visa") as one:
        asked = one.frame(echo())
        one.writer.write(asked[:3] + b"\x20" + asked[4:])
        assert "00" == await one.ask(echo())
        assert [] == switch.lines("message_error", peer=one.address)


async def test_a_storm_of_polls(switch: Switch, cards: list[CardInHand]) -> None:
    """Ten thousand polls come back as they came, and meanwhile others are answered in time."""
    poll = b"\0\0\0\0"
    async with peer(switch, "visa") as stormy, connected(switch.port()) as neighbour:
        stormy.writer.write(poll * POLLS)
        stormy.send(purchase(cards[186]))
        assert "00" == code(await neighbour.ask(purchase(cards[187])))
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert poll * POLLS == await stormy.reader.readexactly(len(poll) * POLLS)
        assert "00" == code(await stormy.answer())


async def test_polls_of_a_peer_that_reads_nothing(switch: Switch) -> None:
    """Who polls and never reads is not read from: what waits for it has an end."""
    polls = bytes(64 * 1024)
    async with peer(switch, "visa") as deaf:
        deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
        taken = 0
        with contextlib.suppress(TimeoutError):
            while taken < 1024:
                deaf.writer.write(polls)
                async with asyncio.timeout(2):
                    await deaf.writer.drain()
                taken += 1
        assert taken < 1024
        switch.wait_for("peer_not_reading", peer=deaf.address)
