"""Where a page is walked through: a copy of the project as a clone has it, and its terminals."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tests import secrecy
from tests.process import Switch, environment
from tests.walkthroughs.printed import difference, is_as_told, lines_of, place_of
from tests.walkthroughs.steps import Command, Interrupt, Open, Says, Step, Write

ROOT = Path(__file__).parents[2]

#: How long one command may run, a terminal may take to show something, and to end, seconds.
STEP_SECONDS = 60.0
#: How often a terminal is looked at, seconds.
LOOK_SECONDS = 0.05
#: The last lines of a terminal that are told where a step went wrong, and how much of each.
TOLD_LINES, TOLD_CHARACTERS = 15, 200

#: What the pages' switch listens on: they say so in clear, and are run as they stand.
PORTS = (8580, 8583)
#: What a clone does not have.
_NOT_CLONED = (".git", ".venv", "var", "__pycache__", ".*cache", ".hypothesis")
#: A busy machine is nothing of what a page says: its switch has time to answer.
_PATIENCE = {"links__0__answer_within_ms": 4000}
#: What a `make` that runs us tells those that it runs, of which the reader's is none; and what
#: would have each command compile all that it imports.
_NOT_THEIRS = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHONDONTWRITEBYTECODE")
#: Exported variables are kept from one command to the next; a terminal of its own begins with them.
_BEGIN = "[ ! -f {exported} ] || . {exported}\n"
_END = "\ncode=$?; export -p > {exported}; exit $code\n"


class StepFailed(Exception):
    """A step did not go as the page says: the lines that tell how."""


class Stage:
    """A folder in which a page is followed, and its terminals."""

    def __init__(self, folder: Path, backstage: Path) -> None:
        """Nothing of ours goes into `folder` but what the page says; `backstage` has the rest."""
        self.folder = folder
        self._backstage = backstage
        exported = shlex.quote(str(backstage / "exported"))
        self._begin, self._end = _BEGIN.format(exported=exported), _END.format(exported=exported)
        self._terminals: dict[str, Terminal] = {}

    def take(self, step: Step) -> None:
        """Take one step. Raises `StepFailed`."""
        match step:
            case Command():
                self._run(step)
            case Write():
                path = self.folder / step.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(step.text, encoding="utf-8")
            case Open():
                script = self._begin + step.text
                log = self._backstage / f"{step.name}.log"
                if (earlier := self._terminals.get(step.name)) is not None:
                    earlier.end()
                terminal = Terminal(script, self.folder, self._environment(), log)
                self._terminals[step.name] = terminal
                terminal.wait_for((f"…{step.until}…",))
            case Says():
                self._terminal(step.name).wait_for(step.printed)
            case Interrupt():
                self._terminal(step.name).interrupt()

    def told(self) -> Iterator[str]:
        """The last lines of each terminal."""
        for name, terminal in self._terminals.items():
            for line in terminal.lines()[-TOLD_LINES:]:
                yield f"{name}: {line[:TOLD_CHARACTERS]}"

    def close(self) -> None:
        """End every process that was started here, and look through what they wrote."""
        for terminal in self._terminals.values():
            terminal.end()
        Switch(self.folder).end()  # its Postgres, where a killed switch left it
        secrecy.check_logs(self._backstage)

    def _run(self, step: Command) -> None:
        script = self._begin + step.text + self._end
        with _start(script, self.folder, self._environment(), None) as process:
            try:
                printed, _ = process.communicate(timeout=STEP_SECONDS)
            except subprocess.TimeoutExpired:
                raise StepFailed(f"is not done after {STEP_SECONDS:.0f} s") from None
            finally:
                _signal_group(process, signal.SIGKILL)
        text = printed.decode(errors="replace")
        if not is_as_told(step.printed, text):
            raise StepFailed("\n".join(difference(step.printed, text)))
        if process.returncode:
            raise StepFailed(f"{text}exit code {process.returncode}")

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            raise StepFailed(f"no terminal “{name}” was opened")
        return self._terminals[name]

    def _environment(self) -> dict[str, str]:
        kept = environment(_PATIENCE)
        for name in _NOT_THEIRS:
            kept.pop(name, None)
        return kept | {
            # The environment's own `switch` is that of the folder which it was made in.
            "PYTHONPATH": str(self.folder),
            "PYTHONPYCACHEPREFIX": str(self._backstage / "bytecode"),
            "TERM": "dumb",
        }


class Terminal:
    """A command that runs on, with what it has shown."""

    def __init__(self, script: str, folder: Path, variables: dict[str, str], log: Path) -> None:
        """Start it; what it shows goes to the file `log`."""
        self._log = log
        self._read = 0  # lines that were waited for
        with log.open("wb") as output:
            self._process = _start(script, folder, variables, output.fileno())

    def lines(self) -> list[str]:
        """The lines that it has shown."""
        return lines_of(self._log.read_text(encoding="utf-8", errors="replace"))

    def wait_for(self, told: tuple[str, ...]) -> None:
        """Wait until these lines have come, after those that were waited for before."""
        give_up = time.monotonic() + STEP_SECONDS
        while True:
            is_over = self._process.poll() is not None or time.monotonic() > give_up
            if (at := place_of(told, self.lines()[self._read :])) is not None:
                self._read += at
                return
            if is_over:
                raise StepFailed("never came:\n" + "\n".join(told))
            time.sleep(LOOK_SECONDS)

    def interrupt(self) -> None:
        """Press Ctrl-C, and wait for the end."""
        _signal_group(self._process, signal.SIGINT)
        try:
            self._process.wait(STEP_SECONDS)
        except subprocess.TimeoutExpired:
            raise StepFailed(f"has not ended after {STEP_SECONDS:.0f} s") from None

    def end(self) -> None:
        """Leave nothing running, whatever state it is in."""
        with contextlib.suppress(StepFailed):
            self.interrupt()
        _signal_group(self._process, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A fresh clone as a stage, of which nothing is left afterwards."""
    with tempfile.TemporaryDirectory(prefix="walk-") as root:
        backstage = Path(root, "backstage")
        backstage.mkdir()
        with closing(Stage(clone(Path(root, "switch")), backstage)) as one:
            yield one


def ports_in_use() -> list[int]:
    """Those of the pages' ports that somebody listens on."""
    return [port for port in PORTS if _is_taken(port)]


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def clone(folder: Path) -> Path:
    """Copy the project as a clone has it, with our .venv, so that `make` installs nothing."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*_NOT_CLONED))
    (folder / ".venv").mkdir()
    for place in (ROOT / ".venv").glob("[!.]*"):
        (folder / ".venv" / place.name).symlink_to(place.resolve())
    # The files by which `make` knows that it has made .venv of the lock files that are here.
    made_from = subprocess.check_output(
        ["make", "--silent", "--eval=made: ; @echo $(RUN) $(DEV)", "made"], cwd=folder, text=True
    )
    for name in made_from.split():
        (folder / name).touch()
    return folder


def _start(
    script: str, folder: Path, variables: dict[str, str], output: int | None
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if output is None else output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
