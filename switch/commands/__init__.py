"""The `switch` command: what people type. A file here is a family of commands."""

from switch.commands.base import main

__all__ = ["main"]
