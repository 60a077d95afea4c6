"""Findings of cdk-nag that stay, each with its reason beside the resource."""

from __future__ import annotations

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reason: str, *rules: str) -> None:
    """Let rules stand on a construct and what is in it, for one reason."""
    found = [Acknowledgment(id=rule, reason=reason) for rule in rules]
    Validations.of(construct).acknowledge(*found)
