"""Steps are taken as at a terminal, and nothing is left running."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.process import is_alive, until
from tests.walkthroughs import stage as of_stage
from tests.walkthroughs.stage import Stage, StepFailed, clone
from tests.walkthroughs.steps import Command, Interrupt, Open, Says, Write

HERE = ("a section", 1)
#: Says so when it is interrupted, and what its process is.
RUNS_ON = "trap 'echo ended; exit' INT; echo pid $$; echo up; while true; do sleep 0.05; done"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An empty folder as a stage."""
    for name in ("folder", "backstage"):
        (tmp_path / name).mkdir()
    with closing(Stage(tmp_path / "folder", tmp_path / "backstage")) as one:
        yield one


def test_steps_as_at_a_terminal(stage: Stage) -> None:
    """Files are there for the commands, and what was exported stays; errors are printed too."""
    stage.take(Write(*HERE, "a/b.toml", "x = 1\n"))
    stage.take(Command(*HERE, "export WHO='a b'; cat a/b.toml", ("x = 1",)))
    stage.take(Command(*HERE, 'echo "$WHO" >&2', ("a b",)))


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Command(*HERE, "echo b", ("a",)), r"- a\n\+ b"),
        (Command(*HERE, "echo a; exit 3", ("a",)), "exit code 3"),
        (Command(*HERE, "false"), "exit code 1"),
        (Says(*HERE, "first", ("a",)), "no terminal “first”"),
        (Open(*HERE, "first", "echo a", "b"), "never came"),
    ],
)
def test_a_step_that_is_not_so(stage: Stage, step: Command | Says | Open, said: str) -> None:
    """What went otherwise is told."""
    with pytest.raises(StepFailed, match=said):
        stage.take(step)


def test_a_command_that_hangs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for so long and no longer, and ended with all that it started."""
    monkeypatch.setattr(of_stage, "STEP_SECONDS", 0.3)
    with pytest.raises(StepFailed, match="is not done"):
        stage.take(Command(*HERE, "sleep 60 & echo $! > pid; wait"))
    pid = int((stage.folder / "pid").read_text())
    until(lambda: not is_alive(pid), "the end of what it started")


def test_a_terminal_of_its_own(stage: Stage) -> None:
    """It runs on beside the commands; what it shows is waited for, then it is interrupted."""
    stage.take(Open(*HERE, "first", RUNS_ON, "up"))
    stage.take(Command(*HERE, "echo beside", ("beside",)))
    stage.take(Interrupt(*HERE, "first"))
    stage.take(Says(*HERE, "first", ("ended",)))
    with pytest.raises(StepFailed):  # what was waited for once is over
        stage.take(Says(*HERE, "first", ("up",)))


def test_nothing_is_left(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that does not heed Ctrl-C is ended too."""
    stage.take(Open(*HERE, "first", "trap '' INT; echo pid $$; sleep 60 & wait", "pid"))
    pid = int(next(stage.told()).split()[-1])
    monkeypatch.setattr(of_stage, "STEP_SECONDS", 0.3)
    stage.close()
    assert not is_alive(pid)


def test_a_clone(tmp_path: Path) -> None:
    """It has nothing that a page is to make, and `make setup` has nothing to install in it."""
    folder = clone(tmp_path / "clone")
    assert not (folder / "var").exists()
    subprocess.run(["make", "--question", "setup"], cwd=folder, check=True, capture_output=True)
