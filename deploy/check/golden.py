"""
What a reviewer reads first, kept beside the stacks: who may do what, and who reaches whom.

`python -m deploy.check --golden` writes both anew; the diff is what there is to review.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.check.cdk import Templates
from deploy.check.cdk_facts import of_type

GOLDEN = Path("deploy/cdk/golden")

_POLICIES = ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy")


def permissions(templates: Templates) -> dict[str, Any]:
    """Each policy's statements, by stack and name."""
    told = {}
    for stack, template in templates.items():
        for kind in _POLICIES:
            for name, policy in of_type(template, kind).items():
                statements = policy["Properties"]["PolicyDocument"]["Statement"]
                told[f"{stack} {name}"] = [_short(statement) for statement in statements]
    return told


def ways(templates: Templates) -> dict[str, Any]:
    """Who reaches whom: every rule that lets something in, by stack."""
    told: dict[str, Any] = {}
    for stack, template in templates.items():
        rules = [
            (name, rule)
            for name, group in of_type(template, "AWS::EC2::SecurityGroup").items()
            for rule in group["Properties"].get("SecurityGroupIngress", [])
        ]
        apart = of_type(template, "AWS::EC2::SecurityGroupIngress").items()
        rules += [(_short(rule["Properties"]["GroupId"]), rule["Properties"]) for _, rule in apart]
        lines = sorted(
            f"{_source(rule)} -> {group}: {rule['IpProtocol']} {rule.get('FromPort', 'all')}"
            for group, rule in rules
        )
        if lines:
            told[stack] = lines
    return told


def problems(templates: Templates, root: Path) -> Iterator[str]:
    """What differs from what was reviewed."""
    for name, now in _all(templates).items():
        path = root / GOLDEN / name
        if not path.exists() or path.read_text() != now:
            yield f"{GOLDEN / name}: differs from the stacks; write it by --golden, review the diff"


def write(templates: Templates, root: Path) -> None:
    """Keep what the stacks have now."""
    (root / GOLDEN).mkdir(exist_ok=True)
    for name, now in _all(templates).items():
        (root / GOLDEN / name).write_text(now)


def _all(templates: Templates) -> dict[str, str]:
    kept = {"permissions.json": permissions(templates), "ways.json": ways(templates)}
    return {name: json.dumps(told, indent=1) + "\n" for name, told in kept.items()}


def _source(rule: dict[str, Any]) -> str:
    return str(rule.get("CidrIp") or _short(rule.get("SourceSecurityGroupId")))


def _short(value: Any) -> Any:
    """A reference as what it refers to, so that people can read it."""
    if isinstance(value, list):
        return [_short(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Fn::GetAtt"}:
        return ".".join(value["Fn::GetAtt"])
    if set(value) == {"Ref"}:
        return value["Ref"]
    if set(value) == {"Fn::ImportValue"}:
        return value["Fn::ImportValue"]
    if set(value) == {"Fn::Join"}:
        separator, parts = value["Fn::Join"]
        return separator.join(str(_short(part)) for part in parts)
    return {key: _short(item) for key, item in value.items()}
