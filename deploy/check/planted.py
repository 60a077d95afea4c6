"""Mistakes that the check must find: each is made in a copy of the stacks, and must be named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.check import cdk, cdk_facts, payment
from deploy.check.cdk import Templates

Resource = dict[str, Any]


@dataclass(frozen=True)
class Mistake:
    """What is done to a resource of a type, and what must be said of it."""

    name: str
    kind: str
    make: Callable[[Resource], None]
    told: str  #: these words, with the resource's own


def _open(resource: Resource) -> None:
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    resource["Properties"].setdefault("SecurityGroupIngress", []).append(rule)


def _in_clear(resource: Resource) -> None:
    del resource["Properties"]["KmsMasterKeyId"]


def _for_another_use(resource: Resource) -> None:
    resource["Properties"]["KeyAttributes"]["KeyUsage"] = "TR31_M3_ISO_9797_3_MAC_KEY"


def _misspelt(resource: Resource) -> None:
    properties = resource["Properties"]
    properties["VisibilityTimeOut"] = properties.pop("VisibilityTimeout")


MISTAKES = (
    Mistake("open security group", "AWS::EC2::SecurityGroup", _open, "open to everybody"),
    Mistake("unencrypted queue", "AWS::SQS::Queue", _in_clear, "enciphered by a key of ours"),
    Mistake(
        "wrong key usage", "AWS::PaymentCryptography::Key", _for_another_use, "its KeyUsage is not"
    ),
    Mistake("misspelt property", "AWS::SQS::Queue", _misspelt, "VisibilityTimeOut"),
)


def caught(templates: Templates, root: Path) -> Iterator[tuple[str, str]]:
    """Each mistake with the line that names it, empty where none does."""
    for mistake in MISTAKES:
        spoilt = _spoilt(templates, mistake)
        found = (line for line in _problems(spoilt, root) if mistake.told in line)
        yield mistake.name, next(found, "")


def _spoilt(templates: Templates, mistake: Mistake) -> Templates:
    """The first stack with such a resource, the first of them changed."""
    for stack, template in templates.items():
        names = cdk_facts.of_type(template, mistake.kind)
        if names:
            changed = copy.deepcopy(template)
            mistake.make(changed["Resources"][next(iter(names))])
            if json.dumps(changed) == json.dumps(template):
                raise AssertionError(f"{mistake.name}: nothing was changed")
            return {stack: changed}
    raise AssertionError(f"{mistake.name}: no {mistake.kind} to make it in")


def _problems(templates: Templates, root: Path) -> Iterator[str]:
    yield from cdk_facts.problems(templates)
    yield from payment.problems(templates, root)
    yield from cdk.lint_problems(templates)
