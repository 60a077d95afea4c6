"""Reads the bytes that a client sent over TCP out of a packet capture (pcap or pcapng)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dpkt

#: Sequence numbers count modulo 2^32 (RFC 9293, 3.4).
_SEQUENCE = 1 << 32
_HALF = 1 << 31


class CaptureError(Exception):
    """A file that is no capture, or has no TCP connection in it."""


def client_bytes(path: Path) -> bytes:
    """What the side that opened the first connection sent, in order and once.

    Segments may stand out of order, overlap and come again. A gap ends it.
    """
    segments: list[tuple[int, bytes]] = []
    start, flow = None, None
    try:
        with path.open("rb") as file:
            for _, frame in dpkt.pcap.UniversalReader(file):
                packet = _tcp(frame)
                if packet is None:
                    continue
                ip, tcp = packet
                ends = (bytes(ip.src), tcp.sport, bytes(ip.dst), tcp.dport)
                is_opening = tcp.flags & (dpkt.tcp.TH_SYN | dpkt.tcp.TH_ACK) == dpkt.tcp.TH_SYN
                if flow is None and (is_opening or tcp.data):
                    flow, start = ends, (tcp.seq + is_opening) % _SEQUENCE
                if ends == flow and tcp.data:
                    segments.append((tcp.seq, bytes(tcp.data)))
    except (ValueError, dpkt.Error, OSError):
        raise CaptureError("not a packet capture") from None
    if start is None:
        raise CaptureError("no TCP connection in it")
    return _reassembled(segments, start)


def _tcp(frame: bytes) -> tuple[Any, Any] | None:
    try:
        ip = dpkt.ethernet.Ethernet(frame).data
        return (ip, ip.data) if isinstance(ip.data, dpkt.tcp.TCP) else None
    except (dpkt.Error, AttributeError):
        return None


def _reassembled(segments: list[tuple[int, bytes]], start: int) -> bytes:
    stream = bytearray()
    for offset, data in sorted(((_after(seq, start), data) for seq, data in segments)):
        if offset > len(stream):
            break
        stream += data[len(stream) - offset :]
    return bytes(stream)


def _after(sequence: int, start: int) -> int:
    """How far a sequence number is behind the first; negative for an old keep-alive."""
    distance = (sequence - start) % _SEQUENCE
    return distance - _SEQUENCE if distance >= _HALF else distance
