"""AWS KMS on 127.0.0.1: moto's, behind a door that can be slow, shut, or lie."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

import boto3

REGION = "eu-central-1"
ALIAS = "alias/vault"
#: What the default credential chain finds first. The endpoint takes any.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",  # pragma: allowlist secret
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}
#: What a peer says that nobody should repeat.
SAID = "the principal 4761739000000012 may not"
#: A key that nobody asked for.
OTHER_KEY = bytes(range(32))

_JSON = "application/x-amz-json-1.1"


class KmsDoor(ThreadingHTTPServer):
    """Passes questions on to moto, or does what `behaviour` says, which may change meanwhile."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, moto: tuple[str, int], port: int = 0, visitor: type[Visitor] | None = None
    ) -> None:
        super().__init__(("127.0.0.1", port), visitor or Visitor)
        self.moto = moto
        self.behaviour = "answers"
        self.asked: list[str] = []  #: what, in order
        self.is_closing = threading.Event()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Visitor(BaseHTTPRequestHandler):
    """A call at the door."""

    server: KmsDoor

    def do_POST(self) -> None:
        """Note what is asked, and do what is due."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        operation = self.headers["X-Amz-Target"].partition(".")[2]
        self.server.asked.append(operation)
        self.act(self.due(operation, body), body)

    def due(self, operation: str, body: bytes) -> str:
        """What this call gets."""
        del operation, body
        return self.server.behaviour

    def act(self, behaviour: str, body: bytes) -> None:
        """Do what it says."""
        match behaviour:
            case "answers":
                with contextlib.suppress(OSError):  # moto may be gone: then this is too
                    self.say(*self.passed_on(body))
            case "is silent":
                self.server.is_closing.wait()
            case "drips":
                self._drip()
            case "hangs up":
                self.close_connection = True
            case "talks nonsense":
                self.say(200, b"<html>")
            case "says nothing":
                self.say(200, b"{}")
            case "lies":
                said = {"Plaintext": base64.b64encode(OTHER_KEY).decode(), "KeyId": "x"}
                self.say(200, json.dumps(said).encode())
            case "is broken":
                self.say(500, b"{}")
            case error:
                said = {"__type": error, "message": SAID}
                self.say(400, json.dumps(said).encode())

    def passed_on(self, body: bytes) -> tuple[int, bytes]:
        """What moto answers to it: status and body."""
        connection = http.client.HTTPConnection(*self.server.moto)
        try:
            headers = dict(self.headers) | {"Content-Length": str(len(body))}
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        with contextlib.suppress(OSError):
            while not self.server.is_closing.wait(0.02):
                self.wfile.write(b" ")
                self.wfile.flush()

    def say(self, status: int, body: bytes) -> None:
        """Answer."""
        with contextlib.suppress(OSError):  # who asked may be gone
            self.send_response(status)
            self.send_header("Content-Type", _JSON)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody wants to read it."""


@contextlib.contextmanager
def moto_kms() -> Iterator[tuple[str, int]]:
    """Moto's KMS with one key under `ALIAS`: its host and port."""
    from moto.server import ThreadedMotoServer  # seconds, for those alone who need it

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        _forget(host, port)  # what another test of this process made
        client = boto3.session.Session(
            aws_access_key_id="testing", aws_secret_access_key="testing", region_name=REGION
        ).client("kms", endpoint_url=f"http://{host}:{port}")
        try:
            key_id = client.create_key()["KeyMetadata"]["KeyId"]
            client.create_alias(AliasName=ALIAS, TargetKeyId=key_id)
        finally:
            client.close()
        yield host, port
    finally:
        server.stop()


def _forget(host: str, port: int) -> None:
    connection = http.client.HTTPConnection(host, port)
    connection.request("POST", "/moto-api/reset")
    assert 200 == connection.getresponse().status
    connection.close()


DoorT = TypeVar("DoorT", bound=KmsDoor)


@contextlib.contextmanager
def door(moto: tuple[str, int], port: int = 0) -> Iterator[KmsDoor]:
    """A door to it, open."""
    with opened(KmsDoor(moto, port)) as one:
        yield one


@contextlib.contextmanager
def opened(one: DoorT) -> Iterator[DoorT]:
    """A door that answers, until nobody needs it."""
    thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield one
    finally:
        one.is_closing.set()
        one.shutdown()
        one.server_close()
        thread.join()
