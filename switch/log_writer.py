"""
Lines to a file descriptor, without ever making their writer wait.

An undrained pipe holds 64 KiB; the next write to it blocks, and an event loop
with it. Here a thread of its own writes. While it is stuck, lines gather up to a
limit; what comes then is lost and counted, and the count is told when lines
flow again.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable

#: Seconds that lines may gather before they are written together.
GATHER_S = 0.01
#: Seconds without a line after which the thread sleeps until it is woken. While lines flow it looks
#: by itself: waking it costs its writer as much as making a line does.
IDLE_S = 0.5
#: Lines in one write; joining many more would hold the interpreter for too long.
WRITE_MAX = 256
#: Seconds that `stop` waits for a reader.
FLUSH_S = 2.0
#: Seconds after which a descriptor that is set not to block is looked at again.
RETRY_S = 0.1


class LogWriter:
    """A bounded queue of lines and the thread that writes them to a descriptor."""

    def __init__(self, queue_max: int, stream_fd: int, lost_line: Callable[[int], bytes]) -> None:
        """`lost_line` makes the line that tells how many lines were lost."""
        self.log_dropped_total = 0  #: lines lost since the start
        self.log_fields_dropped_total = 0  #: fields refused by the list since the start
        self._queue_max = queue_max
        self._stream_fd = stream_fd
        self._lost_line = lost_line
        self._lost_told = 0
        self._lines: deque[bytes] = deque()
        self._counting = threading.Lock()
        self._is_asleep = False
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()
        atexit.register(self.stop)

    def write(self, line: bytes) -> None:
        """Queue one line, its newline included. Never waits; a full queue loses it."""
        if len(self._lines) >= self._queue_max:
            self._lose(1)
            return
        self._lines.append(line)
        if self._is_asleep:
            self._wake.set()

    def stop(self) -> None:
        """Write what is queued, for `FLUSH_S` seconds at most. Later lines are lost."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._wake.set()
        self._thread.join(FLUSH_S)
        self._queue_max = 0

    def _lose(self, count: int) -> None:
        with self._counting:
            self.log_dropped_total += count

    def _run(self) -> None:
        seen_at = time.monotonic()
        while not self._stopping.is_set() or self._lines:
            if self._lines:
                self._drain()
                seen_at = time.monotonic()
            elif time.monotonic() - seen_at > IDLE_S:
                self._sleep()
                seen_at = time.monotonic()
            time.sleep(GATHER_S)
        self._drain()  # what was lost since is told too

    def _sleep(self) -> None:
        """Until a line comes, or the end."""
        self._wake.clear()
        self._is_asleep = True
        # One that came just before did not wake us; of one that comes now we are woken.
        if not self._lines and not self._stopping.is_set():
            self._wake.wait()
        self._is_asleep = False

    def _drain(self) -> None:
        while self._lines:
            batch = [self._lines.popleft() for _ in range(min(len(self._lines), WRITE_MAX))]
            if not self._put(b"".join(batch)):
                self._lose(len(batch))
        lost = self.log_dropped_total - self._lost_told
        if lost and self._put(self._lost_line(lost)):
            self._lost_told += lost

    def _put(self, data: bytes) -> bool:
        """Write all of it, waiting for the reader; False where nobody can read any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._stream_fd, rest) :]
            except BlockingIOError:
                select.select([], [self._stream_fd], [], RETRY_S)
            except OSError:
                return False
        return True
