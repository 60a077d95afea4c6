"""The page: a few files that any browser reads as they are."""

from __future__ import annotations

from importlib.resources import files

from aiohttp import web

from switch.operate.admin.guard import Handler

#: Every file of the page, and what it is to a browser.
FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "asking.js": "text/javascript",
    "charts.js": "text/javascript",
    "tables.js": "text/javascript",
    "why.js": "text/javascript",
    "search.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "uplot/uPlot.iife.min.js": "text/javascript",
    "uplot/uPlot.min.css": "text/css",
}


def path_of(name: str) -> str:
    """Where a file is served."""
    return "/" if name == "index.html" else f"/{name}"


def routes() -> list[web.RouteDef]:
    """One for each file. They hold no data, so that whoever lacks the token can be asked for it."""
    folder = files("switch.operate.admin").joinpath("page")
    return [
        web.get(path_of(name), _serving(folder.joinpath(name).read_bytes(), kind))
        for name, kind in FILES.items()
    ]


def _serving(body: bytes, kind: str) -> Handler:
    async def serve(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=kind, charset="utf-8")

    return serve
