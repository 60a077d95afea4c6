"""Where the log of a running switch is, and every way in which it is not to be had."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from switch.operate.tail.remote import Place, Remote, RemoteError


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://127.0.0.1:8580",          (False, "127.0.0.1", 8580, "/api/log")),
        ("http://127.0.0.1:8580/",         (False, "127.0.0.1", 8580, "/api/log")),
        ("https://switch.example",         (True, "switch.example", None, "/api/log")),
        ("https://[::1]:9/behind/api/log", (True, "::1", 9, "/behind/api/log")),
    ],
)  # fmt: skip
def test_a_place(url: str, place: tuple[bool, str, int | None, str]) -> None:
    """A URL names the switch; its path may be left out."""
    assert place == Place.parse(url)


@pytest.mark.parametrize(
    "url", ["ftp://x", "http://", "http://x:port", "http://x:99999", "http://me:pw@x", "http://[x"]
)
def test_what_is_no_place(url: str) -> None:
    """It is refused without repeating it: a password may stand in it."""
    with pytest.raises(RemoteError) as refused:
        Place.parse(url)
    assert "pw" not in str(refused.value)


@contextmanager
def saying(*answers: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """Something that answers each connection so, and then closes it; what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                one, _ = server.accept()
                with one:
                    asked.append(one.recv(65536))
                    one.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], asked
        thread.join()


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "--token-file"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",    "admin port of a switch"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 9\r\n\r\n8 read it", "it answers 503 8 read it"),
        (b"HTTP/1.1 500 \r\nContent-Length: 7\r\n\r\n\x1b[2Jno\n",   "it answers 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",         "admin port of a switch"),
        (b"SSH-2.0-OpenSSH_9.6\r\n",                                "BadStatusLine"),
        (b"",                                                       "RemoteDisconnected"),
    ],
)  # fmt: skip
def test_no_log(answer: bytes, why: str) -> None:
    """One line says why, and what to do."""
    with saying(answer) as (port, _), pytest.raises(RemoteError) as refused:
        list(Remote(Place.parse(f"http://127.0.0.1:{port}")).lines())
    assert why in str(refused.value)
    assert str(refused.value).isprintable()


def test_nobody_listens() -> None:
    """The refusal says what to look at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(RemoteError, match=r"Connection refused; is the switch running"):
        list(Remote(Place.parse(f"http://127.0.0.1:{port}")).lines())


@pytest.mark.parametrize(
    "answer",
    [
        STREAM + b"\r\n: x\n\ndata: {1}\n\ndata: {2}\n\n",
        STREAM + b"Transfer-Encoding: chunked\r\n\r\n12\r\ndata: {1}\n\ndata: {\r\n4\r\n2}\n\n\r\n",
        STREAM + b"Transfer-Encoding: chunked\r\n\r\n16\r\ndata: {1}\n\ndata: {2}\n\n\r\nzz\r\n",
    ],
)
def test_lines_until_it_ends(answer: bytes) -> None:
    """They come however it ends; the token goes along."""
    with saying(answer) as (port, asked):
        remote = Remote(Place.parse(f"http://127.0.0.1:{port}"), token="secret")
        first, *batches = remote.lines()
        assert [] == first
        assert [b"{1}", b"{2}"] == [line for batch in batches for line in batch]
    assert asked[0].startswith(b"GET /api/log HTTP/1.1\r\n")
    assert b"Authorization: Bearer secret\r\n" in asked[0]
