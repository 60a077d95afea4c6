"""
Walks through pages of the documentation as they stand there.

    python -m tests.walkthroughs                       # all of them
    python -m tests.walkthroughs docs/operating.md     # this one

Each page has a fresh clone with nothing under var/, and goes through it from top to bottom. The
exit code is 1 where something was not as the page says.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from tests.walkthroughs.stage import ROOT, StepFailed, ports_in_use, stage
from tests.walkthroughs.steps import (
    Command,
    Interrupt,
    Open,
    PageError,
    Says,
    Step,
    Write,
    steps_of,
)

PAGES = ("README.md", "docs/operating.md")


def walk(page: Path) -> bool:
    """Go through one page, and say how that went."""
    try:
        steps = steps_of(page.read_text(encoding="utf-8"))
    except (OSError, PageError) as error:
        print(f"{page}: {error}")
        return False
    print(f"\n{page}: {len(steps)} steps", flush=True)
    section = ""
    with stage() as one:
        for step in steps:
            if section != (section := step.section):
                print(f"  {section}")
            began = time.monotonic()
            try:
                one.take(step)
            except StepFailed as error:
                print(f"    NOT SO         {_words(step)}   ({page}, line {step.line})")
                for line in (*str(error).splitlines(), *one.told()):
                    print(f"        {line}")
                return False
            print(f"    ok  {time.monotonic() - began:5.1f} s    {_words(step)}", flush=True)
    return True


def _words(step: Step) -> str:
    """A step on one line."""
    match step:
        case Command(text=text):
            return f"$ {text.splitlines()[0]}"
        case Write(path=path):
            return f"writes {path}"
        case Open(name=name, text=text):
            return f"{name} terminal: $ {text.splitlines()[0]}"
        case Says(name=name):
            return f"{name} terminal says so"
        case Interrupt(name=name):
            return f"{name} terminal: Ctrl-C"
    return type(step).__name__


def main(named: list[str]) -> int:
    """Walk through the pages; the exit code."""
    # Who is started by a shell in the background ignores Ctrl-C, and so would the pages' switch.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if taken := ports_in_use():
        ports = ", ".join(map(str, taken))
        print(f"in use on 127.0.0.1: {ports}. The pages' switch listens there: stop what does now")
        return 1
    results = [walk(ROOT / page) for page in named or PAGES]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
