"""What a peer may send that is no message: the link lives on, or closes alone."""

from __future__ import annotations

import pytest

from specs.spec import load as load_spec
from switch.wire.message import Message, encode
from tests.client import connected
from tests.process import Switch
from tests.traffic import PLAIN, CardInHand, change, chip, code, echo, ecommerce, purchase

ASCII = load_spec("iso87-ascii")


def raw(message: Message) -> bytes:
    """The bytes of a message in ASCII."""
    return encode(message, ASCII)


def spoiled(message: Message, old: bytes, new: bytes) -> bytes:
    """The bytes of a message of which one part is another."""
    data = raw(message)
    assert 1 == data.count(old)
    return data.replace(old, new)


def with_bitmap(bitmap: bytes) -> bytes:
    """A 0100 whose bitmap says what does not follow."""
    return b"0100" + bitmap + raw(purchase(PLAIN))[20:]


BLOCK = PLAIN.pin_block()

SILENT = {
    "one byte": b"0",
    "MTI alone": b"0100",
    "no digits": b"GET / HTTP/1.1\r\nHost: switch\r\n\r\n",
    "zeros": bytes(100),
    "all ones": b"\xff" * 100,
    "bitmap cut off": b"01007234",
    "bitmap not hex": with_bitmap(b"Z" * 16),
    "third bitmap": with_bitmap(b"F" * 16 + b"F" * 16),
    "cut off before DE7": raw(purchase(PLAIN))[:40],
    "binary dialect": encode(purchase(PLAIN), load_spec("iso87-binary")),
}  # fmt: skip

REFUSED = {
    "cut off":             raw(purchase(PLAIN))[:-7],
    "trailing bytes":      raw(purchase(PLAIN)) + b"00",
    "amount not digits":   spoiled(purchase(PLAIN, 424242), b"000000424242", b"00000042424X"),
    "PIN block not hex":   spoiled(purchase(PLAIN, de_52=BLOCK), BLOCK.encode(), b"X" * 16),
    "currency missing":    raw(purchase(PLAIN, de_49=None)),
    "PAN missing":         raw(purchase(PLAIN, de_2=None)),
    "month 13":            raw(purchase(PLAIN, de_14="3013")),
    "PAN is not track's":  raw(purchase(PLAIN, de_35="4761739000000020=30122011038562500")),
    "track 2 is none":     raw(purchase(PLAIN, de_35="4761739000000012")),
    "tag that lies":       raw(change(chip(PLAIN), de_55="9F26FF00")),
    "tag without length":  raw(change(chip(PLAIN), de_55="9F26")),
    "DE48 that lies":      raw(change(ecommerce(PLAIN), de_48="9299123")),
    "length not digits":   spoiled(ecommerce(PLAIN), b"0079203", b"0X79203"),
    "echo without DE70":   raw(change(echo(), de_70=None)),
}  # fmt: skip


@pytest.mark.parametrize("payload", SILENT.values(), ids=SILENT)
async def test_what_cannot_be_addressed_is_not_answered(switch: Switch, payload: bytes) -> None:
    """Bytes without an MTI, DE7 and DE11 get no answer, and the link lives on."""
    async with connected(switch.port()) as client:
        client.write_frame(payload)
        assert "00" == code(await client.ask(echo()))
        assert 1 == len(client.frames)
    switch.wait_for("message_error", length=len(payload))


@pytest.mark.parametrize("payload", REFUSED.values(), ids=REFUSED)
async def test_a_message_with_a_fault_is_answered_30(switch: Switch, payload: bytes) -> None:
    """A message that can be addressed but not read whole is answered 30; the link lives on."""
    async with connected(switch.port()) as client:
        client.write_frame(payload)
        await client.received(1)
        assert "30" == code(client.answers[0])
        assert "00" == code(await client.ask(echo()))


async def test_an_error_names_the_field_and_no_value(switch: Switch) -> None:
    """The log line of an unreadable message has field, problem, offset and length alone."""
    payload = REFUSED["PIN block not hex"]
    async with connected(switch.port()) as client:
        client.write_frame(payload)
        await client.received(1)
    line = switch.wait_for("message_error", field="pin_block", length=len(payload))
    assert payload[line["offset"] :].startswith(b"X" * 16)
    head = {"time", "level", "event", "logger", "link"}
    assert head | {"problem", "field", "offset", "length"} == line.keys()


@pytest.mark.parametrize("mti", ["0140", "0300", "0302", "0500", "0600", "0640", "0820", "0104"])
async def test_an_unknown_request_is_answered_12(switch: Switch, mti: str) -> None:
    """A request of a class or function that we do not know is answered 12."""
    async with connected(switch.port()) as client:
        answer = await client.ask(purchase(PLAIN, mti=mti))
    assert "12" == code(answer)
    assert f"{mti[:2]}{int(mti[2]) + 1}{mti[3]}" == answer.mti


@pytest.mark.parametrize("mti", ["0110", "0130", "0210", "0810", "0430"])
async def test_a_response_that_nobody_asked_for_is_dropped(switch: Switch, mti: str) -> None:
    """A response is logged and not answered."""
    async with connected(switch.port()) as client:
        client.write_frame(raw(purchase(PLAIN, mti=mti, de_39="00")))
        assert "00" == code(await client.ask(echo()))
        assert 1 == len(client.frames)
    switch.wait_for("unsolicited_response", mti=mti)


#: Link, dialect of its framing, header → the frame_error that it is.
LIES = [
    ("demo",             "2-byte",            b"\xff\xff", "length_over_maximum"),
    ("demo",             "2-byte",            b"\x10\x01", "length_over_maximum"),
    ("inclusive",        "2-byte-inclusive",  b"\x00\x00", "length_under_header"),
    ("inclusive",        "2-byte-inclusive",  b"\x00\x01", "length_under_header"),
    ("ascii4",           "4-ascii",           b"9999",     "length_over_maximum"),
    ("ascii4",           "4-ascii",           b"-001",     "length_not_digits"),
    ("ascii4",           "4-ascii",           b"GET ",     "length_not_digits"),
    ("ascii4-inclusive", "4-ascii-inclusive", b"0003",     "length_under_header"),
]  # fmt: skip


@pytest.mark.parametrize(("link", "framing", "header", "problem"), LIES)
async def test_a_lying_length_closes_only_its_connection(
    switch: Switch, cards: list[CardInHand], link: str, framing: str, header: bytes, problem: str
) -> None:
    """A length that no payload can have ends that connection; its neighbours notice nothing."""
    async with (
        connected(switch.port(link), framing=framing) as liar,
        connected(switch.port(link), framing=framing) as neighbour,
    ):
        answered = await liar.ask(echo())
        liar.write(header + b"1234567890")
        await liar.ended()
        assert "00" == code(answered)
        assert "00" == code(await neighbour.ask(purchase(cards[130])))
    line = switch.wait_for("frame_error", link=link, peer=liar.address)
    assert (problem, len(neighbour.framing.frame(raw(echo())))) == (line["problem"], line["offset"])


#: An empty frame in each framing.
KEEP_ALIVES = {
    "demo": ("2-byte", b"\0\0"),
    "inclusive": ("2-byte-inclusive", b"\0\2"),
    "ascii4": ("4-ascii", b"0000"),
    "ascii4-inclusive": ("4-ascii-inclusive", b"0004"),
}


@pytest.mark.parametrize("link", KEEP_ALIVES)
async def test_an_empty_frame_is_a_keep_alive(switch: Switch, link: str) -> None:
    """An empty frame is neither answered nor an error."""
    framing, empty = KEEP_ALIVES[link]
    async with connected(switch.port(link), framing=framing) as client:
        client.write(empty * 3)
        assert "00" == code(await client.ask(echo()))
        client.write(empty)
        assert "00" == code(await client.ask(echo()))
        assert 2 == len(client.frames)
    switch.wait_for("link_down", peer=client.address)
    assert [] == switch.lines("message_error", length=0)
