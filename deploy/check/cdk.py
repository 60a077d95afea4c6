"""
The AWS stacks: synthesised, linted, and held to what must not change.

Synthesis brings cdk-nag's two packs, AWS's own and PCI DSS 3.2.1, with it. Nothing here asks AWS.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfnlint.api import lint
from cfnlint.config import ManualArgs

#: A stack's template, as CloudFormation gets it, by the stack's name.
Templates = Mapping[str, dict[str, Any]]

#: The deployment that is looked at, and where its stacks are written.
SITE = Path("deploy/cdk/site.toml.example")
OUT = Path("var/deploy/cdk.out")

#: cfn-lint's remarks that are about CDK's way of writing: a dependency said twice (W3005), and
#: zones by name (W3010), which site.toml gives.
NOT_LINTED = ["W3005", "W3010"]

#: Seconds after which synthesis has failed.
PATIENCE = 300

#: What a run of the app gets from the environment: no credential, no region, no profile.
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


class SynthesisError(Exception):
    """The stacks cannot be made; the lines say why."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


def synthesised(root: Path, site: Path = SITE) -> Templates:
    """Run the app as the cdk command does; raises `SynthesisError`."""
    out = root / OUT
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.cdk.app"],
        cwd=root,
        env={
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": str(root),
            "CDK_OUTDIR": str(out),
            "CDK_CONTEXT_JSON": json.dumps({"site": str(root / site)}),
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "1",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if ran.returncode:
        raise SynthesisError(_told(ran.stdout + ran.stderr))
    manifest = json.loads((out / "manifest.json").read_text())
    return {
        name: json.loads((out / made["properties"]["templateFile"]).read_text())
        for name, made in sorted(manifest["artifacts"].items())
        if made["type"] == "aws:cloudformation:stack"
    }


def lint_problems(templates: Templates) -> Iterator[str]:
    """What CloudFormation would refuse, or do otherwise than one would think."""
    for name, template in templates.items():
        config = ManualArgs(ignore_checks=NOT_LINTED, regions=[region_of(name)])
        for found in lint(json.dumps(template, indent=1), config=config):
            yield f"{name}: {found.rule.id} {found.message}"


def region_of(stack: str) -> str:
    """The region of an example's stack."""
    return "eu-central-1" if "-primary-" in stack else "eu-west-1"


def _told(output: str) -> list[str]:
    """The lines of a failed run that say something."""
    lines = [line.rstrip() for line in output.splitlines()]
    return [line for line in lines if line and not re.match(r"\s*(at|File) ", line)][-60:]
