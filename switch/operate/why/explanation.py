"""One message explained: what came, what was asked of it in order, and what followed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger import history
from switch.ledger.history import Place, Recorded
from switch.operate.why.checks import NOT_ASKED, PASSED, REFUSED, Check, ask
from switch.operate.why.facts import Funds, facts_of
from switch.operate.why.followed import Event, followed
from switch.operate.why.line import Step
from switch.rules.findings import LimitFigures

_MESSAGE = (
    "link", "mti", "stan", "transmission_datetime", "rrn", "acquirer", "terminal", "merchant",
    "merchant_name", "mcc", "country", "entry_mode", "processing_code", "kind", "channel", "scheme",
    "scheme_transaction_id", "is_increment",
)  # fmt: skip
_ACCOUNT = ("account_id", "reference", "program", "currency")


class NotRecorded(LookupError):
    """There is no such message, or not any more."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for the purchase."""

    amount_minor: int
    state: str  #: open, expired, unwound, reversed, completed, released
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Explanation:
    """One message explained. Amounts are minor units."""

    place: Place
    received_at: datetime
    verdict: str  #: approved, declined, booked; or refused, where the card is not ours
    reason: str | None  #: where declined or refused; of a booking: its sender's own decline
    message: Mapping[str, Any]
    amounts: Mapping[str, Any]
    answer: Mapping[str, Any]
    card: Mapping[str, Any] | None  #: as it was; none: not ours, or on a suspense account
    account: Mapping[str, Any] | None
    checks: Sequence[Check] = ()
    limits: Sequence[LimitFigures] = ()
    funds: Funds | None = None
    holds: Sequence[Hold] = ()
    followed: Sequence[Event] = ()
    notes: Sequence[str] = ()
    steps: Sequence[Step] = field(default=())

    @property
    def refusing(self) -> Check | None:
        """The question that refused it."""
        return next((check for check in self.checks if check.verdict == REFUSED), None)

    def with_steps(self, steps: Sequence[Step]) -> Explanation:
        """The same with where its time went."""
        return replace(self, steps=tuple(steps))

    def as_json(self) -> dict[str, Any]:
        """See `switch.operate.why`."""
        return {
            "place": str(self.place),
            "received_at": self.received_at.isoformat(),
            "verdict": self.verdict,
            "reason": self.reason,
            "message": dict(self.message),
            "amounts": dict(self.amounts),
            "answer": dict(self.answer),
            "card": None if self.card is None else dict(self.card),
            "account": None if self.account is None else dict(self.account),
            "checks": [check.as_json() for check in self.checks],
            "limits": [
                limit._asdict()
                | {
                    "would_be_minor": limit.would_be_minor,
                    "is_over_amount": limit.is_over_amount,
                    "is_over_count": limit.is_over_count,
                }
                for limit in self.limits
            ],
            "funds": None if self.funds is None else self.funds.as_json(),
            "holds": [
                {
                    "amount_minor": hold.amount_minor,
                    "state": hold.state,
                    "expires_at": hold.expires_at.isoformat(),
                }
                for hold in self.holds
            ],
            "followed": [event.as_json() for event in self.followed],
            "notes": list(self.notes),
            "steps": [step._asdict() for step in self.steps],
        }


async def explain(connection: asyncpg.Connection, place: Place) -> Explanation:
    """What is known of the message at a place, all of one moment.

    Raises `NotRecorded`; `asyncpg.QueryCanceledError` where it takes longer than it may.
    """
    async with history.reading(connection):
        if place.is_refused:
            row = await history.refused_row(connection, place)
            if row is not None:
                return _of_refused(place, row)
        elif (recorded := await history.recorded(connection, place)) is not None:
            return _of_recorded(place, recorded)
    raise NotRecorded("there is no such message, or its month was set apart")


def _of_recorded(place: Place, recorded: Recorded) -> Explanation:
    facts = facts_of(recorded)
    row = facts.row
    checks, notes = ask(facts) if facts.is_decision else ([], [])
    has_card = row["pan_last_four"] is not None
    verdict = "booked"
    if facts.is_decision:
        verdict = "approved" if row["reason"] is None else "declined"
    if facts.is_decision and facts.findings is None:
        notes.append("decided by a version that kept no findings")
    return Explanation(
        place=place,
        received_at=row["received_at"],
        verdict=verdict,
        reason=row["reason"],
        message={name: row[name] for name in _MESSAGE},
        amounts={
            "transaction_minor": row["transaction_minor"],
            "transaction_currency": row["transaction_currency"],
            "billed_minor": row["amount_minor"],
            "billed_currency": row["currency"],
            "cash_minor": row["cash_minor"],
            "approved_minor": row["partial_minor"],
        },
        answer={
            "authorization_code": row["authorization_code"],
            "response_code_brought": row["response_code"],
            "would_have_declined": row["would_have_declined"],
        },
        card={
            "card_id": row["card_id"],
            "last_four": row["pan_last_four"],
            "status": facts.card_status,
            "channels_blocked": list(facts.channels_blocked),
            "mcc_blocked": list(facts.mcc_blocked),
            "countries_allowed": facts.countries_allowed and list(facts.countries_allowed),
            "changed_since": list(facts.changed_since),
        }
        if has_card
        else None,
        account={name: row[name] for name in _ACCOUNT}
        | {"kind": row["account_kind"], "status": facts.account_status},
        checks=tuple(checks),
        limits=tuple(facts.limits) if _are_asked(checks) else (),
        funds=facts.funds,
        holds=tuple(
            Hold(hold["amount_minor"], hold["state"], hold["expires_at"]) for hold in recorded.holds
        ),
        followed=tuple(followed(recorded)),
        notes=tuple(notes),
    )


def _are_asked(checks: Sequence[Check]) -> bool:
    """The ledger works limits out beside earlier questions, and then may not need them."""
    return any(check.name == "limits" and check.verdict in (PASSED, REFUSED) for check in checks)


def _of_refused(place: Place, row: asyncpg.Record) -> Explanation:
    """A request for a card that is not ours: no account, so nothing else was asked."""
    is_ours_asked = row["reason"] == "no_card_record"
    return Explanation(
        place=place,
        received_at=row["received_at"],
        verdict="refused",
        reason=row["reason"],
        message={name: row.get(name) for name in _MESSAGE},
        amounts={
            "transaction_minor": row["transaction_minor"],
            "transaction_currency": row["transaction_currency"],
        },
        answer={},
        card=None,
        account=None,
        checks=(
            Check(
                4, "supported", "are processing code and currency known?",
                PASSED if is_ours_asked else REFUSED,
                f"processing code {row['processing_code']}, currency {row['transaction_currency']}",
                None if is_ours_asked else row["reason"],
            ),
            Check(
                5, "card", "is the card ours?", REFUSED if is_ours_asked else NOT_ASKED,
                "no card has its PAN" if is_ours_asked else "an earlier one refused",
                row["reason"] if is_ours_asked else None,
            ),
        ),
    )  # fmt: skip
