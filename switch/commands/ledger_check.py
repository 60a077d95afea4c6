"""What a replay asks of the books when it is over."""

from __future__ import annotations

from datetime import datetime

from switch import prepare
from switch.commands.base import Refusal
from switch.commands.schema import check_schema
from switch.operate.audit import AuditError, audit
from switch.operate.replay.ledger import missing
from switch.operate.replay.tally import Tally
from switch.settings import Settings


async def check_ledger(settings: Settings, tally: Tally, since: datetime | None) -> None:
    """Note in the tally the approvals without a row since then, and the audit's broken rules."""
    async with prepare.database(settings, prepare=check_schema) as url:
        tally.missing = await missing(url, tally.kept or (), since)
        try:
            findings = await audit(url)
        except AuditError as error:
            raise Refusal(str(error)) from None
        tally.broken = sum(bool(finding.wrong) for finding in findings)
