"""The read-only admin port: what is asked for where, and its start and stop."""

from __future__ import annotations

import ssl

from aiohttp import hdrs, web

from switch.ledger.reading import Reading
from switch.operate.admin import static
from switch.operate.admin.asking import Asking
from switch.operate.admin.guard import Guard, OnEvent, add_headers
from switch.operate.admin.live import Viewers
from switch.operate.admin.malformed import Runner
from switch.operate.admin.pulse import Pulse, Watched
from switch.operate.admin_error import AdminError
from switch.operate.log_stream import LogStream
from switch.settings import Address

#: How long a stopping port waits for answers that are under way, in seconds.
STOP_SECONDS = 1.0


class Admin:
    """A small HTTP server."""

    def __init__(
        self,
        address: Address,
        watched: Watched,
        reading: Reading,
        *,
        token: bytes | None = None,
        tls: ssl.SSLContext | None = None,
        on_event: OnEvent,
    ) -> None:
        """`token` is asked of all but probes, and of those who load the page's own files."""
        self._address = address
        self._watched = watched
        self._tls = tls
        self._reading = reading
        self._viewers = Viewers()
        self._pulse = Pulse(watched, on_beat=self._viewers.tell, on_event=on_event)
        asking = Asking(reading)
        open_paths = frozenset(map(static.path_of, static.FILES))
        guard = Guard(address, token, open_paths, on_event=on_event)
        app = web.Application(middlewares=[guard.middleware])
        app.on_response_prepare.append(add_headers)
        app.add_routes(
            [
                *static.routes(),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._metrics),
                web.get("/api/links", self._links),
                web.get("/api/now", self._now),
                web.get("/api/history", self._history),
                web.get("/api/live", self._viewers.watch, allow_head=False),
                web.get("/api/search", asking.search),
                web.get("/api/why/{place}", asking.why),
            ]
        )
        LogStream().mount(app)
        self._runner = Runner(app, shutdown_timeout=STOP_SECONDS)

    async def start(self) -> None:
        """Listen. Raises `AdminError` where the address cannot be had."""
        await self._reading.open()
        await self._runner.setup()
        host, port = self._address.host, self._address.port
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        except OSError as error:
            await self.stop()
            raise AdminError(
                f"admin: cannot listen on {self._address}: {error.strerror or 'refused'}"
            ) from None
        self._pulse.start()

    async def stop(self) -> None:
        """Close."""
        await self._pulse.stop()
        self._viewers.close()
        await self._runner.cleanup()
        await self._reading.close()

    async def _healthz(self, _: web.Request) -> web.Response:
        """The event loop turns, or this would not be answered."""
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._watched.missing()
        if missing:
            return web.Response(status=503, text=f"not ready: {', '.join(missing)}\n")
        return web.Response(text="ready\n")

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._watched.metrics.render(),
            headers={hdrs.CONTENT_TYPE: "text/plain; version=0.0.4; charset=utf-8"},
        )

    async def _links(self, _: web.Request) -> web.Response:
        return web.json_response({"links": self._watched.links()})

    async def _now(self, _: web.Request) -> web.Response:
        return web.Response(body=self._pulse.latest, content_type="application/json")

    async def _history(self, _: web.Request) -> web.Response:
        return web.Response(body=self._pulse.history(), content_type="application/json")
