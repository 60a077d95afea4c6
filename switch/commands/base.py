"""What every command shares: one group, one way to refuse, one way to run to the end."""

from __future__ import annotations

import math
import sys
from collections.abc import Coroutine, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from switch.settings import Settings

EXIT_REFUSED, EXIT_DIFFERENT, EXIT_INTERRUPTED = 1, 2, 130

#: The files beside this one that a command is made of.
PLACES: Mapping[str, tuple[str, ...]] = {
    "accounts": ("accounts",),
    "audit": ("auditing",),
    "cards": ("cards", "card_controls"),
    "check": ("serving",),
    "clearing": ("clearing",),
    "database": ("database",),
    "demo": ("serving",),
    "describe": ("messages",),
    "dialects": ("dialects",),
    "events": ("events",),
    "keys": ("keys", "vault_keys", "zone_keys"),
    "maintain": ("maintaining",),
    "migrate": ("serving",),
    "replay": ("replaying",),
    "rules": ("rules",),
    "run": ("serving",),
    "simulate": ("simulating",),
    "tail": ("tailing",),
    "top": ("watching",),
    "why": ("why",),
}


class Refusal(click.ClickException):
    """One line that says what to do."""


class Commands(click.Group):
    """A group whose every refusal, click's own included, is one line and an exit code.

    Only the command that is typed is imported: a switch starts without what replays and simulates.
    """

    def list_commands(self, _: click.Context) -> list[str]:
        """The names, in order."""
        return sorted(PLACES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of a name, from its files; None where there is none."""
        for place in PLACES.get(name, ()):
            import_module(f"switch.commands.{place}")
        return super().get_command(context, name)

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            code = super().main(*args, **options | {"standalone_mode": False})
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = EXIT_REFUSED
        except click.ClickException as error:
            click.echo(f"switch: {' '.join(error.format_message().split())}", err=True)
            code = EXIT_REFUSED
        except click.Abort:
            code = EXIT_INTERRUPTED
        sys.exit(code if isinstance(code, int) else 0)


def to_the_end(work: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; a refusal is one line and an exit code, never a traceback."""
    # Imported where work begins: `describe` and `tail` wait for no database driver.
    import uvloop

    from switch import prepare
    from switch.operate.replay import ReplayError

    try:
        return uvloop.run(work)
    except (*prepare.REFUSALS, prepare.StartError, ReplayError) as error:
        raise Refusal(str(error)) from None
    except KeyboardInterrupt:
        raise click.Abort from None


def settings_of(config: Path | None) -> Settings:
    from switch.settings import Settings, SettingsError

    try:
        return Settings.load(config)
    except SettingsError as error:
        raise Refusal(str(error)) from None


class FiniteRange(click.FloatRange):
    """A range of numbers that are some: NaN is within any, and infinity above."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: Any) -> float:
        number = super().convert(value, parameter, context)
        if not math.isfinite(number):
            self.fail("give a number", parameter, context)
        return float(number)


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="SWITCH_CONFIG",
    help="Settings file; without one, the demo's settings.",
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """An ISO 8583 authorization switch for card issuers.

    Example: switch run
    """
