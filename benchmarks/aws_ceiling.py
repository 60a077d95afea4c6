"""
How many questions a second one process gets through boto3, and what one costs.

    python -m benchmarks.aws_ceiling                  # 16, 32, 64 threads, answers after 15 ms
    python -m benchmarks.aws_ceiling --delay-ms 0 --threads 16

The service is a simulator in a process of its own, which answers after a fixed time; in plain
HTTP, so that TLS is not in the figures. A closed loop keeps twice as many questions in flight as
there are threads. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from cryptography.utils import CryptographyDeprecationWarning

warnings.simplefilter("ignore", CryptographyDeprecationWarning)  # psec passes short keys

from keys.aws import AwsHsm  # noqa: E402 - see above
from keys.hsm import CardVerificationValue, Verdict  # noqa: E402
from tests.contract.keys import KEYS, REFS  # noqa: E402
from tests.hsm_aws.control import (  # noqa: E402
    REGION,
    by_identifier,
    control_plane,
    entries,
)
from tests.hsm_aws.formulas import cvv  # noqa: E402
from tests.hsm_aws.operations import Held  # noqa: E402

PAN = "4000123456789017"
OF = CardVerificationValue("2912", "201")

#: Seconds before a measurement in which nothing is counted.
WARM_UP = 1.0

#: Seconds. Whatever else runs on the machine makes a question cost more, never less: the cheapest
#: window is the nearest to its price.
WINDOW = 0.5


@dataclass(frozen=True)
class Figures:
    """One measurement."""

    threads: int
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us: float  #: of this process, each question: of the cheapest window
    cpu_share: float  #: of one processor, this process
    simulator_share: float  #: of one processor, the simulator's


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[16, 32, 64])
    parser.add_argument("--delay-ms", type=float, default=15.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    arguments = parser.parse_args()
    print("threads  a second  p50 ms  p99 ms  CPU µs each  of a processor: here  simulator")
    told = []
    with control_plane({"cvk": KEYS["cvk"]}) as (control, held):
        for threads in arguments.threads:
            with simulator(held, arguments.delay_ms) as (url, pid):
                hsm = AwsHsm(
                    entries(held),
                    region=REGION,
                    endpoint_url=url,
                    control_endpoint_url=control.url,
                    connections=threads,
                    budget=10.0,
                )
                figures = asyncio.run(measure(hsm, threads, arguments.seconds, pid))
            print(
                f"{figures.threads:7}  {figures.per_s:8.0f}  {figures.p50_ms:6.1f}  "
                f"{figures.p99_ms:6.1f}  {figures.cpu_us:11.0f}  {figures.cpu_share:20.0%}  "
                f"{figures.simulator_share:9.0%}",
                flush=True,
            )
            told.append(asdict(figures))
    print(json.dumps({"delay_ms": arguments.delay_ms, "measured": told}))


async def measure(hsm: AwsHsm, threads: int, seconds: float, pid: int) -> Figures:
    """Keep the threads busy for so long; give what they reached."""
    code = cvv(KEYS["cvk"].material, PAN, OF.expiry, OF.service_code)
    await hsm.open()
    took: list[float] = []
    stop = asyncio.Event()

    async def ask() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            verdict = await hsm.verify_card_code(REFS["cvk"], OF, pan=PAN, code=code)
            assert verdict is Verdict.MATCH
            took.append(time.perf_counter() - began)

    askers = [asyncio.create_task(ask()) for _ in range(2 * threads)]
    await asyncio.sleep(WARM_UP)
    took.clear()
    marks = [(time.perf_counter(), time.process_time(), len(took))]
    theirs = cpu_of(pid)
    while marks[-1][0] < marks[0][0] + seconds:
        await asyncio.sleep(WINDOW)
        marks.append((time.perf_counter(), time.process_time(), len(took)))
    theirs = cpu_of(pid) - theirs
    elapsed, cpu, count = (last - first for first, last in zip(marks[0], marks[-1], strict=True))
    counted = sorted(took[: int(count)])
    stop.set()
    await asyncio.gather(*askers)
    await hsm.close()
    return Figures(
        threads,
        count / elapsed,
        statistics.median(counted) * 1000,
        counted[int(len(counted) * 0.99)] * 1000,
        min((c[1] - b[1]) / (c[2] - b[2]) for b, c in pairwise(marks) if c[2] > b[2]) * 1e6,
        cpu / elapsed,
        theirs / elapsed,
    )


def cpu_of(pid: int) -> float:
    """Seconds of a processor that a process has used (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def simulator(held: Mapping[str, Held], delay_ms: float) -> Iterator[tuple[str, int]]:
    """Start the simulator in a process of its own; give its address and process id."""
    keys = {
        identifier: {
            "arn": of.arn,
            "kcv": of.kcv,
            "material": of.key.material.hex(),
            "usage": of.key.usage,
            "algorithm": of.key.algorithm,
        }
        for identifier, of in by_identifier(held).items()
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.write_text(json.dumps(keys), "utf-8")
        command = [sys.executable, "-W", "ignore", "-m", "tests.hsm_aws.simulator"]
        command += ["--keys", str(file), "--delay-ms", str(delay_ms)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            try:
                yield process.stdout.readline().strip(), process.pid
            finally:
                # With its standard input the simulator ends.
                process.communicate(timeout=10)


if __name__ == "__main__":
    main()
