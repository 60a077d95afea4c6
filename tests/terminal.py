"""A person at a terminal: a command in a process of its own, over a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.process import PATIENCE_SECONDS, environment

ROOT = Path(__file__).parents[1]


class Terminal:
    """What is on the screen, and what is typed when something stands there."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self.screen = ""
        self._seen = 0

    def type(self, *lines: tuple[str, str]) -> None:
        """Wait for each prompt in turn, and type a line at it."""
        for prompt, line in lines:
            self.wait_for(prompt)
            os.write(self._terminal, f"{line}\n".encode())

    def wait_for(self, words: str) -> None:
        """Wait until these words stand on the screen, after those of before."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while words not in self.screen[self._seen :]:
            assert time.monotonic() < give_up, f"{words!r} never came: {self.screen[-500:]}"
            self._read()
        self._seen += self.screen[self._seen :].index(words) + len(words)

    def end(self) -> int:
        """Wait for the command to end; its exit code."""
        with contextlib.suppress(OSError):  # a pseudo-terminal that nobody has open any more
            while self._process.poll() is None or select.select([self._terminal], [], [], 0)[0]:
                self._read()
        return self._process.wait(PATIENCE_SECONDS)

    def _read(self) -> None:
        if select.select([self._terminal], [], [], 0.05)[0]:
            self.screen += os.read(self._terminal, 65_536).decode("utf-8", "replace")


@contextlib.contextmanager
def at_terminal(*words: str, folder: Path, settings: Mapping[str, object]) -> Iterator[Terminal]:
    """A `switch` command at a terminal of its own."""
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "switch", *words],
        cwd=folder,
        env=environment(settings) | {"PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(ours)
