"""What the ledger is asked and what it answers: values, and their way to SQL and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from switch.ledger.batch import Retry
from switch.ledger.errors import CardChanged, Overdue, VerdictMissing
from switch.rules.decision import Approved, Decision, Declined
from switch.rules.reason import Reason


class Told(NamedTuple):
    """What every row of the journal has of its message: the first columns of a call."""

    kind: str
    channel: str
    transaction_minor: int
    transaction_currency: str
    hold_seconds: int
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
    scheme: str  #: whose settlement account it is posted against
    scheme_transaction_id: str | None


class AuthorizationCall(NamedTuple):
    """One request to decide: authorization_v2 after its round, by its names and in its order."""

    kind: str
    channel: str
    transaction_minor: int
    transaction_currency: str
    hold_seconds: int
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
    scheme: str  #: whose settlement account it is posted against
    scheme_transaction_id: str | None
    account_id: int
    card_id: int
    card_version: int | None  #: of the card as it was judged; none: whatever it is now
    message_key: bytes
    decide_by: float  #: seconds since 1970, by the clock of the database
    refusal_before_pin: str | None
    hsm_fault: bool
    pin_verdict: str | None
    refusal_after_pin: str | None
    amount_minor: int  #: billed, in the account's currency
    cash_minor: int
    authorization_code: str  #: to be given with an approval
    issuer_authentication: str | None  #: tag 91 of an approval, hex
    books: str  #: hold, posting, or nothing
    takes_partial: bool
    rrn_clue: bytes | None  #: with the next: under which an advice may have been here first
    scheme_clue: bytes | None
    is_increment: bool
    original_trace: bytes | None  #: of the purchase that it adds to
    sequence_number: str | None  #: with the next: of a right cryptogram, the chip and its counter
    atc: int | None
    atc_behind: int  #: how far it may stand behind the highest that was seen
    atc_ahead: int | None  #: and before it; none: as far as it likes
    findings: str | None  #: what became of each thing that was verified, in words, to be kept


class BookingCall(NamedTuple):
    """One advice, completion or reversal to book: booking_v1, by its names and in its order."""

    account_id: int
    card_id: int
    message_key: bytes
    task: str  #: advise, complete, reverse; remember: a reversal's mark alone
    is_approved: bool
    is_final: bool
    may_suspend: bool
    original_traces: list[bytes]
    original_classes: list[str]
    original_acquirer: str | None
    original_code: str | None
    rrn_clue: bytes | None
    scheme_clue: bytes | None
    own_traces: list[bytes]
    leave_clues: list[bytes]
    kind: str
    channel: str
    amount_minor: int | None  #: billed; none: by its original's rate
    cash_minor: int
    transaction_minor: int
    transaction_currency: str
    keep_transaction_minor: int | None
    keep_minor: int | None
    hold_seconds: int
    would_have_declined: str | None
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
    scheme: str
    scheme_transaction_id: str | None
    authorization_code: str | None
    response_code: str | None


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of a booking: it is committed, unless it is unbookable here."""

    outcome: str  #: booked, repeated, unbookable
    effect: str | None  #: held, released, posted, reversed, remembered, recorded, nothing, …
    moved_minor: int
    batch: int = field(default=1, compare=False)

    @property
    def is_repeat(self) -> bool:
        """It had been booked before."""
        return self.outcome == "repeated"

    @property
    def is_unbookable(self) -> bool:
        """Nothing was done: it belongs on the suspense account."""
        return self.outcome == "unbookable"


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


def decision(row: asyncpg.Record, batch: int) -> Decision | Exception:
    """Read one decision_v1 of authorize_v5's answer."""
    (
        _, outcome, reason, authorization_code, available_minor, issuer_authentication,
        partial_minor, partial_transaction_minor, response_code,
    ) = row  # fmt: skip
    if outcome not in ("decided", "repeated"):
        return _UNDECIDED[outcome]()
    is_repeat = outcome == "repeated"
    if reason is not None:
        is_elsewhere = reason == Reason.DECLINED_ELSEWHERE
        return Declined(Reason(reason), is_repeat, batch, response_code if is_elsewhere else None)
    return Approved(
        authorization_code,
        available_minor,
        issuer_authentication,
        is_repeat,
        batch,
        partial_minor,
        partial_transaction_minor,
        response_code,
    )


#: What is raised or done where there is no decision, by the outcome that says so.
_UNDECIDED: Mapping[str, type[Exception]] = {
    "locked": Retry,
    "late": Overdue,
    "stale": CardChanged,
    "unavailable": VerdictMissing,
}


def booked(row: asyncpg.Record, batch: int) -> Booked | Exception:
    """Read one row of book_v1's answer."""
    if row["outcome"] == "locked":
        return Retry()
    return Booked(row["outcome"], row["effect"], row["moved_minor"], batch)
