"""Bytes out of packet captures: however a network cut, lost and repeated them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.operate.replay.capture import CaptureError, connections
from tests.traffic import GOLDEN

CLIENT, SERVER = (b"\x7f\x00\x00\x01", 40_000), (b"\x7f\x00\x00\x02", 8583)
FIRST = 1000

Segment = tuple[int, bytes]


def frame(
    seq: int,
    data: bytes,
    *,
    flags: int = dpkt.tcp.TH_ACK,
    from_client: bool = True,
    port: int = CLIENT[1],
) -> bytes:
    """One segment on an Ethernet, between the server and that port of the client."""
    client = (CLIENT[0], port)
    (src, sport), (dst, dport) = (client, SERVER) if from_client else (SERVER, client)
    tcp = dpkt.tcp.TCP(sport=sport, dport=dport, seq=seq % (1 << 32), flags=flags, data=data)
    ip = dpkt.ip.IP(src=src, dst=dst, p=dpkt.ip.IP_PROTO_TCP, data=tcp, len=20 + len(tcp))
    return bytes(dpkt.ethernet.Ethernet(data=ip, type=dpkt.ethernet.ETH_TYPE_IP))


def written(
    path: Path, frames: list[bytes], writer: Callable[..., dpkt.pcap.Writer] = dpkt.pcap.Writer
) -> Path:
    """A capture of these frames."""
    with path.open("wb") as file:
        pcap = writer(file)
        for number, each in enumerate(frames):
            pcap.writepkt(each, ts=float(number))
    return path


def opened(*segments: Segment, first: int = FIRST) -> list[bytes]:
    """A connection that is opened, then sends segments, each with its offset in the stream."""
    opening = frame(first - 1, b"", flags=dpkt.tcp.TH_SYN)
    return [opening, *(frame(first + offset, data) for offset, data in segments)]


def client_bytes(path: Path) -> bytes:
    """What the side that opened the first connection sent, in order and once."""
    return b"".join(piece.data for piece in connections(path)[0].client)


CASES = {
    "in order":         [(0, b"abc"), (3, b"def")],
    "out of order":     [(3, b"def"), (0, b"abc")],
    "sent twice":       [(0, b"abc"), (0, b"abc"), (3, b"def")],
    "overlapping":      [(0, b"abcd"), (2, b"cdef")],
    "one in another":   [(0, b"abcdef"), (2, b"cd")],
    "keep-alive":       [(0, b"abc"), (-1, b"x"), (3, b"def")],
    "empty segments":   [(0, b""), (0, b"abcdef"), (6, b"")],
}  # fmt: skip


@pytest.mark.parametrize("segments", CASES.values(), ids=CASES)
@pytest.mark.parametrize("first", [FIRST, (1 << 32) - 2], ids=["small", "wrapping"])
@pytest.mark.parametrize("writer", [dpkt.pcap.Writer, dpkt.pcapng.Writer], ids=["pcap", "pcapng"])
def test_a_stream_is_put_together(
    tmp_path: Path, segments: list[Segment], first: int, writer: Callable[..., dpkt.pcap.Writer]
) -> None:
    """Segments in any order, doubled or overlapping, give the bytes once and in order."""
    path = written(tmp_path / "capture", opened(*segments, first=first), writer)
    assert b"abcdef" == client_bytes(path)


def test_a_gap_ends_the_stream(tmp_path: Path) -> None:
    """Bytes after a segment that was not captured are not taken for the next ones."""
    path = written(tmp_path / "capture", opened((0, b"abc"), (4, b"ef")))
    assert b"abc" == client_bytes(path)


def test_only_the_first_connections_client_is_read(tmp_path: Path) -> None:
    """What the server sends, and what is no TCP, is passed over."""
    frames = opened((0, b"abc"))
    noise = [frame(5, b"server", from_client=False), b"", b"\x00" * 20, b"\xff" * 60]
    path = written(tmp_path / "capture", [noise[1], frames[0], *noise, *frames[1:]])
    assert b"abc" == client_bytes(path)


def test_a_capture_may_begin_in_the_middle(tmp_path: Path) -> None:
    """Where the opening was not captured, the first segment with data begins the stream."""
    path = written(tmp_path / "capture", [frame(7, b"abc"), frame(10, b"def")])
    assert b"abcdef" == client_bytes(path)


@pytest.mark.parametrize("content", [b"", b"not a capture", b"\xd4\xc3\xb2\xa1" + bytes(3)])
def test_what_is_no_capture_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file of something else is an error that says so."""
    path = tmp_path / "capture"
    path.write_bytes(content)
    with pytest.raises(CaptureError, match="not a packet capture"):
        client_bytes(path)


def test_a_capture_without_tcp_is_refused(tmp_path: Path) -> None:
    """A capture with no connection in it is an error that says so."""
    with pytest.raises(CaptureError, match="no TCP connection"):
        client_bytes(written(tmp_path / "capture", [b"\xff" * 60]))


@given(st.binary(min_size=1, max_size=300), st.integers(0, (1 << 32) - 1), st.randoms())
def test_any_segmentation_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, first: int, chance: random.Random
) -> None:
    """Cut anywhere, shuffled, with copies and overlaps: the stream is what was sent."""
    cuts = sorted(chance.sample(range(len(data)), min(len(data), 6)))
    segments = [(at, data[at : at + chance.randint(1, 300)]) for at in cuts]
    segments += [(a, data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    chance.shuffle(segments)
    path = written(tmp_path_factory.getbasetemp() / "any", opened(*segments, first=first))
    assert data == client_bytes(path)


def test_the_demos_capture_is_read_whole() -> None:
    """The demo's capture, split over segments by a real network stack, begins and ends whole."""
    data = client_bytes(GOLDEN / "scenario.pcap")
    frames, at = 0, 0
    while at < len(data):
        at += 2 + int.from_bytes(data[at : at + 2], "big")
        frames += 1
    assert (len(data), 73) == (at, frames)


def bare(ethernet: bytes) -> bytes:
    """The IP packet alone."""
    return ethernet[14:]


def cooked(ethernet: bytes) -> bytes:
    """As Linux writes what it captured on every interface: sixteen bytes, the last two a type."""
    return bytes(14) + ethernet[12:14] + ethernet[14:]


LINK_TYPES = {"raw": (dpkt.pcap.DLT_RAW, bare), "any": (dpkt.pcap.DLT_LINUX_SLL, cooked)}


@pytest.mark.parametrize(("link_type", "of"), LINK_TYPES.values(), ids=LINK_TYPES)
def test_what_stands_before_a_packet(
    tmp_path: Path, link_type: int, of: Callable[[bytes], bytes]
) -> None:
    """Captures without an Ethernet are read as those with one."""
    path = tmp_path / "capture"
    with path.open("wb") as file:
        pcap = dpkt.pcap.Writer(file, linktype=link_type)
        for each in opened((0, b"abc"), (3, b"def")):
            pcap.writepkt(of(each), ts=1.0)
    assert b"abcdef" == client_bytes(path)
