"""What a replay and a simulation ask of the books when they are over."""

from __future__ import annotations

from datetime import datetime

from switch import prepare
from switch.commands.base import Refusal
from switch.commands.schema import check_schema
from switch.operate.audit import AuditError, audit
from switch.operate.replay.ledger import differing, missing
from switch.operate.replay.tally import Tally
from switch.operate.simulate.score import NAMED_MOST, Score
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


async def check_purchases(settings: Settings, score: Score, since: datetime) -> None:
    """Note in the score the purchases of which something else stands than the scheme knows."""
    async with prepare.database(settings, prepare=check_schema) as url:
        other = await differing(url, score.known_to_stand(), since)
    score.differ = len(other)
    score.other = [
        f"differs: RRN {rrn}: {told} minor units for the scheme, {stands} in the ledger"
        for rrn, told, stands in other[:NAMED_MOST]
    ]
