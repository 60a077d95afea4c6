"""`python -m deploy.check`: a line a step, and at the end whether it is good."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "1"

from deploy.check import cdk, cdk_facts, chart, golden, image, payment, planted

ROOT = Path(__file__).resolve().parents[2]

#: The mistakes that a release has been promised to be safe from.
PROMISED = (
    "open security group", "unencrypted queue", "missing PDB", "wrong key usage",
    "misspelt property",
)  # fmt: skip


class Steps:
    """Runs steps, tells each in a line, and counts what is wrong."""

    def __init__(self) -> None:
        self.wrong = 0

    def run(self, what: str, step: Callable[[], Iterable[str]]) -> None:
        """Run one; what it gives are problems, a line each."""
        begun = time.monotonic()
        problems = list(step())
        self.wrong += len(problems)
        word = "WRONG" if problems else "ok"
        print(f"{word:7}{what}  {time.monotonic() - begun:.1f} s", flush=True)
        for problem in problems:
            print(f"       {problem}", flush=True)


def main() -> int:
    """Check all; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m deploy.check", description=__doc__)
    parser.add_argument("--planted", action="store_true", help="only the planted mistakes")
    parser.add_argument("--golden", action="store_true", help="write deploy/cdk/golden anew")
    asked = parser.parse_args()
    steps = Steps()
    templates: cdk.Templates = {}

    def synthesise() -> list[str]:
        nonlocal templates
        try:
            templates = cdk.synthesised(ROOT)
        except cdk.SynthesisError as error:
            return error.lines
        return []

    steps.run("stacks synthesised; cdk-nag: AWS Solutions, PCI DSS 3.2.1", synthesise)
    if steps.wrong:
        return _end(steps)
    if asked.golden:
        golden.write(templates, ROOT)
    if not asked.planted:
        steps.run(f"cfn-lint: {len(templates)} stacks", lambda: cdk.lint_problems(templates))
        steps.run("facts of the stacks", lambda: cdk_facts.problems(templates))
        steps.run(
            "payment keys, as the switch looks at them", lambda: payment.problems(templates, ROOT)
        )
        steps.run("permissions and ways, as reviewed", lambda: golden.problems(templates, ROOT))
        steps.run("Helm chart", lambda: chart.problems(ROOT))
        steps.run("image", lambda: image.problems(ROOT))
    steps.run("planted mistakes", lambda: _not_caught(templates))
    return _end(steps)


def _not_caught(templates: cdk.Templates) -> Iterable[str]:
    found = dict(planted.caught(templates, ROOT))
    for name, line in found.items():
        if line:
            print(f"       {name}: {line}", flush=True)
    for name, is_caught in chart.planted(ROOT):
        if is_caught:
            print(f"       {name} (chart): caught", flush=True)
            found.setdefault(name, name)
        else:
            found[f"{name} (chart)"] = ""
    missing = [name for name in PROMISED if name not in found]
    return [f"{name}: was not caught" for name in [*missing, *(n for n in found if not found[n])]]


def _end(steps: Steps) -> int:
    print("deploy-check: " + (f"{steps.wrong} wrong" if steps.wrong else "good"), flush=True)
    return 1 if steps.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
