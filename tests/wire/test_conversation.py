"""Every framing with every header: the same events however the bytes are split."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.wire.conversation import Event, Format, Malformed, Poll, Receiver
from switch.wire.error import FrameError
from switch.wire.frame import Framing
from switch.wire.header import Fixed, Header, Opened, Rejected, Tpdu, Visa

FRAMINGS = [
    *("2-byte", "2-byte-inclusive", "4-ascii", "4-ascii-inclusive"),
    *("2-bcd", "2-bcd-inclusive", "4-byte", "4-byte-inclusive", "visa"),
]
HEADERS: dict[str, Header] = {
    "none": Fixed(),
    "tpdu": Tpdu(bytes.fromhex("6000120034")),
    "fixed": Fixed(b"ISO026000050"),
    "scripted": Fixed(b"ISO026000050", is_echoed=False),
    "visa": Visa("123456", "654321"),
}
FORMATS = {
    f"{framing} {name}": Format(Framing.parse(framing, 400), header)
    for framing in FRAMINGS
    for name, header in HEADERS.items()
}
each_format = pytest.mark.parametrize("form", [pytest.param(v, id=k) for k, v in FORMATS.items()])
some_format = st.sampled_from(sorted(FORMATS)).map(FORMATS.__getitem__)

MESSAGE = st.binary(min_size=1, max_size=300)
REJECTED = bytes.fromhex("1a8101002e123456654321000000410000000100000080000134") + bytes(20)

Outcome = tuple[list[Event], tuple[str, int] | None]


def receive(form: Format, *chunks: bytes) -> Outcome:
    """What comes out of a connection: the events, and the error that ended it."""
    receiver, events = Receiver(form), []
    try:
        for chunk in chunks:
            for event in receiver.receive(chunk):
                events.append(event)  # noqa: PERF402 - those before an error count too
    except FrameError as error:
        return events, (error.problem, error.offset)
    return events, None


def messages(outcome: Outcome) -> list[bytes]:
    """The messages of a true stream."""
    events, error = outcome
    assert error is None
    return [event.message for event in events if isinstance(event, Opened)]


def split(stream: bytes, data: st.DataObject) -> list[bytes]:
    """The same bytes in some pieces."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


def all_the_same(form: Format, stream: bytes, data: st.DataObject) -> Outcome:
    """Receive whole, byte by byte and in some pieces; all of them give this."""
    whole = receive(form, stream)
    assert whole == receive(form, *(stream[i : i + 1] for i in range(len(stream))))
    assert whole == receive(form, *split(stream, data))
    return whole


@given(some_format, st.lists(st.one_of(st.none(), MESSAGE), max_size=8), st.data())
def test_any_split_gives_the_same(
    form: Format, sent: list[bytes | None], data: st.DataObject
) -> None:
    """Messages and polls come out as they went in, however they are split."""
    stream = b"".join(
        form.framing.frame(b"") if message is None else form.request(message) for message in sent
    )
    events, error = all_the_same(form, stream, data)
    assert error is None
    assert sent == [event.message if isinstance(event, Opened) else None for event in events]


@given(some_format, st.lists(MESSAGE, max_size=4), st.binary(), st.data())
def test_any_bytes(form: Format, sent: list[bytes], noise: bytes, data: st.DataObject) -> None:
    """Any bytes give events, or events and one `FrameError`, the same however they are split."""
    events, _ = all_the_same(form, b"".join(map(form.request, sent)) + noise, data)
    assert sent == [event.message for event in events[: len(sent)] if isinstance(event, Opened)]


@given(some_format, st.lists(st.binary(max_size=60), max_size=4), st.data())
def test_any_header(form: Format, payloads: list[bytes], data: st.DataObject) -> None:
    """Whole frames of any bytes never end the link: each is one event."""
    stream = b"".join(map(form.framing.frame, payloads))
    events, error = all_the_same(form, stream, data)
    assert (len(payloads), None) == (len(events), error)


@given(some_format, st.lists(st.tuples(MESSAGE, MESSAGE), max_size=6), st.randoms())
def test_a_peer_reads_the_answers(
    form: Format, pairs: list[tuple[bytes, bytes]], order: Random
) -> None:
    """Answers framed in any order are read by the peer's end of the same format."""
    events, _ = receive(form, b"".join(form.request(asked) for asked, _ in pairs))
    answers = [
        (form.answer(answered, event.envelope), answered)
        for event, (_, answered) in zip(events, pairs, strict=True)
        if isinstance(event, Opened)
    ]
    assert len(pairs) == len(answers)
    order.shuffle(answers)
    stream = b"".join(frame for frame, _ in answers)
    assert [answered for _, answered in answers] == messages(receive(form, stream))


@each_format
def test_an_answer_of_an_answer_is_the_request(form: Format) -> None:
    """What is swapped twice stands as it was."""
    asked = form.request(b"0800")
    (there,), _ = receive(form, asked)
    assert isinstance(there, Opened)
    (back,), _ = receive(form, form.answer(b"0800", there.envelope))
    assert isinstance(back, Opened)
    assert asked == form.answer(b"0800", back.envelope)


@pytest.mark.parametrize("name", FRAMINGS)
def test_polls(name: str) -> None:
    """An empty frame is to be echoed where the framing is Visa's, else it is a keep-alive."""
    form = Format(Framing.parse(name), Tpdu())
    empty = form.framing.frame(b"")
    assert ([Poll(empty if name == "visa" else b"")] * 2, None) == receive(form, empty * 2)


def test_a_poll_comes_back_as_it_came() -> None:
    """The two bytes behind the length are echoed too."""
    form = Format(Framing.parse("visa"), Visa())
    assert ([Poll(b"\0\0\0\x20")], None) == receive(form, b"\0\0\0\x20")


def test_session_control_is_no_message() -> None:
    """A Visa frame of the session is not answered, and the message behind it is read."""
    form = Format(Framing.parse("visa"), Visa())
    stream = b"\0\x04\0\x20" + b"0800" + form.request(b"0100")
    events, error = receive(form, stream)
    assert error is None
    assert Poll() == events[0]
    assert [b"0100"] == messages((events, error))


def test_a_bad_header_costs_its_frame_alone() -> None:
    """Rejected messages and headers that cannot be read are events; the next message is read."""
    form = Format(Framing.parse("2-byte"), Visa())
    frames = [form.framing.frame(b"\x16" * 3), form.framing.frame(REJECTED), form.request(b"0800")]
    events, error = receive(form, b"".join(frames))
    assert [Malformed("short", 3, 3), Rejected("0134")] == events[:2]
    assert [b"0800"] == messages((events, error))


def test_too_long_for_its_framing() -> None:
    """A header counts: a message that fits without it is refused with it."""
    form = Format(Framing.parse("2-byte", 100), Tpdu())
    assert form.request(bytes(95))
    with pytest.raises(ValueError, match="a payload of 101 bytes is over 100"):
        form.request(bytes(96))
