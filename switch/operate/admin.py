"""The read-only admin port: health, readiness, metrics, links and the log over HTTP."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from switch.operate.admin_error import AdminError
from switch.operate.log_stream import LogStream
from switch.operate.metrics import Metrics
from switch.settings import Address


class Admin:
    """A small HTTP server on a loopback address."""

    def __init__(
        self,
        address: Address,
        metrics: Metrics,
        readiness: Callable[[], list[str]],
        links: Callable[[], list[dict[str, object]]],
    ) -> None:
        """`readiness` names what is not ready; nothing is ready. `links` tells of each link."""
        self._address = address
        self._metrics = metrics
        self._readiness = readiness
        self._links = links
        app = web.Application()
        app.add_routes(
            [
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
                web.get("/metrics", self._render),
                web.get("/api/links", self._api_links),
            ]
        )
        LogStream().mount(app)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen. Raises `AdminError` where the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise AdminError(
                f"admin: cannot listen on {self._address}: {error.strerror or 'refused'}"
            ) from None

    async def stop(self) -> None:
        """Close."""
        await self._runner.cleanup()

    async def _healthz(self, _: web.Request) -> web.Response:
        """The event loop turns, or this would not be answered."""
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        missing = self._readiness()
        if missing:
            return web.Response(status=503, text=f"not ready: {', '.join(missing)}\n")
        return web.Response(text="ready\n")

    async def _api_links(self, _: web.Request) -> web.Response:
        return web.json_response({"links": self._links()})

    async def _render(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )
