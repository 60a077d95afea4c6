"""
Framing: where one message ends and the next begins, without I/O.

A frame is a length and a payload. What a socket read goes into `Framer.receive`;
what comes out are payloads, however the bytes were split on their way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from switch.wire.error import FrameError

__all__ = ["LENGTH_MAX", "FrameError", "Framer", "Framing"]

#: The longest payload believed, in bytes. An authorization with EMV data is 300 to
#: 700 bytes and the longest public layouts stay under 2 KB; 64 KB, which a 2-byte
#: length may claim, is a broken peer or a hostile one.
LENGTH_MAX = 4096

#: Header → its size in bytes and the longest length it can say.
_HEADERS = {"2-byte": (2, 0xFFFF), "4-ascii": (4, 9999)}
_INCLUSIVE = "-inclusive"


@dataclass(frozen=True)
class Framing:
    """How a link frames: which header, whether its length counts it, the most it may say."""

    header: str  #: "2-byte" (big-endian) or "4-ascii" (decimal digits)
    inclusive: bool = False
    length_max: int = LENGTH_MAX  #: of a payload, in bytes

    def __post_init__(self) -> None:
        """Refuse a header that is not known, and a maximum that it cannot say."""
        if self.header not in _HEADERS:
            raise ValueError(f"framing {self.header!r} is not one of {', '.join(_HEADERS)}")
        longest = _HEADERS[self.header][1] - self.counted
        if not 0 < self.length_max <= longest:
            raise ValueError(f"length_max must be 1 to {longest} with framing {self.header!r}")

    @classmethod
    def parse(cls, text: str, length_max: int = LENGTH_MAX) -> Framing:
        """Of a setting: "2-byte", "2-byte-inclusive", "4-ascii" or "4-ascii-inclusive"."""
        header = text.removesuffix(_INCLUSIVE)
        if header not in _HEADERS:
            known = ", ".join(f"{each}, {each}{_INCLUSIVE}" for each in _HEADERS)
            raise ValueError(f"framing {text!r} is not one of {known}")
        return cls(header, inclusive=text.endswith(_INCLUSIVE), length_max=length_max)

    @cached_property
    def size(self) -> int:
        """Bytes of the header."""
        return _HEADERS[self.header][0]

    @cached_property
    def counted(self) -> int:
        """How much of the header the length counts: all or nothing."""
        return self.size if self.inclusive else 0

    def frame(self, payload: bytes) -> bytes:
        """
        A payload with its header; an empty one is a keep-alive.

        Raises `ValueError` for a payload over the maximum: it is ours, not the peer's.
        """
        if len(payload) > self.length_max:
            raise ValueError(f"a payload of {len(payload)} bytes is over {self.length_max}")
        length = len(payload) + self.counted
        if self.header == "2-byte":
            return length.to_bytes(2, "big") + payload
        return b"%04d" % length + payload

    def length(self, header: bytes, offset: int) -> int:
        """
        The payload's length that a header says.

        Raises `FrameError` for one that no payload can have; `offset` is where the
        header stands, for the error.
        """
        if self.header == "2-byte":
            length = int.from_bytes(header, "big") - self.counted
        elif header.isdigit():
            length = int(header) - self.counted
        else:
            raise FrameError("length_not_digits", offset)
        if length < 0:
            raise FrameError("length_under_header", offset)
        if length > self.length_max:
            raise FrameError("length_over_maximum", offset)
        return length


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
        self._buffer += data
        return self._frames()

    def _frames(self) -> Iterator[bytes]:
        buffer, size = self._buffer, self._framing.size
        while len(buffer) >= (start := self._read + size):
            header = bytes(buffer[self._read : start])
            end = start + self._framing.length(header, self._dropped + self._read)
            if len(buffer) < end:
                break
            self._read = end
            yield bytes(buffer[start:end])
        # Once a read, not once a frame: otherwise many small frames cost their square.
        del buffer[: self._read]
        self._dropped += self._read
        self._read = 0
