"""The group of the commands about keys."""

from __future__ import annotations

from switch.commands.base import main


@main.group(name="keys")
def keys_group() -> None:
    """Keys: look at them, make, import, export and replace them. Every change is recorded.

    No command shows a key, and none takes one from the command line.

    Example: switch keys show
    """
