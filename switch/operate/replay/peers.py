"""The connections of a load: bytes in and out, never waited for."""

from __future__ import annotations

import socket

from switch.operate.replay.error import ReplayError
from switch.operate.replay.matching import Book
from switch.operate.replay.scenario import messages_of
from switch.wire.conversation import Format, Receiver
from switch.wire.error import FrameError
from switch.wire.frame import Framer
from switch.wire.header import Fixed, HeaderError

#: select(2) counts files up to 1,024, and some are open already.
CONNECTIONS_MAX = 1_000

_CONNECT_SECONDS = 10.0
_READ = 1 << 16


class Lost(Exception):
    """The other side closed the connection, or what came over it is no traffic of this link."""


class Peer:
    """One connection to a link, and what was sent over it."""

    def __init__(self, own: socket.socket, form: Format, book: Book) -> None:
        own.setblocking(False)
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.book = book
        self._socket = own
        # Without a header a frame is a message, and need not be looked at twice.
        is_bare = form.header == Fixed() and not form.framing.answers_polls
        self._framer = Framer(form.framing) if is_bare else None
        self._receiver = Receiver(form)
        self._unwritten = bytearray()

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    @property
    def has_unwritten(self) -> bool:
        """Whether bytes wait to go out."""
        return bool(self._unwritten)

    def write(self, frame: bytes) -> None:
        """Have a frame go out with the next flush."""
        self._unwritten += frame

    def flush(self) -> None:
        """Hand over what the kernel takes. Raises `Lost`."""
        try:
            written = self._socket.send(self._unwritten)
        except BlockingIOError:
            return
        except OSError:
            raise Lost from None
        del self._unwritten[:written]

    def read(self) -> list[bytes]:
        """The messages that have come whole. Raises `Lost`."""
        try:
            data = self._socket.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            raise Lost from None
        if not data:
            raise Lost
        try:
            if self._framer is not None:
                return [payload for payload in self._framer.receive(data) if payload]
            return list(messages_of(self._receiver.receive(data)))
        except (FrameError, HeaderError):
            raise Lost from None

    def close(self) -> None:
        """Close."""
        self._socket.close()


def connect(address: str, form: Format, book: Book) -> Peer:
    """Connect to host:port. Raises `ReplayError` where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ReplayError(f"{address}: give host:port")
    try:
        own = socket.create_connection((host, int(port)), _CONNECT_SECONDS)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ReplayError(f"{address}: {reason}: is the switch running?") from None
    return Peer(own, form, book)
