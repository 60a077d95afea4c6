"""The `switch` command: what people type. A file here is a family of commands."""

from switch.commands import (
    accounts,
    auditing,
    card_controls,
    cards,
    clearing,
    dialects,
    keys,
    maintaining,
    messages,
    replaying,
    rules,
    serving,
    vault_keys,
    zone_keys,
)
from switch.commands.base import main

__all__ = [
    "accounts",
    "auditing",
    "card_controls",
    "cards",
    "clearing",
    "dialects",
    "keys",
    "main",
    "maintaining",
    "messages",
    "replaying",
    "rules",
    "serving",
    "vault_keys",
    "zone_keys",
]
