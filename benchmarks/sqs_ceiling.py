"""
How many events a second the SQS sink gets out, what they cost, and what a loop beside it feels.

    python -m benchmarks.sqs_ceiling                       # flat out, then 100, 500, 1000 a second
    python -m benchmarks.sqs_ceiling --delay-ms 5 --per-second 200

The queue is a stub in a process of its own that takes everything after a fixed time, in plain
HTTP, so that TLS is not in the figures. Each event is of another account. The last line is one
JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import count

from switch.events.event import Event
from switch.events.sqs import SqsSink

#: Events that the publisher hands over at once, and how often it does where it is paced.
STRETCH, EVERY_SECONDS = 200, 0.1
#: How often the event loop beside it looks at the clock, seconds.
TICK_SECONDS = 0.005
#: As long as an approval's.
NOTE = "x" * 500

_QUEUE = {"FifoQueue": "true", "SqsManagedSseEnabled": "true", "RedrivePolicy": "{}"}
_numbers = count(1)


@dataclass(frozen=True)
class Figures:
    """One measurement."""

    asked_per_s: float  #: 0: as fast as it goes
    per_s: float
    cpu_share: float  #: of one processor, this process
    cpu_ms_per_ten: float  #: of this process, ten events
    lag_p99_ms: float
    lag_max_ms: float


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=float, nargs="+", default=[0, 100, 500, 1000])
    parser.add_argument("--delay-ms", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.stub:
        asyncio.run(_stub(arguments.delay_ms / 1000))
        return
    os.environ |= {"AWS_ACCESS_KEY_ID": "stub", "AWS_SECRET_ACCESS_KEY": "stub"}
    print("asked a second  a second  of a processor  CPU ms for ten  lag p99 ms  max ms")
    told = []
    with _stub_process(arguments.delay_ms) as url:
        for per_second in arguments.per_second:
            sink = SqsSink(
                f"{url}/1/x.fifo", region="eu-central-1", endpoint_url=url,
                on_event=lambda *_, **__: None,
            )  # fmt: skip
            sink.publish(_events(STRETCH))  # connections are there
            figures = asyncio.run(measure(sink, per_second, arguments.seconds))
            sink.close()
            print(
                f"{figures.asked_per_s:14.0f}  {figures.per_s:8.0f}  {figures.cpu_share:14.0%}  "
                f"{figures.cpu_ms_per_ten:14.2f}  {figures.lag_p99_ms:10.1f}  "
                f"{figures.lag_max_ms:6.1f}",
                flush=True,
            )
            told.append(asdict(figures))
    print(json.dumps({"delay_ms": arguments.delay_ms, "measured": told}))


async def measure(sink: SqsSink, per_second: float, seconds: float) -> Figures:
    """Publish from a thread for so long, while this loop looks at the clock."""
    stop = threading.Event()
    sent = 0

    def publish() -> None:
        nonlocal sent
        due = time.perf_counter()
        while not stop.is_set():
            events = _events(int(per_second * EVERY_SECONDS) or STRETCH)
            sink.publish(events)
            sent += len(events)
            if per_second:
                due += EVERY_SECONDS
                stop.wait(max(0.0, due - time.perf_counter()))

    lags = []
    began, cpu = time.perf_counter(), time.process_time()
    publishing = asyncio.get_running_loop().run_in_executor(None, publish)
    while time.perf_counter() < began + seconds:
        slept = time.perf_counter()
        await asyncio.sleep(TICK_SECONDS)
        lags.append(time.perf_counter() - slept - TICK_SECONDS)
    stop.set()
    await publishing
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    lags.sort()
    return Figures(
        per_second,
        sent / elapsed,
        cpu / elapsed,
        cpu / sent * 10_000,
        lags[int(len(lags) * 0.99)] * 1000,
        lags[-1] * 1000,
    )


def _events(number: int) -> list[Event]:
    body = json.dumps({"version": 1, "note": NOTE}).encode()
    ids = [f"{next(_numbers):012d}" for _ in range(number)]
    return [Event(each, each, "authorization.approved", body) for each in ids]


async def _stub(delay: float) -> None:
    """Take everything, and say where; ends with its standard input."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
            asked = json.loads(await reader.readexactly(int(fields[b"content-length"])))
            await asyncio.sleep(delay)
            taken = [{"Id": each["Id"]} for each in asked.get("Entries", ())]
            body = json.dumps({"Successful": taken} if taken else {"Attributes": _QUEUE}).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    async def visitor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(visitor, "127.0.0.1")
    print("http://127.0.0.1:{1}".format(*server.sockets[0].getsockname()), flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def _stub_process(delay_ms: float) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.sqs_ceiling", "--stub", "--delay-ms"]
    with subprocess.Popen(
        [*command, str(delay_ms)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.communicate(timeout=10)  # with its standard input it ends


if __name__ == "__main__":
    main()
