"""What keeps the database from growing without end."""

from __future__ import annotations

from pathlib import Path

import click

from switch import prepare
from switch.commands.base import Refusal, config_option, main, settings_of, to_the_end
from switch.commands.schema import check_schema
from switch.ledger.maintain import Keep, MaintainError
from switch.ledger.maintain import maintain as maintain_books


@main.command()
@config_option
@click.option("--keep-months", type=click.IntRange(2), default=25, show_default=True,
              help="Whole months of journal and postings that stay.")  # fmt: skip
@click.option("--keep-days", type=click.IntRange(2), default=60, show_default=True,
              help="Days for which repeats and early messages are known.")  # fmt: skip
@click.option("--keep-event-days", type=click.IntRange(1), default=7, show_default=True,
              help="Days of events that stay; what is not published stays longer.")  # fmt: skip
def maintain(config: Path | None, keep_months: int, keep_days: int, keep_event_days: int) -> None:
    """Make the months ahead, set old ones apart, and purge what is short-lived.

    Decisions go on meanwhile. Old months are detached and kept as tables whose names end in
    _detached; what their postings come to is brought forward first. Days of events are dropped.
    Run it every night.

    Example: switch maintain --keep-months 25 --keep-days 60
    """
    settings = settings_of(config)
    keep = Keep(keep_months, keep_days, keep_event_days, is_published=settings.event_sink != "none")

    async def work() -> None:
        async with prepare.database(settings, prepare=check_schema) as url:
            try:
                await maintain_books(url, keep, click.echo)
            except MaintainError as error:
                raise Refusal(str(error)) from None

    to_the_end(work())
