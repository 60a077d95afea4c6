"""
The data plane of AWS Payment Cryptography on 127.0.0.1: a real HTTP server in a thread.

It refuses what the service's model refuses, and what is not signed for the service; it can be
slow, throttle, fail, never answer, and lie.

    python -m tests.hsm_aws.simulator --keys FILE --delay-ms 15    # a process; prints its address
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from keys.keyfile import Key
from tests.hsm_aws.model import InvalidShape, service, validate
from tests.hsm_aws.operations import Held, Operations, Refused, invalid

SERVICE = "payment-cryptography-data"

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[a-z0-9-]+/payment-cryptography/aws4_request, "
    r"SignedHeaders=[a-z0-9;-]*host[a-z0-9;-]*x-amz-date[a-z0-9;-]*, Signature=[0-9a-f]{64}"
)


class Simulator:
    """The server and its knobs, which may be turned while it runs."""

    def __init__(self, keys: Mapping[str, Held]) -> None:
        self.operations = Operations(keys)
        self.delay = 0.0  #: seconds before each answer
        self.silent = False  #: accept, read, never answer
        self.refusal: Refused | None = None  #: to every request
        self.refusals: dict[str, Refused] = {}  #: to requests of an operation
        self.lie = (
            ""  #: garbage, nothing, other-key, other-arn, other-reason, truncated, short, huge
        )
        self.asked: list[tuple[str, dict[str, Any]]] = []  #: operation and request, in order
        self.connections: set[tuple[str, int]] = set()
        self._by_path = {
            service(SERVICE).operation_model(name).http["requestUri"]: name
            for name in service(SERVICE).operation_names
        }
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where it listens; the same after a stop and a start."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, from a thread."""
        self._ready.clear()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Close every connection: what comes now is refused."""
        if self._thread is None or self._loop is None or self._stop is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None

    def mend(self) -> None:
        """Begin anew, with every knob as it was and nothing asked."""
        self.stop()
        self.delay, self.silent, self.lie, self.refusal = 0.0, False, "", None
        self.refusals.clear()
        self.operations.untranslated.clear()
        self.operations.no_pin_block_is_invalid_pin = True
        self.asked.clear()
        self.connections.clear()
        self.start()

    def operations_asked(self) -> list[str]:
        """The operations, in order."""
        return [operation for operation, _ in self.asked]

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self.connections.add(request.transport.get_extra_info("peername"))
        body = await request.read()
        due = time.monotonic() + self.delay
        if self.silent and self._stop is not None:
            await self._stop.wait()
        try:
            answer = self._answer(request, body)
        except Refused as refused:
            answer = _Answer(refused.fields, refused.status, refused.code)
        await asyncio.sleep(due - time.monotonic())
        return await self._send(request, self._twisted(answer))

    def _answer(self, request: web.Request, body: bytes) -> _Answer:
        name = self._by_path.get(request.path)
        if name is None:
            raise Refused("UnknownOperationException", 404, message="no such path")
        if _SIGNED.fullmatch(request.headers.get("Authorization", "")) is None:
            raise Refused("IncompleteSignatureException", 403, message="not signed")
        parameters = _parsed(body)
        self.asked.append((name, parameters))
        model = service(SERVICE).operation_model(name)
        try:
            validate(model.input_shape, parameters)
        except InvalidShape as error:
            raise invalid(str(error)) from None
        refusal = self.refusals.get(name, self.refusal)
        if refusal is not None:
            raise refusal
        ask = getattr(self.operations, re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower())
        fields: dict[str, Any] = ask(parameters)
        validate(model.output_shape, fields)
        return _Answer(fields)

    def _twisted(self, answer: _Answer) -> _Answer:
        """The answer as a liar tells it."""
        fields = dict(answer.fields)
        match self.lie:
            case "nothing":
                fields = {}
            case "other-key":
                fields |= {name: "000000" for name in fields if name.endswith("CheckValue")}
            case "other-arn":
                arn = "arn:aws:payment-cryptography:us-east-1:123456789012:key/0000000000000000"
                fields |= {name: arn for name in fields if name.endswith("Arn")}
            case "other-reason":
                return _Answer(
                    {"Message": "failed", "Reason": "INVALID_SOMETHING"},
                    400,
                    "VerificationFailedException",
                )
            case "short":
                secret = {"AuthResponseValue", "Mac", "PinBlock"}
                fields |= {name: fields[name][:-2] for name in secret & fields.keys()}
            case "no-code":
                return _Answer({"message": "no"}, 400, "4000123412341234")
        return _Answer(fields, answer.status, answer.code)

    async def _send(self, request: web.Request, answer: _Answer) -> web.StreamResponse:
        body = json.dumps(answer.fields).encode()
        headers = {"x-amzn-ErrorType": answer.code} if answer.code else {}
        if self.lie == "garbage":
            body, headers = b"\xff\x00<html>" * 9, {}
        if self.lie == "truncated":
            return await _truncated(request, body)
        return web.Response(
            body=body, status=answer.status, headers=headers, content_type="application/json"
        )


class _Answer:
    def __init__(self, fields: Mapping[str, Any], status: int = 200, code: str = "") -> None:
        self.fields, self.status, self.code = fields, status, code


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        parameters = json.loads(body)
    except ValueError:
        raise invalid("not JSON") from None
    if not isinstance(parameters, dict):
        raise invalid("not an object")
    return parameters


async def _truncated(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce a whole answer, send half of it, and close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=Path, required=True, help="JSON: identifier → key")
    parser.add_argument("--delay-ms", type=float, default=0)
    arguments = parser.parse_args()
    told = json.loads(arguments.keys.read_text("utf-8"))
    simulator = Simulator({name: _held(**fields) for name, fields in told.items()})
    simulator.delay = arguments.delay_ms / 1000
    simulator.start()
    print(simulator.url, flush=True)
    try:
        input()
    except EOFError:
        pass
    finally:
        simulator.stop()


def _held(arn: str, kcv: str, material: str, usage: str, algorithm: str) -> Held:
    key = Key(bytes.fromhex(material), usage=usage, algorithm=algorithm, mode_of_use="N")
    return Held(arn, key, kcv)


if __name__ == "__main__":
    main()
