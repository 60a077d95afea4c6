"""
The payment keys, looked at as the switch does it at start.

The key file that docs/deploy.md begins with is read by the switch's own reader, and its own check
at start asks a control plane that answers from the template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.cdk.payment_keys import MADE_KEYS
from deploy.check.cdk import Templates
from deploy.check.cdk_facts import of_type
from keys.aws import warming
from keys.aws.held import look_up
from keys.hsm import HsmRejected, HsmUnavailable
from keys.keyfile import KeyEntry, read_entries

#: What a production key file begins with.
KEY_FILE = Path("deploy/keys.toml.example")


class TemplateControlPlane:
    """GetAlias and GetKey, of keys that are only in a template."""

    def __init__(self, template: dict[str, Any], entries: Mapping[str, KeyEntry]) -> None:
        """A check value is known once a key is made: until then it is the pinned one."""
        self._keys = of_type(template, "AWS::PaymentCryptography::Key")
        self._aliases = {
            alias["Properties"]["AliasName"]: alias["Properties"]["KeyArn"]["Fn::GetAtt"][0]
            for alias in of_type(template, "AWS::PaymentCryptography::Alias").values()
        }
        self._pinned = {entry.places["aws"]: entry.kcv for entry in entries.values()}
        self._arns = {
            alias: f"arn:aws:payment-cryptography:eu-central-1:111122223333:key/{i:016}"
            for i, alias in enumerate(self._aliases)
        }

    def get_alias(self, **asked: str) -> dict[str, Any]:
        """As the service answers it."""
        return {
            "Alias": {"AliasName": asked["AliasName"], "KeyArn": self._arns[asked["AliasName"]]}
        }

    def get_key(self, **asked: str) -> dict[str, Any]:
        """As the service answers it."""
        arn = asked["KeyIdentifier"]
        (alias,) = (alias for alias, known in self._arns.items() if known == arn)
        told = self._keys[self._aliases[alias]]["Properties"]
        return {
            "Key": {
                "KeyArn": arn,
                "KeyCheckValue": self._pinned[alias],
                "KeyAttributes": told["KeyAttributes"],
                "KeyState": "CREATE_COMPLETE",
                "Enabled": told["Enabled"],
            }
        }


def problems(templates: Templates, root: Path) -> Iterator[str]:
    """What the switch would refuse to start with, in its own words."""
    made = {key.alias for key in MADE_KEYS}
    told = read_entries(root / KEY_FILE)
    entries = {name: entry for name, entry in told.items() if entry.places["aws"] in made}
    for stack, template in templates.items():
        if not of_type(template, "AWS::PaymentCryptography::Key"):
            continue
        control = TemplateControlPlane(template, entries)
        for entry in entries.values():
            try:
                held = look_up(control, [entry])
            except (HsmRejected, HsmUnavailable) as refusal:
                yield f"{stack}: {refusal}"
            else:
                if not warming.questions([*held.values(), *_zones(control, entries)]):
                    yield f"{stack}: key {entry.name!r}: the switch has no question for it"


def _zones(control: TemplateControlPlane, entries: Mapping[str, KeyEntry]) -> list[Any]:
    """A PIN key is asked with under a zone's."""
    zones = [entry for entry in entries.values() if entry.usage == "P0"]
    try:
        return list(look_up(control, zones).values())
    except (HsmRejected, HsmUnavailable):
        return []
