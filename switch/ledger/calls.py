"""What the ledger is asked and what it answers: values, and their way to SQL and back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import asyncpg

from switch.ledger.batch import Retry
from switch.ledger.errors import LedgerUnavailable, Overdue, VerdictMissing
from switch.rules.decision import Approved, Decision, Declined
from switch.rules.reason import Reason


class AuthorizationCall(NamedTuple):
    """One request to decide: the parameters of authorize_v1, by its names and in its order."""

    account_id: int
    card_id: int
    message_key: bytes
    decide_by: datetime  #: in the database's clock
    refusal_before_pin: str | None
    hsm_fault: bool
    pin_verdict: str | None
    refusal_after_pin: str | None
    kind: str
    channel: str
    amount_minor: int  #: billed, in the account's currency
    cash_minor: int
    transaction_minor: int
    transaction_currency: str
    processing_code: str
    mti: str
    stan: str
    transmission_datetime: str
    rrn: str
    acquirer: str
    terminal: str
    merchant: str | None
    merchant_name: str | None
    mcc: str | None
    country: str | None
    entry_mode: str | None
    link: str
    authorization_code: str  #: to be given with an approval
    issuer_authentication: str | None  #: tag 91 of an approval, hex


class RefusedCall(NamedTuple):
    """A request for a card that is not ours: the parameters of refuse_v1."""

    pan_token: bytes
    message_key: bytes
    link: str
    mti: str
    stan: str
    transmission_datetime: str
    rrn: str
    processing_code: str
    transaction_minor: int
    transaction_currency: str
    reason: str


def columns(calls: Sequence[tuple[Any, ...]], kind: type[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """One column a parameter, as the set-based functions take them."""
    return list(zip(*calls, strict=True)) or [()] * len(kind._fields)  # type: ignore[attr-defined]


def decision(row: asyncpg.Record | None, batch: int) -> Decision | Exception:
    """Read one row of authorize_v1's answer."""
    if row is None:  # the card went away between find and decide
        return LedgerUnavailable("the card is no longer there")
    match row["outcome"]:
        case "locked":
            return Retry()
        case "late":
            return Overdue()
        case "unavailable":
            return VerdictMissing()
        case outcome:
            is_repeat = outcome == "repeated"
            if row["reason"] is not None:
                return Declined(Reason(row["reason"]), is_repeat, batch)
            return Approved(
                authorization_code=row["authorization_code"],
                available_minor=row["available_minor"],
                issuer_authentication=row["issuer_authentication"],
                is_repeat=is_repeat,
                batch=batch,
            )
