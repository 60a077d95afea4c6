"""
One TCP connection to a payShield: one request in flight, and closed on any doubt.

A question that is cancelled leaves an answer on its way, which must never be read as another's. So
whatever goes wrong with a question, the connection goes with it. Only an HSM that says properly
that it refuses keeps its connection.
"""

from __future__ import annotations

import asyncio
from typing import TypeVar, cast

from keys.hsm import HsmRejected, HsmUnavailable
from keys.payshield.frame import Command, ReplyError, answer, body_of, frame, headers

T = TypeVar("T")


class Link(asyncio.Protocol):
    """A connection, made by `loop.create_connection`."""

    def __init__(self, header: str, lmk_id: str | None) -> None:
        self.closed = asyncio.Event()
        self.answered = 0  #: questions that this connection has answered
        self.idle_since = 0.0  #: the loop's time of the last answer
        self._loop = asyncio.get_running_loop()
        self._headers = headers(header)
        self._lmk_id = lmk_id
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._waiting: asyncio.Future[bytes] | None = None
        self._usable = True

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._usable

    async def ask(self, command: Command[T]) -> T:
        """
        Send a command and read its reply.

        Raises `HsmUnavailable` and `HsmRejected`. After anything but an answer or a refusal the
        connection is closed.
        """
        if not self._usable or self._transport is None or self._waiting is not None:
            raise HsmUnavailable("payShield: the connection is closed or busy")
        header = next(self._headers)
        request = frame(header, command, self._lmk_id)
        self._waiting = self._loop.create_future()
        try:
            self._transport.write(request)
            reply = answer(command, header, await self._waiting)
        except HsmRejected:
            self._rested()
            raise
        except ReplyError as error:
            self.abort()
            raise HsmUnavailable(f"payShield {command.code}: {error}") from None
        except BaseException:
            self.abort()
            raise
        finally:
            self._waiting = None
        self._rested()
        return reply

    def abort(self) -> None:
        """Close at once, whatever is still to be sent or read."""
        self._usable = False
        self._received.clear()
        if self._transport is not None:
            self._transport.abort()

    def _rested(self) -> None:
        self.answered += 1
        self.idle_since = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport that the loop made."""
        self._transport = cast(asyncio.Transport, transport)  # TCP and TLS are
        self.idle_since = self._loop.time()

    def data_received(self, data: bytes) -> None:
        """Gather the reply; what comes unasked, or beyond it, closes the connection."""
        if not self._usable or self._waiting is None or self._waiting.done():
            self.abort()
            return
        self._received += data
        try:
            body = body_of(self._received)
        except ReplyError as error:
            self._waiting.set_exception(error)
            self.abort()
            return
        if body is not None:
            self._received.clear()
            self._waiting.set_result(body)

    def connection_lost(self, _: Exception | None) -> None:
        """Tell the question that waits, and whoever keeps this connection."""
        self._usable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(HsmUnavailable("payShield: the connection was lost"))
        self.closed.set()
