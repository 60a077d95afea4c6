"""
`switch audit --log`: whether what the log says was answered stands in the ledger.

The other rules prove that the books agree with themselves. After a restore they do, and yet what
came after the backup is gone: only the log knows of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from switch.ledger.primary import connect
from switch.ledger.queries import AUDIT
from switch.operate.audit import NAMED_MOST, AuditError, Finding
from switch.wire.currency import UnknownCurrency, in_units

RULE, SAYS = "told", "What moved money with an answer that was sent has its row."

#: What an advice, a completion or a reversal did, where it moved something; and what was approved
#: while the database was away.
_MOVED = frozenset({"held", "released", "posted", "reversed", "stand_in"})
#: Classes of messages that move money: authorization, financial, reversal.
_CLASSES = frozenset("124")
#: Lines of the log that are looked up at once.
_BATCH = 50_000
#: How far the clocks of log and database may be apart, and a decision from its answer.
_SLACK = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Told:
    """An answer by which money moved, as its line in the log has it."""

    at: datetime
    link: str
    mti: str
    stan: str
    rrn: str
    pan: str  #: masked
    amount_minor: int
    currency: str
    is_repeat: bool  #: its row is that of the first copy, which may have come over another link

    @property
    def message(self) -> tuple[str, ...]:
        """What it has in common with its repeats."""
        return self.mti[:3], self.stan, self.rrn, self.pan

    def __str__(self) -> str:
        try:
            amount = in_units(self.amount_minor, self.currency)
        except UnknownCurrency:
            amount = f"{self.amount_minor} of {self.currency}"
        at = f"{self.at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
        return f"{at}  {self.link}  {self.mti}  RRN {self.rrn}  {self.pan}  {amount}"


def read_told(log: Iterable[bytes]) -> Iterator[Told]:
    """The lines of a log that tell of moved money; all others, also those that are none."""
    for line in log:
        try:
            told = orjson.loads(line)
            if isinstance(told, dict) and _moved(told):
                yield Told(
                    datetime.fromisoformat(told["time"]), told["link"], told["mti"], told["stan"],
                    told["rrn"] or "", told["pan"], told["amount_minor"], told["currency"],
                    bool(told.get("repeat")),
                )  # fmt: skip
        except (ValueError, TypeError, LookupError):
            continue  # another program's


def _moved(line: dict[str, Any]) -> bool:
    if line.get("event") != "message" or line.get("outcome") != "sent":
        return False
    if line.get("repeat"):
        # Its first copy may have had no answer: of a booking then only this says that it was told.
        is_money = line["mti"][1] in _CLASSES and bool(line.get("amount_minor"))
        return is_money and line.get("reason") == "approved"
    if (effect := line.get("effect")) is not None:
        return effect in _MOVED
    return line.get("authorization_code") is not None and bool(line.get("amount_minor"))


async def audit_log(url: str, log: Iterable[bytes]) -> tuple[Finding, list[Told]]:
    """What the rule found, and all that has no row, in the order of the log.

    Raises `AuditError` where the database does not answer to the end.
    """
    finding, lost = Finding(RULE, SAYS), dict[tuple[str, ...], Told]()
    try:
        connection = await connect(url, server_settings={
            "default_transaction_read_only": "on", "application_name": "switch audit",
        })  # fmt: skip
        try:
            told = read_told(log)
            while batch := list(itertools.islice(told, _BATCH)):
                for each in await _without_row(connection, batch):
                    lost.setdefault(each.message, each)
                finding.checked += len(batch)
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise AuditError(f"the database does not answer the audit: {reason}") from None
    finding.wrong = len(lost)
    finding.named = [f"RRN {rrn}" for _, _, rrn, _ in itertools.islice(lost, NAMED_MOST)]
    return finding, list(lost.values())


async def _without_row(connection: asyncpg.Connection, batch: list[Told]) -> list[Told]:
    rows = await connection.fetch(
        AUDIT["untold"],
        [each.link for each in batch],
        [each.mti for each in batch],
        [each.stan for each in batch],
        [each.rrn for each in batch],
        [each.is_repeat for each in batch],
        min(each.at for each in batch) - _SLACK,
        max(each.at for each in batch) + _SLACK,
    )
    return [batch[row["place"] - 1] for row in rows]
