"""Viewers of what happens now: each is told the same bytes, and none is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import hdrs, web

from switch.operate.admin.guard import refusal

#: Who watches at once. One more is refused: a page left open in a hundred tabs costs nobody.
VIEWERS_MAX = 32
#: Beats that a viewer may be behind. One more drops it: its page connects anew.
BEHIND_MAX = 3
#: What the kernel keeps for a viewer that does not read, in bytes.
SEND_BUFFER = 65_536

_Waiting = asyncio.Queue[bytes | None]


class Viewers:
    """Those who watch."""

    def __init__(self) -> None:
        self._viewers: dict[_Waiting, asyncio.Transport] = {}
        self._is_closed = False
        self._last = b""

    def __len__(self) -> int:
        return len(self._viewers)

    def tell(self, told: bytes) -> None:
        """Tell everybody one JSON value, at once; drop those who are too far behind."""
        self._last = frame = b"data: " + told + b"\n\n"
        for waiting, transport in tuple(self._viewers.items()):
            try:
                waiting.put_nowait(frame)
            except asyncio.QueueFull:
                self._drop(waiting, transport)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        """Serve one viewer as server-sent events, from the last value on, until it goes."""
        transport = request.transport
        if self._is_closed or len(self) >= VIEWERS_MAX or transport is None:
            answer = refusal(503, f"{VIEWERS_MAX} viewers watch already, or the switch stops")
            answer.headers[hdrs.RETRY_AFTER] = "5"
            return answer
        bound = transport.get_extra_info("socket")
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        waiting: _Waiting = asyncio.Queue(BEHIND_MAX)
        self._viewers[waiting] = transport
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream"})
        response.force_close()
        try:
            await response.prepare(request)
            told: bytes | None = self._last
            while told is not None:
                await response.write(told)
                told = await waiting.get()
        except ConnectionResetError:
            pass  # it went, or was dropped
        finally:
            self._viewers.pop(waiting, None)
        return response

    def close(self) -> None:
        """Let all viewers go, and take no more."""
        self._is_closed = True
        for waiting, transport in tuple(self._viewers.items()):
            with contextlib.suppress(asyncio.QueueFull):
                waiting.put_nowait(None)
                continue
            self._drop(waiting, transport)

    def _drop(self, waiting: _Waiting, transport: asyncio.Transport) -> None:
        self._viewers.pop(waiting, None)
        transport.abort()
