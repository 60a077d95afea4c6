"""
One end of a link without I/O: bytes in, events out; answers and requests framed.

The length is `switch.wire.frame`'s, what stands behind it `switch.wire.header`'s. Here
they are put together, so that a connection handles events and knows no format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from switch.wire.frame import Frame, Framer, Framing
from switch.wire.header import Envelope, Fixed, Header, HeaderError, Opened, Rejected

__all__ = ["Event", "Format", "Malformed", "Poll", "Receiver"]


@dataclass(frozen=True, slots=True)
class Poll:
    """No message: the peer shows that it is there."""

    answer: bytes = field(default=b"", repr=False)  #: to write as it is; empty: nothing


@dataclass(frozen=True, slots=True)
class Malformed:
    """A whole frame whose header cannot be read."""

    problem: str
    offset: int  #: in the frame
    length: int  #: of the frame, in bytes


#: What comes out of a link. `Opened` is a message.
Event = Opened | Poll | Rejected | Malformed


@dataclass(frozen=True)
class Format:
    """How the messages of a link stand on the wire."""

    framing: Framing
    header: Header = field(default_factory=Fixed)

    def answer(self, message: bytes, envelope: Envelope) -> bytes:
        """An answer in the envelope of its request. Raises `ValueError` where it is too long."""
        return self.framing.frame(self.header.seal(message, envelope))

    def request(self, message: bytes) -> bytes:
        """A request of ours. Raises `ValueError` where it is too long."""
        return self.framing.frame(self.header.seal(message, None))

    def event(self, frame: Frame) -> Event:
        """What a frame is."""
        if not frame.payload:
            return Poll(frame.header if self.framing.answers_polls else b"")
        if self.framing.is_session_control(frame.header):
            return Poll()
        try:
            return self.header.open(frame.payload)
        except HeaderError as error:
            return Malformed(error.problem, error.offset, len(frame.payload))


class Receiver:
    """The receiving end of one connection."""

    def __init__(self, form: Format) -> None:
        self._format = form
        self._framer = Framer(form.framing)

    def receive(self, data: bytes) -> Iterator[Event]:
        """The events that these bytes complete, in order, as they are asked for.

        The bytes are taken at once. A length that lies raises `FrameError` after what
        came before it, and again from then on.
        """
        return map(self._format.event, self._framer.frames(data))

    @property
    def is_amid_frame(self) -> bool:
        """Whether part of a frame came, once all that are whole were asked for."""
        return self._framer.is_amid
