"""Writing the log makes nobody wait, and says what it lost."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

from switch.log_writer import FLUSH_S, IDLE_S, LogWriter

ROOT = Path(__file__).parent.parent


def test_a_stream_that_does_not_block_gets_every_line() -> None:
    """Standard output can have been set so by who shares it."""
    reader, stream = os.pipe()
    os.set_blocking(stream, False)
    writer = LogWriter(10_000, stream, lambda count: b"lost %d\n" % count)
    lines = [b"%0999d\n" % number for number in range(300)]
    for line in lines:
        writer.write(line)
    received = b""
    while len(received) < 300_000:
        received += os.read(reader, 4096)
    writer.stop()
    os.close(reader)
    os.close(stream)
    assert b"".join(lines) == received


def test_a_writer_that_sleeps_is_woken() -> None:
    """After a silence the next line is written at once, and a stop tells what was lost."""
    reader, stream = os.pipe()
    writer = LogWriter(10, stream, lambda count: b"lost %d\n" % count)
    for line in (b"first\n", b"second\n"):
        began = time.monotonic()
        while not writer._is_asleep:
            assert time.monotonic() - began < IDLE_S + 5
            time.sleep(0.01)
        writer.write(line)
        assert select.select([reader], [], [], 5)[0]
        assert line == os.read(reader, 100)
    while not writer._is_asleep:
        time.sleep(0.01)
    writer._lose(1)  # as a line that came while the queue was full, and nothing after it
    writer.stop()
    assert not writer._thread.is_alive()
    assert select.select([reader], [], [], 0)[0]
    assert b"lost 1\n" == os.read(reader, 100)
    os.close(reader)
    os.close(stream)


def test_stopping_waits_only_so_long_for_a_reader() -> None:
    """A reader that is stuck for good does not keep the switch from stopping."""
    reader, stream = os.pipe()
    writer = LogWriter(10_000, stream, lambda count: b"lost %d\n" % count)
    for _ in range(200):
        writer.write(b"x" * 1000)
    began = time.monotonic()
    writer.stop()
    assert FLUSH_S <= time.monotonic() - began < FLUSH_S + 1
    writer.write(b"late\n")
    assert writer.log_dropped_total == 1
    os.close(reader)  # the stuck write fails now, and its thread ends
    writer._thread.join(1)
    os.close(stream)


#: Writes 5,000 lines while its event loop ticks, tells how that went, and stops on a signal.
UNREAD = """
import asyncio, sys, time
from switch.log import MessageLog, configure, get_logger

async def main():
    writer, messages, gap = configure("info", 100), MessageLog(get_logger("flows")), 0.0
    for number in range(5000):
        before = time.monotonic()
        messages.write({"stan": f"{number:06}", "merchant": "CORNER SHOP " * 20})
        await asyncio.sleep(0)
        gap = max(gap, time.monotonic() - before)
        if number % 100 == 0:
            await asyncio.sleep(0.002)
    print(writer.log_dropped_total, gap, file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    writer.stop()

asyncio.run(main())
"""


def test_a_reader_that_is_stuck_stalls_nobody() -> None:
    """A standard output that nobody reads loses lines, counted and told, and no time."""
    with subprocess.Popen(
        [sys.executable, "-c", UNREAD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        dropped, gap = process.stderr.readline().split()
        process.stdin.write("read now\n")
        process.stdin.close()
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait(10) == 0
    lost = [line["count"] for line in lines if line["event"] == "log_lines_lost"]
    written = [line["stan"] for line in lines if line["event"] == "message"]
    assert int(dropped) > 4000
    assert float(gap) < 1
    assert int(dropped) == sum(lost)
    assert len(written) + sum(lost) == 5000
    assert sorted(written) == written
    assert next(line["level"] for line in lines if line["event"] == "log_lines_lost") == "warning"
