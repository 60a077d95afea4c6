"""The log of a running switch, from its admin port."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from switch.operate.tail.lines import ServerSentEvents

#: Where the log is, where a URL names only the switch.
PATH = "/api/log"
#: Seconds without a byte after which the switch is gone: it writes something every ten.
SILENCE_S = 30.0
#: Bytes that are read at once.
READ_MAX = 256 * 1024
#: Of what a server says beside its refusal.
_ANSWER_MAX = 200
_DOES = {
    401: "it wants a token: --token-file",
    403: "it wants another token: --token-file",
    404: "there is no log: is it the admin port of a switch?",
}


class RemoteError(Exception):
    """The log cannot be had: why, in one line."""


class Place(NamedTuple):
    """Where a switch's log is."""

    is_tls: bool
    host: str
    port: int | None  #: None is the scheme's own
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """An http or https URL; without a path, that of the log. Raises `RemoteError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise RemoteError("this is no URL: http://127.0.0.1:8580 is one") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise RemoteError("a URL is like http://127.0.0.1:8580 or https://host:port")
        path = parts.path if parts.path.strip("/") else PATH
        return cls(parts.scheme == "https", parts.hostname, port, path)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


class Remote:
    """One switch whose log is read."""

    def __init__(self, place: Place, *, token: str = "", ca: Path | None = None) -> None:
        """`ca` is whom its certificate is verified by, instead of the system's authorities."""
        self._place = place
        self._headers = {"Accept": "text/event-stream"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._tls: ssl.SSLContext | None = None
        if place.is_tls:
            try:
                self._tls = ssl.create_default_context(cafile=ca)
            except (OSError, ssl.SSLError):
                raise RemoteError(f"{ca}: no certificates can be read from it") from None

    def lines(self) -> Iterator[list[bytes]]:
        """Lines as they come, some at a time, none at first, once it is connected.

        Ends where the switch does. Raises `RemoteError` where there is no log to be had.
        """
        connection = self._connection()
        try:
            response = self._asked(connection)
            yield []
            events = ServerSentEvents()
            while data := response.read1(READ_MAX):
                yield events.feed(data)
        except (OSError, http.client.HTTPException):
            return  # it has ended, or nothing more comes from it
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        place = self._place
        if self._tls is None:
            return http.client.HTTPConnection(place.host, place.port, timeout=SILENCE_S)
        return http.client.HTTPSConnection(
            place.host, place.port, timeout=SILENCE_S, context=self._tls
        )

    def _asked(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        try:
            connection.request("GET", self._place.path, headers=self._headers)
            response = connection.getresponse()
        except ssl.SSLCertVerificationError:
            raise RemoteError(f"{self._place}: its certificate is not trusted: --ca") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise RemoteError(
                f"cannot read the log of {self._place}: {reason}; "
                "is the switch running, and is that its admin.listen?"
            ) from None
        if response.status != http.HTTPStatus.OK:
            raise RemoteError(f"{self._place}: {_DOES.get(response.status) or _said(response)}")
        if response.headers.get_content_type() != "text/event-stream":
            raise RemoteError(f"{self._place}: {_DOES[404]}")
        return response


def _said(response: http.client.HTTPResponse) -> str:
    text = response.read(_ANSWER_MAX).decode(errors="replace").partition("\n")[0]
    return f"it answers {response.status} {text if text.isprintable() else ''}".rstrip()
