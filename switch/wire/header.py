"""
Headers: what stands in a frame before its message, without I/O.

What came with a request is an `Envelope`: it travels beside the message, unread by
whoever decides, until the answer is sealed with it. Answers may leave in any order.

Offsets in errors are positions in the frame's payload. No error holds a byte of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

__all__ = [
    "KINDS",
    "Envelope",
    "Fixed",
    "Header",
    "HeaderError",
    "Opened",
    "Rejected",
    "Tpdu",
    "Visa",
    "header_of",
]

#: The kinds of header that a link can have.
KINDS = ("none", "tpdu", "fixed", "visa")


class HeaderError(Exception):
    """A header that cannot be read. The frame is whole all the same: the next one can be.

    `problem` is a word ("short", "header_length", "chained", "text_format"), `offset` where.
    """

    def __init__(self, problem: str, offset: int = 0) -> None:
        super().__init__(f"{problem} at byte {offset}")
        self.problem = problem
        self.offset = offset


@dataclass(slots=True)  # frozen in all but name, as all that is made for each message
class Envelope:
    """What stood before a message, for its answer."""

    header: bytes = field(default=b"", repr=False)


_NO_HEADER = Envelope()


@dataclass(slots=True)
class Opened:
    """A message taken out of its envelope."""

    message: bytes = field(repr=False)
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Rejected:
    """A message of ours came back: its receiver could not use it."""

    code: str  #: four digits; empty where none stands there


class Header(Protocol):
    """What the messages of a link stand behind."""

    def open(self, payload: bytes) -> Opened | Rejected:
        """Take the message out. Raises `HeaderError`."""
        ...

    def seal(self, message: bytes, envelope: Envelope | None) -> bytes:
        """Put a message behind its header: an answer's by the envelope of its request, or ours."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A header of so many bytes, which are echoed in the answer or are always the same."""

    ours: bytes = b""  #: before our own requests; as long as every header of the link
    is_echoed: bool = True  #: answers have what came; otherwise they have `ours` too

    def open(self, payload: bytes) -> Opened:
        """Cut at the header's length."""
        if not self.ours:
            return Opened(payload, _NO_HEADER)
        header = _first(payload, len(self.ours))
        return Opened(payload[len(header) :], Envelope(header))

    def seal(self, message: bytes, envelope: Envelope | None) -> bytes:
        """What came, or ours."""
        if envelope is None or not self.is_echoed:
            return self.ours + message
        return envelope.header + message


@dataclass(frozen=True)
class Tpdu:
    """Five bytes of terminals' networks: an identifier, destination, source.

    The answer goes to the source (jPOS, NACChannel). Identifiers other than 60 are kept.
    """

    ours: bytes = bytes.fromhex("6000000000")  #: before our own requests

    SIZE = 5

    def __post_init__(self) -> None:
        """Refuse another length."""
        if len(self.ours) != self.SIZE:
            raise ValueError(f"a TPDU is {self.SIZE} bytes")

    def open(self, payload: bytes) -> Opened:
        """Cut after five bytes."""
        header = _first(payload, self.SIZE)
        return Opened(payload[self.SIZE :], Envelope(header))

    def seal(self, message: bytes, envelope: Envelope | None) -> bytes:
        """What came with its addresses swapped, or ours."""
        if envelope is None:
            return self.ours + message
        header = envelope.header
        return header[:1] + header[3:5] + header[1:3] + message


@dataclass(frozen=True)
class Visa:
    """
    The header of Visa BASE I messages: 22 bytes (layout: jPOS, BASE1Header).

        byte  0      length of the header, 22 (16 in hex)
              1      its format, 01; with 80 set another header follows
              2      text format, 01 or 02
              3- 4   total length: this header and all behind it
              5- 7   station of the destination, six digits
              8-10   station of the source
             11      round-trip control information
             12-13   flags
             14-16   status
             17      batch
             18-20   reserved
             21      user information

    A rejected message comes back behind a longer one: bytes 22-23 are a bitmap, and where
    its first bit is set 24-25 are the reject code. The message's own header follows.
    """

    source: str = "000000"  #: our station, in our own requests
    destination: str = "000000"  #: theirs

    SIZE, REJECT_SIZE = 22, 26
    FORMAT, TEXT_FORMAT = 1, 2
    FOLLOWED = 0x80  #: in the format: by another header
    HAS_CODE = 0x80  #: in the bitmap of a reject header

    def __post_init__(self) -> None:
        """Refuse stations that are none."""
        for station in (self.source, self.destination):
            if not (len(station) == 6 and station.isascii() and station.isdigit()):
                raise ValueError("a station is six digits")

    def open(self, payload: bytes) -> Opened | Rejected:
        """Cut after the header. Its total length is not compared: the frame has said it."""
        size = _first(payload, 1)[0]
        if size >= self.REJECT_SIZE:
            return self._rejected(_first(payload, size))
        if size != self.SIZE:
            raise HeaderError("header_length")
        header = _first(payload, size)
        if header[1] & self.FOLLOWED:
            raise HeaderError("chained", 1)
        if header[2] > self.TEXT_FORMAT:
            raise HeaderError("text_format", 2)
        return Opened(payload[size:], Envelope(header))

    def seal(self, message: bytes, envelope: Envelope | None) -> bytes:
        """What came with its stations swapped and our length, or ours."""
        length = (self.SIZE + len(message)).to_bytes(2, "big")
        if envelope is None:
            formats = bytes([self.SIZE, self.FORMAT, self.TEXT_FORMAT])
            stations = bytes.fromhex(self.destination + self.source)
            return formats + length + stations + bytes(self.SIZE - 11) + message
        came = envelope.header
        return came[:3] + length + came[8:11] + came[5:8] + came[11:] + message

    def _rejected(self, header: bytes) -> Rejected:
        code = header[24:26].hex()
        has_code = header[22] & self.HAS_CODE and code.isdigit()
        return Rejected(code if has_code else "")


def _first(payload: bytes, size: int) -> bytes:
    if len(payload) < size:
        raise HeaderError("short", len(payload))
    return payload[:size]


def header_of(
    kind: str,
    ours: bytes = b"",
    *,
    is_echoed: bool = True,
    source: str = "000000",
    destination: str = "000000",
) -> Header:
    """The header of that kind, one of `KINDS`; of the rest what the kind has use for.

    Raises `ValueError` for bytes or stations that the kind cannot have.
    """
    if kind == "tpdu":
        return Tpdu(ours) if ours else Tpdu()
    if kind == "visa":
        return Visa(source=source, destination=destination)
    return Fixed(ours if kind == "fixed" else b"", is_echoed)
