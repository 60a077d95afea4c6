"""A log that nobody reads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from pathlib import Path

from tests.client import all_of, connected
from tests.process import PATIENCE_SECONDS, Switch, eventually, free_port
from tests.traffic import PLAIN, code, purchase

#: More than a pipe and the queue of lines hold.
MESSAGES, QUEUE_MAX = 800, 100


async def test_a_log_that_nobody_reads_stops_nothing(quick_path: Path) -> None:
    """With a full pipe as its stdout a switch decides on; what was lost is counted and told."""
    port = free_port()
    switch = Switch(
        quick_path, links__0__listen=f"127.0.0.1:{port}", log__queue_max=QUEUE_MAX
    )  # fmt: skip
    try:
        switch.start(stdout=subprocess.PIPE, wait=False)

        async def serves() -> bool:
            try:
                async with connected(port):
                    return True
            except ConnectionRefusedError:
                return False

        await eventually(serves, "a link")
        async with connected(port) as client:
            for _ in range(MESSAGES // 100):
                answers = await all_of([client.send(purchase(PLAIN, 1)) for _ in range(100)])
                assert {"00"} == set(map(code, answers))

        assert switch.process is not None
        assert switch.process.stdout is not None
        reading = asyncio.create_task(asyncio.to_thread(switch.process.stdout.read))
        await asyncio.sleep(0.3)  # the pipe runs empty, and what was lost is told
        os.kill(switch.pid, 15)
        async with asyncio.timeout(PATIENCE_SECONDS):
            lines = [json.loads(line) for line in (await reading).splitlines()]
        assert 0 == await asyncio.to_thread(switch.wait)
        switch.process.stdout.close()
    finally:
        switch.end()
    written = sum(line["event"] == "message" for line in lines)
    lost = sum(line["count"] for line in lines if line["event"] == "log_lines_lost")
    assert 0 < written < MESSAGES
    assert lost > 0
    assert written + lost >= MESSAGES


async def test_a_stopping_switch_does_not_wait_for_a_reader(quick_path: Path) -> None:
    """SIGTERM ends a switch whose stdout is a full pipe."""
    port = free_port()
    switch = Switch(quick_path, links__0__listen=f"127.0.0.1:{port}")
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with open(writer, "wb", closefd=False) as pipe:  # noqa: ASYNC230 - a descriptor
        pipe.raw.write(bytes(1 << 20))
    os.set_blocking(writer, True)
    try:
        switch.start(stdout=writer, wait=False)

        async def serves() -> bool:
            try:
                async with connected(port) as client:
                    return code(await client.ask(purchase(PLAIN, 1))) == "00"
            except ConnectionRefusedError:
                return False

        await eventually(serves, "an approval")
        assert 0 == await asyncio.to_thread(switch.stop)
        assert [] == switch.postgres_pids()
    finally:
        switch.end()
        os.close(reader)
        os.close(writer)
