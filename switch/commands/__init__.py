"""The `switch` command: what people type. A file here is a family of commands."""

from switch.commands import (
    accounts,
    auditing,
    card_controls,
    cards,
    clearing,
    database,
    dialects,
    keys,
    maintaining,
    messages,
    replaying,
    serving,
    simulating,
    vault_keys,
    watching,
    why,
    zone_keys,
)
from switch.commands.base import main

__all__ = [
    "accounts",
    "auditing",
    "card_controls",
    "cards",
    "clearing",
    "database",
    "dialects",
    "keys",
    "main",
    "maintaining",
    "messages",
    "replaying",
    "serving",
    "simulating",
    "vault_keys",
    "watching",
    "why",
    "zone_keys",
]
