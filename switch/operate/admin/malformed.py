"""
What is no HTTP is answered in one fixed line, and the log says nothing of it.

aiohttp answers it by itself, before any handler: it repeats what was sent, which may be of a card,
and logs an error.
"""

from __future__ import annotations

from typing import Any

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from switch.operate.admin.guard import HEADERS, refusal

_PROBLEM = "this is no request that the port understands"


class Runner(web.AppRunner):
    """Serves an application as `web.AppRunner` does, without aiohttp's own words."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handler = made.request_handler

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPExpectationFailed:  # its text has the header that was sent
                return refusal(417, _PROBLEM)

        return _Server(handle, request_factory=made.request_factory, access_log=None)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Protocol(web.RequestHandler):
    __slots__ = ()

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Say nothing of what somebody else did wrong."""
        if not isinstance(kw.get("exc_info"), (HttpProcessingError, web.RequestPayloadError)):
            super().log_exception(*args, **kw)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer in our words what did not come as far as a handler."""
        super().handle_error(request, status, exc, None if message is None else _PROBLEM)
        answer = _Refusal(status)
        answer.force_close()
        return answer


class _Refusal(web.Response):
    """No application's hook is called for it."""

    def __init__(self, status: int) -> None:
        told = refusal(status, _PROBLEM if status < 500 else "a bug: the log has a line of it")
        super().__init__(
            body=told.body, status=status, headers=HEADERS, content_type="application/json"
        )

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.pop(hdrs.SERVER, None)
