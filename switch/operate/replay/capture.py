"""Reads what both sides of TCP connections sent out of a packet capture (pcap or pcapng)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import dpkt

#: Sequence numbers count modulo 2^32 (RFC 9293, 3.4).
_SEQUENCE = 1 << 32
_HALF = 1 << 31

#: The first bytes of a file: pcap in both byte orders, in micro- and nanoseconds; pcapng.
MAGIC = tuple(map(bytes.fromhex, ("d4c3b2a1", "a1b2c3d4", "4d3cb2a1", "a1b23c4d", "0a0d0d0a")))

#: What stands before an IP packet, by the file's link type (tcpdump.org/linktypes.html).
_LINK_TYPES: Mapping[int, Callable[[bytes], Any]] = {
    dpkt.pcap.DLT_NULL: dpkt.loopback.Loopback,
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    dpkt.pcap.DLT_LINUX_SLL2: dpkt.sll2.SLL2,
}

_Ends = tuple[bytes, int, bytes, int]


class CaptureError(Exception):
    """A file that is no capture, or has no TCP connection in it."""


class Piece(NamedTuple):
    """Bytes of a stream, and when they were first seen on the wire."""

    at: float  #: seconds
    data: bytes


@dataclass(slots=True)
class _Side:
    """What one side sent, as it was captured."""

    start: int  #: the sequence number of its first byte
    segments: list[tuple[int, Piece]] = field(default_factory=list)

    def pieces(self) -> list[Piece]:
        """In order and once. Segments may stand out of order, overlap and come again: the first
        copy counts. A gap ends it.
        """
        pieces, length = [], 0
        placed = [(_after(seq, self.start), piece) for seq, piece in self.segments]
        for offset, (at, data) in sorted(placed, key=lambda each: each[0]):
            if offset > length:
                break
            if new := data[length - offset :]:
                pieces.append(Piece(at, new))
                length += len(new)
        return pieces


@dataclass(frozen=True, slots=True)
class Connection:
    """What the two sides of a connection sent. The client is who opened it."""

    client: list[Piece]
    server: list[Piece]


def connections(path: Path) -> list[Connection]:
    """Every TCP connection of a capture, in the order of their beginnings.

    Where an opening was not captured, who sent data first is taken for the client. Raises
    `CaptureError` where there is none.
    """
    streams = _Streams()
    try:
        with path.open("rb") as file:
            reader = dpkt.pcap.UniversalReader(file)
            unwrap = _LINK_TYPES.get(reader.datalink(), _ip)
            for at, frame in reader:
                streams.take(float(at), _tcp(unwrap, frame))
    except (ValueError, dpkt.Error, OSError):
        raise CaptureError("not a packet capture") from None
    if not streams.opened:
        raise CaptureError("no TCP connection in it")
    return [
        Connection(pair.client.pieces(), pair.server.pieces() if pair.server else [])
        for pair in streams.opened
    ]


@dataclass(slots=True)
class _Pair:
    client: _Side
    server: _Side | None = None  #: none: nothing of it was captured yet


class _Streams:
    """Packets sorted by the connection and the side that they are of."""

    def __init__(self) -> None:
        self.opened: list[_Pair] = []
        self._pairs: dict[_Ends, _Pair] = {}  # by the ends as the client's packets have them

    def take(self, at: float, packet: tuple[Any, Any] | None) -> None:
        """Put one packet where it belongs."""
        if packet is None:
            return
        ip, tcp = packet
        ends = (bytes(ip.src), tcp.sport, bytes(ip.dst), tcp.dport)
        back = (*ends[2:], *ends[:2])
        is_syn, is_ack = bool(tcp.flags & dpkt.tcp.TH_SYN), bool(tcp.flags & dpkt.tcp.TH_ACK)
        first = (tcp.seq + is_syn) % _SEQUENCE
        pair, side = self._pairs.get(ends), None
        if is_syn and not is_ack:
            if pair is None or pair.client.start != first:  # else it was sent again
                self._open(ends, back, first)
            return
        if pair is not None:
            side = pair.client
        elif back in self._pairs:
            pair = self._pairs[back]
            side = pair.server = pair.server or _Side(first)
        elif tcp.data:
            side = self._open(ends, back, first).client
        if side is not None and tcp.data:
            side.segments.append((tcp.seq, Piece(at, bytes(tcp.data))))

    def _open(self, ends: _Ends, back: _Ends, first: int) -> _Pair:
        self._pairs.pop(back, None)
        self._pairs[ends] = pair = _Pair(_Side(first))
        self.opened.append(pair)
        return pair


def _tcp(unwrap: Callable[[bytes], Any], frame: bytes) -> tuple[Any, Any] | None:
    try:
        ip = unwrap(frame).data
        return (ip, ip.data) if isinstance(ip.data, dpkt.tcp.TCP) else None
    except (dpkt.Error, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class _Bare:
    """A packet with nothing before it, in the shape of one that has."""

    data: Any


def _ip(frame: bytes) -> _Bare:
    return _Bare((dpkt.ip6.IP6 if frame[:1] >= b"\x60" else dpkt.ip.IP)(frame))


def _after(sequence: int, start: int) -> int:
    """How far a sequence number is behind the first; negative for an old keep-alive."""
    distance = (sequence - start) % _SEQUENCE
    return distance - _SEQUENCE if distance >= _HALF else distance
