"""Whether the books are right."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from switch import prepare
from switch.commands.base import EXIT_REFUSED, Refusal, config_option, main, settings_of, to_the_end
from switch.commands.schema import check_schema
from switch.operate.audit import BATCH_ACCOUNTS, AuditError, Finding
from switch.operate.audit import audit as audit_books
from switch.operate.audit_log import Told, audit_log


@main.command()
@config_option
@click.option("--batch", type=click.IntRange(1, 100_000), default=BATCH_ACCOUNTS, show_default=True,
              help="Accounts that are read in one snapshot.")  # fmt: skip
@click.option("--log", type=click.File("rb"),
              help="The switch's log: whether what it says was answered has its row.")  # fmt: skip
def audit(config: Path | None, batch: int, log: BinaryIO | None) -> None:
    """Check the books of a live database: one line a rule, exit code 1 where one is broken.

    It reads, and repairs nothing. What is wrong is named by account and authorization.
    With a log, approvals and bookings that were answered and have no row are listed after that:
    what a restore has lost.

    Example: switch audit

    Example: switch audit --log switch.log
    """
    settings = settings_of(config)
    with click.progressbar(
        length=1, label="accounts", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def progress(done: int, accounts: int) -> None:
            bar.length = accounts
            bar.update(done - bar.pos)

        async def work() -> tuple[list[Finding], list[Told]]:
            async with prepare.database(settings, prepare=check_schema) as url:
                try:
                    findings = list(await audit_books(url, batch=batch, progress=progress))
                    if log is None:
                        return findings, []
                    finding, lost = await audit_log(url, log)
                except AuditError as error:
                    raise Refusal(str(error)) from None
                return [*findings, finding], lost

        findings, lost = to_the_end(work())
    for line in (*findings, *lost):
        click.echo(str(line))
    if any(finding.wrong for finding in findings):
        sys.exit(EXIT_REFUSED)
