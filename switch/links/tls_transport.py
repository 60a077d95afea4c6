"""
The TLS of one connection, between TCP's transport and the protocol that it carries.

It is made of `ssl.SSLObject` and memory BIOs, not of asyncio's own TLS, which tells nobody why a
handshake failed, sends the peer no alert, and cannot close one direction alone. It is the same on
every event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

from switch.links.tls_problems import problem_of

#: How long a refused peer may take to read its alert, in seconds.
LINGER_SECONDS = 1.0
#: Clear bytes that are taken out of TLS at once: a record has 16 KiB at most.
READ_BYTES = 64 * 1024
#: How the first record begins (RFC 8446, 5.1): handshake or alert, and the version's first byte.
_FIRST = (b"\x16\x03", b"\x15\x03")

#: Why the peer is refused once the handshake is done; none where it may come in.
Refusal = Callable[[ssl.SSLObject], str | None]


class TlsConnection(asyncio.Protocol):
    """TLS over one TCP connection, either end of it."""

    def __init__(
        self,
        carried: asyncio.Protocol,
        context: ssl.SSLContext,
        *,
        within: float,
        refusal: Refusal,
        on_done: Callable[[str | None], None],
        on_broken: Callable[[str], None],
        server_hostname: str | None = None,
    ) -> None:
        """The carried protocol is connected when the handshake is done, within some seconds.

        `on_done` is told once how the handshake ended: None, or what was wrong. `on_broken` is
        told of what goes wrong later. We are the client where there is a `server_hostname`.
        """
        self._carried = carried
        self._within = within
        self._refusal = refusal
        self._on_done = on_done
        self._on_broken = on_broken
        self._is_server = server_hostname is None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(
            self._incoming,
            self._outgoing,
            server_side=self._is_server,
            server_hostname=server_hostname,
        )
        self._first = b""
        self._is_shaking = True
        self._is_open = False
        self._peer_has_said_all = False
        self._has_said_bye = False
        self._timer: asyncio.TimerHandle | None = None
        self.tcp: asyncio.Transport

    # What TCP's transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The clock of the handshake begins; a client speaks first."""
        self.tcp = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._within, self._took_too_long)
        if not self._is_server:
            self._shake()

    def data_received(self, data: bytes) -> None:
        """Records, or what should be some. What a refused peer still says is dropped."""
        if self._is_shaking:
            self._first = (self._first + data[:2])[:2]
            if not any(first.startswith(self._first) for first in _FIRST):
                self._refuse(
                    "plain text to a TLS port" if self._is_server else "the peer has no TLS"
                )
                return
            self._incoming.write(data)
            self._shake()
        elif self._is_open:
            self._incoming.write(data)
            self._read()

    def eof_received(self) -> bool:
        """TCP's end. Messages have lengths of their own: one cut off is seen without TLS's end."""
        if self._is_shaking:
            self._refuse("the peer left during the handshake")
        if not self._is_open:
            return False
        return self._end_of_input()

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self._is_open:
            self._carried.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._is_open:
            self._carried.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        if self._is_shaking:
            self._end_handshake("the peer left during the handshake")
        self._stop_timer()
        if self._is_open:
            self._is_open = False
            self._carried.connection_lost(exc)

    # What the carried protocol asks, by its transport.

    def write(self, data: bytes) -> None:
        """Encipher and send."""
        if self._has_said_bye or not self._is_open or self.tcp.is_closing():
            return
        left = memoryview(data)
        try:
            while left:
                left = left[self.object.write(left) :]
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()

    def write_eof(self) -> None:
        """Say that nothing more comes. What the peer says is still taken."""
        self._say_bye()
        if not self.tcp.is_closing():
            self.tcp.write_eof()

    def close(self) -> None:
        """Close once what is written has left."""
        self._say_bye()
        self.tcp.close()

    def abort(self, problem: str = "") -> None:
        """Close at once; a handshake that is not done has this problem."""
        if self._is_shaking and problem:
            self._end_handshake(problem)
        self.tcp.abort()

    # The handshake.

    def _shake(self) -> None:
        try:
            self.object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._refuse(problem_of(error))
            return
        self._flush()
        problem = self._refusal(self.object)
        if problem is not None:
            self._refuse(problem)
            return
        self._is_open = True
        self._end_handshake(None)
        self._carried.connection_made(TlsTransport(self))
        self._read()  # a request may come together with the last of the handshake

    def _refuse(self, problem: str) -> None:
        self._end_handshake(problem)
        self._flush()  # the alert
        if self.tcp.is_closing():
            return
        # Closed over unread bytes the connection would be reset, and the alert lost.
        self._say_bye()
        self.tcp.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(LINGER_SECONDS, self.tcp.abort)

    def _took_too_long(self) -> None:
        self.abort("handshake timeout")

    def _end_handshake(self, problem: str | None) -> None:
        self._is_shaking = False
        self._stop_timer()
        self._on_done(problem)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # What comes and goes afterwards.

    def _read(self) -> None:
        pieces = []
        is_end = False
        try:
            while piece := self.object.read(READ_BYTES):
                pieces.append(piece)
            is_end = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            is_end = True
        except ssl.SSLError as error:
            self._break(error)
            return
        self._flush()
        if pieces:
            self._carried.data_received(b"".join(pieces))
        if is_end and not self._end_of_input():
            self.close()

    def _end_of_input(self) -> bool:
        """Tell the carried protocol once; whether it wants the connection kept."""
        if self._peer_has_said_all or not self._is_open:
            return not self.tcp.is_closing()
        self._peer_has_said_all = True
        return bool(self._carried.eof_received())

    def _break(self, error: ssl.SSLError) -> None:
        self._flush()
        if not self._has_said_bye:
            self._on_broken(problem_of(error))
        self.tcp.abort()

    def _say_bye(self) -> None:
        if self._has_said_bye:
            return
        self._has_said_bye = True
        with contextlib.suppress(ssl.SSLError, ValueError):  # the peer's own end is not waited for
            self.object.unwrap()
        self._flush()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data and not self.tcp.is_closing():
            self.tcp.write(data)


class TlsTransport(asyncio.Transport):
    """What the carried protocol writes to."""

    def __init__(self, tls: TlsConnection) -> None:
        super().__init__()
        self._tls = tls
        self._tcp = tls.tcp

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """TCP's, and `ssl_object`."""
        return self._tls.object if name == "ssl_object" else self._tcp.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encipher and send."""
        self._tls.write(bytes(data))

    def write_eof(self) -> None:
        """Nothing more comes."""
        self._tls.write_eof()

    def can_write_eof(self) -> bool:
        """TLS can close one direction."""
        return True

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._tcp.is_closing()

    def close(self) -> None:
        """Close once what is written has left."""
        self._tls.close()

    def abort(self) -> None:
        """Close at once."""
        self._tls.abort()

    def pause_reading(self) -> None:
        """Read no more from the peer."""
        self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        self._tcp.resume_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of enciphered bytes."""
        self._tcp.set_write_buffer_limits(high=high, low=low)

    def get_write_buffer_size(self) -> int:
        """Enciphered bytes that have not left."""
        return self._tcp.get_write_buffer_size()
