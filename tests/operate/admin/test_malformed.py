"""What is no HTTP, and what is none of the port's."""

from __future__ import annotations

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from switch.operate.admin.guard import HEADERS
from tests.operate.test_admin import Watched
from tests.process import PATIENCE_SECONDS
from tests.traffic import PLAIN

PAN = PLAIN.pan.encode()
LAST = b"Connection: close\r\n"
HOST = b"Host: localhost\r\n" + LAST

#: What is sent, and the status of the answer.
SENT = [
    (b"GET /api/search?q=%s\xd9 HTTP/1.1\r\n%s\r\n" % (PAN, HOST), 400),
    (b"%s\r\n\r\n" % PAN, 400),
    (b"GET /api/search?q=%s HTTP/1.1\r\n%s\r\n" % (PAN * 600, HOST), 400),
    (b"GET /healthz HTTP/1.1\r\n%sX: %s\r\n\r\n" % (HOST, PAN * 600), 400),
    (b"GET /healthz HTTP/1.1\r\n%s%s\r\n\r\n" % (HOST, PAN), 400),
    (b"GET /api/search?q=%s HTTP/1.1\r\n%s\r\n" % (PAN, LAST), 400),
    (b"GET /healthz HTTP/1.1\r\n%sExpect: %s\r\n\r\n" % (HOST, PAN), 417),
    (b"POST /%s HTTP/1.1\r\n%sTransfer-Encoding: chunked\r\n\r\n%s\r\n" % (PAN, HOST, b"Z"), 400),
]


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Watched]:
    """A running switch with its admin port."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        watched = Watched(Path(folder))
        try:
            watched.start()
            yield watched
        finally:
            watched.end()


def answered(port: int, sent: bytes) -> bytes:
    """All that comes back over a raw socket, until the other side ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as link:
        link.sendall(sent)
        return b"".join(iter(lambda: link.recv(65_536), b""))


@pytest.mark.parametrize(("sent", "status"), SENT)
def test_what_is_no_request_is_answered_in_a_fixed_line(
    switch: Watched, sent: bytes, status: int
) -> None:
    """The answer has nothing of what was sent, and the headers of any other; the log no error."""
    head, _, body = answered(switch.admin_port, sent).decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    assert f"HTTP/1.{'1' if status != 400 else '0'} {status}" == first[:12]
    headers = dict(line.split(": ", 1) for line in lines)
    assert headers | HEADERS == headers
    assert "Server" not in headers
    assert {"error"} == json.loads(body).keys()
    for word in (PLAIN.pan, PLAIN.pan[-8:], "xd9", "aiohttp"):
        assert word not in head + body
    assert [] == switch.lines("library_message") + switch.lines(level="error")


@pytest.mark.parametrize("path", ["/api/live", "/api/log"])
def test_a_stream_has_no_head(switch: Watched, path: str) -> None:
    """HEAD of what never ends is refused: it would be a viewer that is told nothing."""
    sent = f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert answered(switch.admin_port, sent.encode()).startswith(b"HTTP/1.1 405 ")
