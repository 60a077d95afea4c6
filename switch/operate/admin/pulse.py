"""Once a second: read every counter, and tell what the last second and the last minute were."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from keys.guard import GuardedHsm
from keys.hsm import Hsm
from switch.ledger.ledger import Ledger
from switch.operate.admin.figures import Reading, questions, window
from switch.operate.histogram import Histogram
from switch.operate.metrics import Metrics

#: Between two beats, in seconds.
BEAT_SECONDS = 1.0
#: Beats of the longer window, and beats that are remembered: ten minutes.
MINUTE, HISTORY = 60, 600

OnEvent = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the admin port watches."""

    metrics: Metrics
    ledger: Ledger
    hsm: Hsm
    links: Callable[[], list[dict[str, Any]]]  #: each link described
    missing: Callable[[], list[str]]  #: what is not ready
    lines_lost: Callable[[], int]  #: log lines that a stuck reader cost


#: What is remembered of each second: the end of it in seconds since 1970, and its figures.
COLUMNS = (
    "at", "messages_per_second", "p50_ms", "p99_ms", "p999_ms", "approval_rate",
    "declines_per_second", "in_flight", "waiting", "batch_mean",
)  # fmt: skip


class Pulse:
    """The figures of now and of the last ten minutes."""

    def __init__(
        self, watched: Watched, *, on_beat: Callable[[bytes], None], on_event: OnEvent
    ) -> None:
        """`on_beat` is given the figures of each second, as JSON that is encoded once for all."""
        self._watched = watched
        self._on_beat = on_beat
        self._on_event = on_event
        self._readings: deque[Reading] = deque([self._read()], maxlen=MINUTE + 1)
        self._latencies: deque[Histogram] = deque()  # of each beat in the minute
        self._minute = Histogram()  # all of them
        self._history: deque[tuple[Any, ...]] = deque(maxlen=HISTORY)
        self._process = {
            "version": version("iso8583-switch"),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": _text(datetime.now(UTC)),
        }
        self.latest = b""  #: the figures of now, as JSON
        self._beating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to beat."""
        self._beat()
        self._beating = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Beat no more."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)

    def history(self) -> bytes:
        """The last ten minutes as JSON: a list for each of `COLUMNS`, the oldest second first."""
        columns = zip(*self._history, strict=True) if self._history else ((),) * len(COLUMNS)
        return orjson.dumps(dict(zip(COLUMNS, columns, strict=True)))

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + BEAT_SECONDS, loop.time())  # beats that were missed are not made up
            await asyncio.sleep(due - loop.time())
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - a bug here must not silence the page
                self._on_event("admin_fault", error=error)

    def _beat(self) -> None:
        now = self._figures()
        self._history.append(_point(now))
        self.latest = orjson.dumps(now)
        self._on_beat(self.latest)

    def _figures(self) -> dict[str, Any]:
        watched, reading = self._watched, self._read()
        latencies = watched.metrics.take_latencies()
        before = self._readings[-1]
        self._readings.append(reading)
        self._slide(latencies)
        first = self._readings[0]
        links, missing = watched.links(), watched.missing()
        return {
            "at": _text(datetime.now(UTC)),
            "process": self._process | {"memory_bytes": _memory_bytes()},
            "ready": not missing,
            "missing": missing,
            "second": window(before, reading, latencies),
            "minute": window(first, reading, self._minute),
            "links": links,
            "in_flight": sum(link["in_flight"] for link in links),
            "hsm": _hsm(watched.hsm) | {"questions": questions(first, reading)},
            "database": _database(watched.ledger),
            "log_lines_lost": watched.lines_lost(),
        }

    def _slide(self, latencies: Histogram) -> None:
        """Take the newest second into the minute, and the one that fell out of it away."""
        self._latencies.append(latencies)
        self._minute.merge(latencies)
        if len(self._latencies) > MINUTE:
            self._minute.remove(self._latencies.popleft())
            self._minute.max = max(each.max for each in self._latencies)

    def _read(self) -> Reading:
        metrics, sizes = self._watched.metrics, self._watched.ledger.calls["decide"].sizes
        return Reading(
            time.monotonic(),
            time.process_time(),
            metrics.messages(),
            metrics.hsm_questions(),
            metrics.hsm_seconds(),
            sum(sizes.counts),
            int(sizes.sum),
        )


def _hsm(hsm: Hsm) -> dict[str, Any]:
    """One that answers inline has no breaker, and its questions are not counted."""
    if not isinstance(hsm, GuardedHsm):
        return {"backend": hsm.name, "state": "inline", "in_flight": 0}
    return {"backend": hsm.name, "state": hsm.state.value, "in_flight": hsm.in_flight}


def _database(ledger: Ledger) -> dict[str, Any]:
    batchers = ledger.calls.values()
    return {
        "ready": ledger.is_ready,
        "connected": sum(batcher.lanes_ready for batcher in batchers),
        "connections": sum(batcher.lanes for batcher in batchers),
        "waiting": ledger.calls["decide"].waiting,
        "unwinds_pending": ledger.unwinding,
    }


def _point(now: dict[str, Any]) -> tuple[Any, ...]:
    second = now["second"]
    latency = second["latency_ms"]
    seconds = second["seconds"]
    declines = sum(second["declines"].values())
    return (
        round(time.time(), 3),
        second["messages_per_second"],
        latency["p50"],
        latency["p99"],
        latency["p999"],
        second["approval_rate"],
        round(declines / seconds, 1) if seconds else 0.0,
        now["in_flight"],
        now["database"]["waiting"],
        second["batch_mean"],
    )


def _memory_bytes() -> int | None:
    """What this process has in memory; none where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _text(moment: datetime) -> str:
    """A moment in UTC, to the millisecond."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
