"""`switch tail`: of a file, of standard input, of a running switch."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.client import connected
from tests.operate.tail.support import EVENT, MESSAGE, raw
from tests.process import (
    COMMAND,
    PATIENCE_SECONDS,
    Switch,
    environment,
    eventually,
    free_port,
    running,
    until,
)
from tests.traffic import echo
from tests.typed import typed

DECLINED = raw(MESSAGE, reason="insufficient_funds", response_code="51", stan="000009")
LINES = (raw(MESSAGE), DECLINED, raw(EVENT), b"Killed", raw(MESSAGE, link="visa"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that ends amid a line."""
    path = tmp_path / "switch.log"
    path.write_bytes(b"\n".join(LINES) + b'\n{"event":"mess')
    return path


def test_the_last_lines_of_a_file(log: Path) -> None:
    """Ten, where nobody says how many; what is no line of ours is shown as it is."""
    said = typed("tail", str(log))
    assert (0, "") == (said.exit_code, said.stderr)
    lines = said.stdout.splitlines()
    assert [
        "approved",
        "insufficient_funds",
        "count=0",
        "Killed",
        "approved",
        '{"event":"mess',
    ] == [line.split()[-1] for line in lines]
    assert "\x1b" not in said.stdout
    assert lines[-2:] == typed("tail", "-n", "2", str(log)).stdout.splitlines()
    assert "" == typed("tail", "-n", "0", str(log)).stdout


def test_the_last_lines_that_match(log: Path) -> None:
    """`-n` counts those that are wanted, however far back they are."""
    with log.open("ab") as file:
        file.write(b"\n" + (raw(MESSAGE, link="other") + b"\n") * 3000)
    said = typed("tail", str(log), "-n", "1", "--link", "demo", "--reason", "declined")
    assert 1 == said.stdout.count("insufficient_funds") == len(said.stdout.splitlines())


def test_lines_as_they_are(log: Path) -> None:
    """With --json what matches is passed on unchanged, and nothing that is no line of ours."""
    said = typed("tail", "--json", str(log))
    assert [*LINES[:3], LINES[4]] == said.stdout_bytes.splitlines()


def test_standard_input() -> None:
    """All of it, a half line at its end too; with colours where they are asked for."""
    told = b"\n".join(LINES).decode()
    assert 5 == len(typed("tail", told=told).stdout.splitlines())
    said = typed("tail", "-", "--colour", "always", "--wide", "--stan", "000009", told=told)
    assert "\x1b[33m" in said.stdout
    assert "47617390****0119" in said.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("none.log",),                                 "none.log: No such file"),
        (("/",),                                        "Is a directory"),
        (("-", "--card", "4761739001010119"),           "last four digits"),
        (("-", "--card", "١١١١"),                       "last four digits"),
        (("-", "--reason", "declind"),                  "docs/logs.md"),
        (("-", "--level", "loud"),                      "error"),
        (("-", "--slower-than", "-1"),                  "-1"),
        (("-n", "x", "-"),                              "x"),
        (("ftp://127.0.0.1/",),                         "http://127.0.0.1:8580"),
        (("http://127.0.0.1:1",),                       "is the switch running"),
        (("https://127.0.0.1:1", "--ca", __file__),     "no certificates"),
    ],
)  # fmt: skip
def test_refusals(words: tuple[str, ...], why: str) -> None:
    """One line says what to do, and repeats no card number."""
    said = typed("tail", *words)
    assert (1, "") == (said.exit_code, said.stdout)
    assert said.stderr.startswith("switch: ")
    assert 1 == len(said.stderr.splitlines())
    assert why in said.stderr
    assert "4761739" not in said.stderr


class Tail:
    """`switch tail` in a process; what it printed so far."""

    def __init__(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [COMMAND, "tail", *words],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment({}),
        )  # fmt: skip
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Stop it; its exit code, and what it said on standard error."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join()
        assert self.process.stderr is not None
        with self.process.stderr as errors:
            return code, errors.read()


@contextmanager
def tailing(*words: str) -> Iterator[Tail]:
    """A `switch tail` of which nothing is left."""
    tail = Tail(*words)
    try:
        yield tail
    finally:
        tail.process.kill()
        tail.process.wait()
        tail._reader.join()
        for pipe in (tail.process.stdout, tail.process.stderr):
            assert pipe is not None
            pipe.close()


def test_a_file_that_is_followed(log: Path) -> None:
    """Over rotation, line by line though it writes into a pipe, until Ctrl-C, quietly."""
    with tailing("-f", str(log), "-n", "1", "--link", "visa") as tail:
        until(lambda: len(tail.lines) == 1, "the last line")
        with log.open("ab") as file:
            file.write(b'age","link":"visa"}\n' + DECLINED + b"\n")
        until(lambda: len(tail.lines) == 2, "the half line")
        log.rename(log.with_suffix(".1"))
        log.write_bytes(raw(MESSAGE, link="visa", rrn="new") + b"\n")
        until(lambda: len(tail.lines) == 3, "the new file's line")
        assert "new" in tail.lines[-1]
        assert (130, "") == tail.end(signal.SIGINT)


def test_a_reader_that_goes(tmp_path: Path) -> None:
    """`| head` ends it quietly."""
    path = tmp_path / "switch.log"
    path.write_bytes((raw(MESSAGE) + b"\n") * 20_000)
    said = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{COMMAND} tail - < {path} | head -n 1"],
        capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, env=environment({}),
    )  # fmt: skip
    assert (0, "", 1) == (said.returncode, said.stderr, len(said.stdout.splitlines()))


def test_a_terminal(log: Path) -> None:
    """On a terminal there are colours and a head over the columns; not where NO_COLOR is set."""
    for settings, has_colour in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        subprocess.run(
            [COMMAND, "tail", str(log)], stdin=theirs, stdout=theirs, stderr=theirs,
            timeout=PATIENCE_SECONDS, check=True,
            env={**environment({}), **settings},
        )  # fmt: skip
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)
        assert shown.startswith("time (UTC)")
        assert has_colour == ("\x1b[32m" in shown)


def test_json_goes_on_to_others(log: Path) -> None:
    """Each line that is passed on can be read by the next program."""
    said = typed("tail", "--json", "--messages", str(log))
    assert ["demo", "demo", "visa"] == [
        json.loads(line)["link"] for line in said.stdout.splitlines()
    ]


async def test_a_running_switch(quick_path: Path) -> None:
    """Its lines come as it writes them, also after it was started anew."""
    admin = f"127.0.0.1:{free_port()}"
    with running(quick_path, admin__listen=admin) as switch:
        with tailing(f"http://{admin}", "--messages") as tail:
            await eventually(partial(_shown, switch, tail), "a line")
            switch.stop()
            switch.start()
            tail.lines.clear()
            await eventually(partial(_shown, switch, tail), "a line of the next start")
            code, errors = await asyncio.to_thread(tail.end, signal.SIGINT)
        assert (130, f"switch: {admin} has ended its log; trying again\n") == (code, errors)


async def _shown(switch: Switch, tail: Tail) -> bool:
    """Whether an echo's line is there. What was written before anybody read is not shown."""
    async with connected(switch.port()) as client:
        await client.ask(echo())
    return any(" 0800 " in line for line in tail.lines)
