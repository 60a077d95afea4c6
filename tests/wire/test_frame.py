"""However bytes are split on their way, the same frames come out, or the same error."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.wire.frame import LENGTH_MAX, FrameError, Framer, Framing

NAMES = [
    *("2-byte", "2-byte-inclusive", "4-ascii", "4-ascii-inclusive"),
    *("2-bcd", "2-bcd-inclusive", "4-byte", "4-byte-inclusive", "visa"),
]
FRAMINGS = [pytest.param(Framing.parse(name), id=name) for name in NAMES]
SOME_FRAMING = st.sampled_from([Framing.parse(name, 300) for name in NAMES])

Outcome = tuple[list[bytes], tuple[str, int] | None]


def receive(framing: Framing, *chunks: bytes) -> Outcome:
    """What comes out of a connection: the frames, and the error that ended it."""
    framer, frames = Framer(framing), []
    try:
        for chunk in chunks:
            for frame in framer.receive(chunk):
                frames.append(frame)  # noqa: PERF402 - those before an error count too
    except FrameError as error:
        return frames, (error.problem, error.offset)
    return frames, None


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("2-byte", b"\x00\x04" + b"0800"),
        ("2-byte-inclusive", b"\x00\x06" + b"0800"),
        ("4-ascii", b"0004" + b"0800"),
        ("4-ascii-inclusive", b"0008" + b"0800"),
        ("2-bcd", b"\x00\x04" + b"0800"),
        ("2-bcd", b"\x02\x16" + bytes(216)),
        ("2-bcd-inclusive", b"\x00\x12" + b"0123456789"),
        ("4-byte", b"\x00\x00\x00\x04" + b"0800"),
        ("4-byte-inclusive", b"\x00\x00\x00\x08" + b"0800"),
        ("visa", b"\x00\x04\x00\x00" + b"0800"),
        ("visa", b"\x01\x2c\x00\x00" + bytes(300)),
    ],
)
def test_headers(name: str, data: bytes) -> None:
    """A length counts its header or does not, in two or four bytes or in four digits."""
    framing = Framing.parse(name)
    payload = data[framing.size :]
    assert data == framing.frame(payload)
    assert receive(framing, data) == ([payload], None)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("2-byte", b"\x00\x00"),
        ("2-byte-inclusive", b"\x00\x02"),
        ("4-ascii", b"0000"),
        ("4-ascii-inclusive", b"0004"),
        ("2-bcd", b"\x00\x00"),
        ("2-bcd-inclusive", b"\x00\x02"),
        ("4-byte", b"\x00\x00\x00\x00"),
        ("4-byte-inclusive", b"\x00\x00\x00\x04"),
        ("visa", b"\x00\x00\x00\x00"),
    ],
)
def test_keep_alive(name: str, data: bytes) -> None:
    """A frame of length 0 is a keep-alive: an empty payload."""
    framing = Framing.parse(name)
    assert data == framing.frame(b"")
    assert receive(framing, data + data) == ([b"", b""], None)


@pytest.mark.parametrize(
    ("name", "header", "problem"),
    [
        ("2-byte", b"\x10\x01", "length_over_maximum"),
        ("2-byte", b"\xff\xff", "length_over_maximum"),
        ("2-byte-inclusive", b"\x10\x03", "length_over_maximum"),
        ("2-byte-inclusive", b"\x00\x00", "length_under_header"),
        ("2-byte-inclusive", b"\x00\x01", "length_under_header"),
        ("4-ascii", b"4097", "length_over_maximum"),
        ("4-ascii", b"9999", "length_over_maximum"),
        ("4-ascii", b"00x1", "length_not_digits"),
        ("4-ascii", b"  12", "length_not_digits"),
        ("4-ascii", b"-001", "length_not_digits"),
        ("4-ascii", b"+001", "length_not_digits"),
        ("4-ascii", b"1_00", "length_not_digits"),
        ("4-ascii", "²²²²".encode("latin-1"), "length_not_digits"),
        ("4-ascii-inclusive", b"0003", "length_under_header"),
        ("4-ascii-inclusive", b"4101", "length_over_maximum"),
        ("2-bcd", b"\x40\x97", "length_over_maximum"),
        ("2-bcd", b"\x00\x0a", "length_not_digits"),
        ("2-bcd", b"\xf0\x00", "length_not_digits"),
        ("2-bcd-inclusive", b"\x00\x01", "length_under_header"),
        ("4-byte", b"\x00\x00\x10\x01", "length_over_maximum"),
        ("4-byte", b"\xff\xff\xff\xff", "length_over_maximum"),
        ("4-byte-inclusive", b"\x00\x00\x00\x03", "length_under_header"),
        ("visa", b"\x08\x01\x00\x00", "length_over_maximum"),
        ("visa", b"\xff\xff\x00\x00", "length_over_maximum"),
    ],
)
def test_lies(name: str, header: bytes, problem: str) -> None:
    """A length that no frame has ends the link as soon as its header is known."""
    framing = Framing.parse(name)
    before = framing.frame(b"0800")
    assert ([], (problem, 0)) == receive(framing, header)
    assert ([b"0800"], (problem, len(before))) == receive(framing, before + header)


@pytest.mark.parametrize("framing", FRAMINGS)
def test_the_longest(framing: Framing) -> None:
    """A payload of the maximum passes, one more byte is not sent."""
    longest = 2048 if framing.header == "visa" else LENGTH_MAX
    payload = bytes(longest)
    assert ([payload], None) == receive(framing, framing.frame(payload))
    with pytest.raises(ValueError, match=f"a payload of {longest + 1} bytes is over {longest}"):
        framing.frame(payload + b"\0")


def test_a_lie_stays() -> None:
    """After a lie every call raises it again."""
    framer = Framer(Framing.parse("2-byte"))
    for chunk in (b"\xff\xff", b"", b"\x00\x00"):
        with pytest.raises(FrameError, match="length_over_maximum at byte 0"):
            list(framer.receive(chunk))


def test_an_error_holds_no_bytes() -> None:
    """An error says what and where; of the bytes it says nothing."""
    with pytest.raises(FrameError) as refused:
        list(Framer(Framing.parse("4-ascii")).receive(b"4761739000000012"))
    assert str(refused.value) == "length_over_maximum at byte 0"
    assert refused.value.__context__ is None


@pytest.mark.parametrize("framing", FRAMINGS)
def test_bytes_are_taken_at_once(framing: Framing) -> None:
    """Frames that nobody asked for yet come with the next call."""
    framer = Framer(framing)
    framer.receive(framing.frame(b"one"))
    frames = framer.receive(framing.frame(b"two") + framing.frame(b"three"))
    assert next(frames) == b"one"
    assert list(framer.receive(b"")) == [b"two", b"three"]
    assert list(frames) == []


@given(SOME_FRAMING, st.lists(st.binary(max_size=300), max_size=12), st.data())
def test_any_split_gives_the_same(
    framing: Framing, payloads: list[bytes], data: st.DataObject
) -> None:
    """True frames come out as they went in, however they are split."""
    stream = b"".join(map(framing.frame, payloads))
    assert (payloads, None) == receive(framing, *_split(stream, data))
    assert (payloads, None) == receive(framing, *(stream[i : i + 1] for i in range(len(stream))))


@given(SOME_FRAMING, st.lists(st.binary(max_size=40), max_size=6), st.binary(), st.data())
def test_any_bytes(
    framing: Framing, payloads: list[bytes], noise: bytes, data: st.DataObject
) -> None:
    """Any bytes give frames, or frames and one `FrameError`, the same however they are split."""
    stream = b"".join(map(framing.frame, payloads)) + noise
    whole = receive(framing, stream)
    assert payloads == whole[0][: len(payloads)]
    assert whole == receive(framing, *_split(stream, data))
    assert whole == receive(framing, *(stream[i : i + 1] for i in range(len(stream))))


def _split(stream: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


@pytest.mark.parametrize(
    ("name", "header", "is_control"),
    [
        ("visa", b"\x00\x04\x00\x20", True),
        ("visa", b"\x00\x04\x00\x2f", True),
        ("visa", b"\x00\x04\x00\x02", False),
        ("visa", b"\x00\x04\x20\x00", False),
        ("4-byte", b"\x00\x00\x00\x20", False),
    ],
)
def test_session_control(name: str, header: bytes, is_control: bool) -> None:
    """Only the left half of the fourth byte, 2, and only with Visa, makes a frame the session's."""
    assert is_control == Framing.parse(name).is_session_control(header)


def test_nothing_is_allocated_for_a_lie() -> None:
    """A length over the maximum costs no memory."""
    framer = Framer(Framing.parse("2-byte"))
    tracemalloc.start()
    try:
        with pytest.raises(FrameError):
            list(framer.receive(b"\xff\xff"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16 * 1024


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    ("payload", "count", "chunk"),
    [(2048, 30, 1), (20, 6_000, 256 * 1024), (0, 20_000, 256 * 1024)],
)
def test_linear(framing: Framing, payload: int, count: int, chunk: int) -> None:
    """Frames byte by byte, and many small ones in one read, cost linear time."""

    def seconds(frames: int) -> float:
        stream = framing.frame(bytes(payload)) * frames
        best = 10.0
        for _ in range(2):
            start = time.process_time()
            found, error = receive(
                framing, *(stream[i : i + chunk] for i in range(0, len(stream), chunk))
            )
            best = min(best, time.process_time() - start)
            assert (len(found), error) == (frames, None)
        return best

    assert seconds(count) < 40 * seconds(count // 10) + 0.01


@pytest.mark.parametrize(
    "text", ["", "3-byte", "2-byte-exclusive", "inclusive", "2-byte ", "visa-inclusive", "BCD"]
)
def test_unknown_framing(text: str) -> None:
    """A framing that is not known is refused with those that are."""
    with pytest.raises(ValueError, match=r"is not one of 2-byte, 2-byte-inclusive, 4-ascii, 4-asc"):
        Framing.parse(text)


@pytest.mark.parametrize(
    ("header", "inclusive", "length_max", "message"),
    [
        ("tpdu", False, 4096, "framing 'tpdu' is not one of 2-byte, 4-ascii, 2-bcd, 4-byte, visa"),
        ("2-byte", False, 0, "length_max must be 1 to 65535"),
        ("2-byte", True, 65534, "length_max must be 1 to 65533"),
        ("4-ascii", False, 10_000, "length_max must be 1 to 9999"),
        ("4-ascii", True, 9_996, "length_max must be 1 to 9995"),
        ("2-bcd", False, 10_000, "length_max must be 1 to 9999"),
        ("2-bcd", True, 9_998, "length_max must be 1 to 9997"),
        ("visa", False, 4096, "length_max must be 1 to 2048"),
        ("visa", True, 2048, "the length of framing 'visa' never counts its header"),
    ],
)
def test_nonsense(header: str, inclusive: bool, length_max: int, message: str) -> None:
    """A framing that cannot say its own maximum is refused."""
    with pytest.raises(ValueError, match=message):
        Framing(header, inclusive, length_max)
