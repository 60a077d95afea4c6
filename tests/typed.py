"""Commands run here and now, as a process would run them: that takes a second less each."""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.testing import CliRunner, Result

from switch.commands import main


def command_of(name: str) -> click.Command | None:
    """A command by its name."""
    return main.get_command(click.Context(main), name)


def commands() -> dict[str, click.Command]:
    """All commands by their names."""
    found = {name: command_of(name) for name in main.list_commands(click.Context(main))}
    return {name: command for name, command in found.items() if command is not None}


def typed(*words: str, told: str = "", settings: Mapping[str, object] | None = None) -> Result:
    """Type a command; settings are by their keys, `database__url`. A traceback is raised."""
    variables = {f"SWITCH_{key.upper()}": str(value) for key, value in (settings or {}).items()}
    return CliRunner().invoke(
        main, words, input=told, env=variables, prog_name="switch", catch_exceptions=False
    )
