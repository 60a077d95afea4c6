"""The life of one connection: frames in, answers out, in any order."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from switch.flows.exchange import Exchange
from switch.wire.conversation import Event, Poll, Receiver
from switch.wire.error import FrameError
from switch.wire.header import Envelope, Opened, Rejected

if TYPE_CHECKING:
    from switch.links.link import Link

#: Bytes of answers that may wait for a peer who does not read. Beyond them it is not
#: read from either, and what it should have read in time is taken back.
WRITE_BUFFER_MAX = 64 * 1024
#: How long such a peer is waited for before its connection is closed, in seconds.
NOT_READING_SECONDS = 10.0
#: A peer that is silently gone is found by TCP's own probes: after this many seconds of silence,
#: so many seconds apart, so many of them. What it has not acknowledged counts too.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 60, 10, 3
UNACKNOWLEDGED_MS = 30_000


class Connection(asyncio.Protocol):
    """One TCP connection of a link."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._receiver = Receiver(link.format)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._is_stuck = False
        self._has_said_all = False
        self._is_finished = False
        self._is_deaf = False
        self._backlog: Iterator[Event] = iter(())
        self._backlog_at: float | None = None  # when it came, while there is one
        self._waits_for_turn = False
        self._in_flight = 0
        self._unwritten: list[bytes] = []
        self._giving_up: asyncio.TimerHandle | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._amid_frame: asyncio.TimerHandle | None = None
        self.peer = ""
        self.heard_at = time.monotonic()  #: when something came last
        self.lost = asyncio.Event()  #: set once it is over

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A peer connected."""
        self._transport = transport = cast("asyncio.Transport", transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_MAX)
        _tune(transport.get_extra_info("socket"))
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        self.peer = f"{host}:{port}"
        if not self._link.joined(self):
            transport.abort()
            return
        self._wait_for_more()

    def data_received(self, data: bytes) -> None:
        """Some bytes came. The clock of the frames that they complete starts now."""
        received_at = self.heard_at = time.monotonic()
        if self._is_deaf:
            return
        self._wait_for_more()
        self._backlog, self._backlog_at = self._receiver.receive(data), received_at
        if not self._waits_for_turn:
            self._take_turn()

    def eof_received(self) -> bool:
        """The peer sends nothing more. True keeps the connection open: it waits for answers."""
        self._has_said_all = True
        self._flush()
        return self._in_flight > 0

    def pause_writing(self) -> None:
        """The peer does not read what we write."""
        self._is_stuck = True
        self._read_or_wait()
        self._giving_up = self._loop.call_later(NOT_READING_SECONDS, self._give_up)

    def resume_writing(self) -> None:
        """It reads again."""
        self._is_stuck = False
        if self._giving_up is not None:
            self._giving_up.cancel()
        if self._backlog_at is not None and not self._waits_for_turn:
            self._take_turn()
        self._read_or_wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over; what is in flight is decided all the same."""
        for timer in (self._giving_up, self._idle, self._amid_frame):
            if timer is not None:
                timer.cancel()
        self._transport = None
        self.lost.set()
        self._link.left(self)

    # What the link asks.

    def begin(self) -> None:
        """A message of this connection is being decided."""
        self._in_flight += 1

    def end(self) -> None:
        """One is done with. A peer that has said all is closed after its last."""
        self._in_flight -= 1
        if self._in_flight:
            return
        self._flush()  # no other answer is there to wait for
        if self._has_said_all:
            self.close()

    def write(self, exchange: Exchange, envelope: Envelope) -> str:
        """Write an answer, in the envelope of its request, if there is still time.

        Says what became of it.
        """
        assert exchange.answer is not None  # noqa: S101 - the link asks only then
        if self._is_over or self._is_finished:
            return "link_gone"
        if exchange.deadline.answered_late(time.monotonic()):
            return "late"
        if self._is_stuck:
            return "unread"
        try:
            frame = self._link.format.answer(exchange.answer, envelope)
        except ValueError:
            return "too_long"
        self._write_soon(frame)
        return "sent"

    @property
    def can_ask(self) -> bool:
        """Whether a request of ours can be written, and its answer would be read."""
        return not (self._is_over or self._is_stuck or self._has_said_all or self._is_deaf)

    def ask(self, payload: bytes) -> None:
        """Write a request of ours, where `can_ask`."""
        self._write_soon(self._link.format.request(payload))

    def stop_listening(self) -> None:
        """Take nothing more; what is in flight can still be answered.

        What comes is read and dropped: closing over unread bytes would reset the
        connection, and cost the peer answers that it has not read yet.
        """
        self._is_deaf = True
        self._backlog_at = None
        self._read_or_wait()

    def finish(self) -> None:
        """Say that no more answers come; the peer closes when it has read them."""
        self._flush()
        self._is_finished = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write_eof()

    def close(self) -> None:
        """Close once what is written has left."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def _is_over(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _write_soon(self, frame: bytes) -> None:
        # A batch of decisions makes many answers in one turn of the loop: one write takes them.
        self._unwritten.append(frame)
        if len(self._unwritten) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        unwritten, self._unwritten = self._unwritten, []
        if unwritten and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(unwritten))

    def _take_turn(self) -> None:
        """Take some frames of what came; while there are more, read no more, and go on later.

        One read can bring thousands. Taken in one turn of the loop, they would make
        everybody else late.
        """
        self._waits_for_turn = False
        received_at = self._backlog_at
        if received_at is None or self._is_stuck or self._is_over:
            return
        turns, taken = self._link.turns, 0
        room = max(0, turns.room)
        try:
            for event in itertools.islice(self._backlog, room):
                taken += 1
                self._take(event, received_at)
        except FrameError as error:
            # The length itself is a lie: nothing after it can be trusted.
            self._link.event(
                "frame_error", peer=self.peer, problem=error.problem, offset=error.offset
            )
            self.stop_listening()
            self._has_said_all = True  # what came before the lie is still answered
            if not self._in_flight:
                self.close()
            return
        finally:
            turns.took(taken)
        self._watch_frame(is_new=taken > 0)
        if taken < room:
            self._backlog_at = None
        else:
            self._waits_for_turn = True
            turns.wait(self._take_turn)
        self._read_or_wait()

    def _take(self, event: Event, received_at: float) -> None:
        if isinstance(event, Opened):
            self._link.received(self, event, received_at)
        elif isinstance(event, Poll):
            if event.answer:
                self._write_soon(event.answer)
        elif isinstance(event, Rejected):
            self._link.event("message_rejected", peer=self.peer, problem=event.code)
        else:
            self._link.event(
                "message_error",
                peer=self.peer,
                field="header",
                problem=event.problem,
                offset=event.offset,
                length=event.length,
            )

    def _read_or_wait(self) -> None:
        """Read on where the peer reads too and all that came is taken."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._is_stuck or self._backlog_at is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _give_up(self) -> None:
        self._link.event("peer_not_reading", peer=self.peer, seconds=NOT_READING_SECONDS)
        self.abort()

    def _wait_for_more(self) -> None:
        if not self._link.idle_timeout_s:
            return
        if self._idle is not None:
            self._idle.cancel()
        self._idle = self._loop.call_later(self._link.idle_timeout_s, self._idle_over)

    def _watch_frame(self, *, is_new: bool) -> None:
        """A frame that has begun is to end in time: a byte now and then does not make it last."""
        if self._amid_frame is not None and is_new:
            self._amid_frame.cancel()
            self._amid_frame = None
        seconds = self._link.frame_timeout_s
        if self._amid_frame is None and seconds and self._receiver.is_amid_frame:
            self._amid_frame = self._loop.call_later(seconds, self._frame_over)

    def _frame_over(self) -> None:
        self._amid_frame = None
        if self._receiver.is_amid_frame and self._backlog_at is None:
            self._link.event("frame_timeout", peer=self.peer, seconds=self._link.frame_timeout_s)
            self.close()

    def _idle_over(self) -> None:
        self._link.event("idle_timeout", peer=self.peer, seconds=self._link.idle_timeout_s)
        self.close()


def _tune(link: socket.socket) -> None:
    """Bound what the kernel keeps for a peer that does not read, and notice one that is gone."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WRITE_BUFFER_MAX)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", KEEPALIVE_IDLE),
        ("TCP_KEEPINTVL", KEEPALIVE_INTERVAL),
        ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ("TCP_USER_TIMEOUT", UNACKNOWLEDGED_MS),
    ):
        if hasattr(socket, option):  # not every system has each
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
