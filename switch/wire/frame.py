"""
Framing: where one message ends and the next begins, without I/O.

A frame is a length and a payload. What a socket read goes into `Framer.receive`;
what comes out are payloads, however the bytes were split on their way. What stands
in a payload before its message is the business of `switch.wire.header`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from switch.wire.error import FrameError

__all__ = ["LENGTH_MAX", "Frame", "FrameError", "Framer", "Framing"]

#: The longest payload believed, in bytes. An authorization with EMV data is 300 to
#: 700 bytes and the longest public layouts stay under 2 KB; 64 KB, which a 2-byte
#: length may claim, is a broken peer or a hostile one.
LENGTH_MAX = 4096

_INCLUSIVE = "-inclusive"
_VISA = "visa"
#: The left half of the last byte of a Visa length header, in messages of the session.
_SESSION_CONTROL = 2


class _Length(NamedTuple):
    """How a length is written and read."""

    size: int  #: bytes of the header
    longest: int  #: the most that it says
    write: Callable[[int], bytes]
    read: Callable[[bytes], int | None]  #: None where there are other than digits


def _binary(size: int) -> _Length:
    return _Length(
        size,
        256**size - 1,
        lambda length: length.to_bytes(size, "big"),
        lambda header: int.from_bytes(header, "big"),
    )


def _digits(digits: bytes | str) -> int | None:
    return int(digits) if digits.isdigit() else None


_LENGTHS = {
    "2-byte": _binary(2),
    "4-ascii": _Length(4, 9999, lambda length: b"%04d" % length, _digits),
    "2-bcd": _Length(
        2,
        9999,
        lambda length: bytes.fromhex(f"{length:04d}"),
        lambda header: _digits(header.hex()),
    ),
    "4-byte": _binary(4),
    # Two bytes of length, two that belong to the session: jPOS VAPChannel, moov vml_header.go,
    # which has the maximum too.
    _VISA: _Length(
        4,
        2048,
        lambda length: length.to_bytes(2, "big") + b"\0\0",
        lambda header: int.from_bytes(header[:2], "big"),
    ),
}
_NAMES = [
    name for each in _LENGTHS for name in ((each,) if each == _VISA else (each, each + _INCLUSIVE))
]


@dataclass(frozen=True)
class Framing:
    """How a link frames: which header, whether its length counts it, the most it may say."""

    header: str  #: "2-byte" and "4-byte" (big-endian), "4-ascii", "2-bcd", "visa"
    inclusive: bool = False
    length_max: int = LENGTH_MAX  #: of a payload, in bytes

    def __post_init__(self) -> None:
        """Refuse a header that is not known, and a maximum that it cannot say."""
        if self.header not in _LENGTHS:
            raise ValueError(f"framing {self.header!r} is not one of {', '.join(_LENGTHS)}")
        if self.inclusive and self.header == _VISA:
            raise ValueError("the length of framing 'visa' never counts its header")
        longest = self._length.longest - self.counted
        if not 0 < self.length_max <= longest:
            raise ValueError(f"length_max must be 1 to {longest} with framing {self.header!r}")

    @classmethod
    def parse(cls, text: str, length_max: int = LENGTH_MAX) -> Framing:
        """Of a setting: "visa", or one of the others with or without "-inclusive" behind it.

        The maximum of "visa" is its own where that is less.
        """
        if text not in _NAMES:
            raise ValueError(f"framing {text!r} is not one of {', '.join(_NAMES)}")
        if text == _VISA:
            length_max = min(length_max, _LENGTHS[_VISA].longest)
        header = text.removesuffix(_INCLUSIVE)
        return cls(header, inclusive=text.endswith(_INCLUSIVE), length_max=length_max)

    @cached_property
    def _length(self) -> _Length:
        return _LENGTHS[self.header]

    @cached_property
    def size(self) -> int:
        """Bytes of the header."""
        return self._length.size

    @cached_property
    def counted(self) -> int:
        """How much of the header the length counts: all or nothing."""
        return self.size if self.inclusive else 0

    @cached_property
    def answers_polls(self) -> bool:
        """Whether an empty frame wants to come back, as it came. Elsewhere it is a keep-alive."""
        return self.header == _VISA

    def frame(self, payload: bytes) -> bytes:
        """
        A payload with its header; an empty one is a keep-alive.

        Raises `ValueError` for a payload over the maximum: it is ours, not the peer's.
        """
        if len(payload) > self.length_max:
            raise ValueError(f"a payload of {len(payload)} bytes is over {self.length_max}")
        return self._length.write(len(payload) + self.counted) + payload

    def length(self, header: bytes, offset: int) -> int:
        """
        The payload's length that a header says.

        Raises `FrameError` for one that no payload can have; `offset` is where the
        header stands, for the error.
        """
        said = self._length.read(header)
        if said is None:
            raise FrameError("length_not_digits", offset)
        length = said - self.counted
        if length < 0:
            raise FrameError("length_under_header", offset)
        if length > self.length_max:
            raise FrameError("length_over_maximum", offset)
        return length

    def is_session_control(self, header: bytes) -> bool:
        """True where the frame is about the session, and what is in it is no message."""
        return self.header == _VISA and header[3] >> 4 == _SESSION_CONTROL


class Frame(NamedTuple):
    """One frame, cut in two."""

    header: bytes  #: as it came
    payload: bytes


class Framer:
    """The receiving end of one connection."""

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()
        self._read = 0  #: bytes at the head of the buffer that were handed out
        self._dropped = 0  #: bytes handed out and no longer in the buffer

    def receive(self, data: bytes) -> Iterator[bytes]:
        """
        The payloads that these bytes complete, in order; b"" is a keep-alive.

        The bytes are taken at once, the payloads are cut as they are asked for: a
        loop sees every frame that came before a lie, then the `FrameError`. From
        then on every call raises it again. A lie is known as soon as its header
        is; never is more kept than one frame and one read.
        """
        return (frame.payload for frame in self.frames(data))

    def frames(self, data: bytes) -> Iterator[Frame]:
        """The same, each with its length header."""
        self._buffer += data
        return self._cut()

    @property
    def is_amid(self) -> bool:
        """Whether part of a frame came, once all that are whole were asked for."""
        return len(self._buffer) > self._read

    def _cut(self) -> Iterator[Frame]:
        buffer, size = self._buffer, self._framing.size
        while len(buffer) >= (start := self._read + size):
            header = bytes(buffer[self._read : start])
            end = start + self._framing.length(header, self._dropped + self._read)
            if len(buffer) < end:
                break
            self._read = end
            yield Frame(header, bytes(buffer[start:end]))
        # Once a read, not once a frame: otherwise many small frames cost their square.
        del buffer[: self._read]
        self._dropped += self._read
        self._read = 0
