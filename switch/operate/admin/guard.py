"""Who may ask the admin port, and what its answers may do in a browser."""

from __future__ import annotations

import hmac
import ipaddress
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import hdrs, web

from switch.operate.admin_error import AdminError
from switch.settings import Address

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
OnEvent = Callable[..., None]

#: What an orchestrator asks: it says nothing, and has no token.
PROBES = frozenset({"/healthz", "/readyz"})
#: A token that can be guessed guards nothing.
TOKEN_MIN = 16
#: Rights to a token's file that nobody but owner and group may have.
_TOO_OPEN = stat.S_IRWXO

#: Nothing from elsewhere, nothing inline, no text that becomes markup, in nobody's frame.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    hdrs.CONTENT_SECURITY_POLICY: POLICY,
    hdrs.X_CONTENT_TYPE_OPTIONS: "nosniff",
    hdrs.CACHE_CONTROL: "no-store",
    hdrs.REFERRER_POLICY: "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """Stands before every handler."""

    def __init__(
        self,
        address: Address,
        token: bytes | None,
        open_paths: frozenset[str],
        *,
        on_event: OnEvent,
    ) -> None:
        """`token`: who asks shows it, but for the probes and `open_paths`; none asks nobody.

        On loopback a request must name this machine from within: a page from elsewhere, whose
        host name was made to point here, names another.
        """
        self._is_loopback = address.is_loopback
        self._token = token
        self._open_paths = open_paths | PROBES
        self._on_event = on_event

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or let the handler answer."""
        if request.path not in PROBES and self._is_loopback and not _is_here(request.host):
            return refusal(403, "ask for 127.0.0.1 or localhost, not another name")
        if request.path not in self._open_paths and not self._has_token(request):
            answer = refusal(401, "a token is needed: Authorization: Bearer …")
            answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return answer
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - a bug: what it says may be of a card
            self._on_event("admin_fault", error=error)
            return refusal(500, "a bug: the log has a line of it")

    def _has_token(self, request: web.Request) -> bool:
        if self._token is None:
            return True
        kind, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        shown = given.strip().encode("utf-8", "surrogateescape")
        is_right = kind.lower() == "bearer" and hmac.compare_digest(shown, self._token)
        if not is_right and given:
            self._on_event("admin_refused", peer=request.remote, problem="wrong token")
        return is_right


async def add_headers(_: web.BaseRequest, response: web.StreamResponse) -> None:
    """On every answer, also those that refuse; none names the server."""
    response.headers.update(HEADERS)
    response.headers.pop(hdrs.SERVER, None)


def refusal(status: int, problem: str) -> web.Response:
    """An answer that says in one line what was wrong."""
    return web.json_response({"error": problem}, status=status)


def read_token(path: Path | None) -> bytes | None:
    """The token of a file, none where there is no file. Raises `AdminError`."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            token = file.read().strip()
    except OSError as error:
        raise AdminError(f"admin.token_file: cannot be read: {error.strerror}") from None
    if mode & _TOO_OPEN:
        raise AdminError("admin.token_file: others may read or change it: chmod 600, or 640")
    if len(token) < TOKEN_MIN or not token.isascii() or len(token.split()) != 1:
        raise AdminError(
            f"admin.token_file: must have one line of {TOKEN_MIN} characters or more, "
            "as `openssl rand -hex 32` makes it"
        )
    return token


def _is_here(host: str) -> bool:
    """Whether a Host header names this machine from within, whatever port leads here."""
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
