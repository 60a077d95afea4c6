"""The connections of a load: bytes in and out, never waited for."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Iterator, Sequence

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
        self.is_deaf = False  #: what came is left where it is
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


class Crowd:
    """Connections that are written to and read together. One that is lost is closed and told."""

    def __init__(self, peers: Sequence[Peer], on_lost: Callable[[Peer], None]) -> None:
        self._peers = list(peers)
        self._on_lost = on_lost

    def __len__(self) -> int:
        """How many are open."""
        return len(self._peers)

    def __getitem__(self, place: int) -> Peer:
        """One of them, by its place."""
        return self._peers[place]

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._peers)

    def add(self, peer: Peer) -> None:
        """Take in another one."""
        self._peers.append(peer)

    def lose(self, peer: Peer) -> None:
        """Close one, and tell it."""
        self._peers.remove(peer)
        peer.close()
        self._on_lost(peer)

    def flush(self) -> None:
        """Hand over what waits to go out."""
        for peer in list(self._peers):
            if peer.has_unwritten:
                self._or_lose(peer, peer.flush)

    def receive(self, seconds: float, take: Callable[[Peer, list[bytes]], None]) -> None:
        """Wait so long at most for messages and for room to write; give what came to `take`."""
        readers = [peer for peer in self._peers if not peer.is_deaf]
        blocked = [peer for peer in self._peers if peer.has_unwritten]
        readable, writable, _ = select.select(readers, blocked, (), seconds)
        for peer in writable:
            self._or_lose(peer, peer.flush)
        for peer in readable:
            if peer in self._peers:
                self._or_lose(peer, lambda: take(peer, peer.read()))  # noqa: B023 - at once

    def close(self) -> None:
        """Close all."""
        for peer in self._peers:
            peer.close()

    def _or_lose(self, peer: Peer, do: Callable[[], None]) -> None:
        try:
            do()
        except Lost:
            self.lose(peer)


def connect(address: str, form: Format, book: Book, seconds: float = _CONNECT_SECONDS) -> Peer:
    """Connect to host:port within some seconds. Raises `ReplayError` where nobody listens."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ReplayError(f"{address}: give host:port")
    try:
        own = socket.create_connection((host, int(port)), seconds)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ReplayError(f"{address}: {reason}: is the switch running?") from None
    return Peer(own, form, book)
