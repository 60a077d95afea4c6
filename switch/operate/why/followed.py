"""What else is known of a purchase, in order of time: before a message, and after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger.history import Recorded
from switch.wire.mti import message_class

#: How a message of a class and function is called beside the purchase it belongs to.
_NAMES = {
    "10": "authorization", "12": "stand-in advice", "19": "acknowledgement", "20": "financial",
    "22": "completion", "40": "reversal", "42": "reversal advice",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to the purchase."""

    at: datetime
    what: str
    detail: str
    amount_minor: int | None  #: of the account's currency; above zero: toward the account
    is_before: bool  #: before the message that is explained

    def as_json(self) -> dict[str, Any]:
        """By name."""
        told = {name: getattr(self, name) for name in self.__slots__}
        return told | {"at": self.at.isoformat()}


def followed(recorded: Recorded) -> list[Event]:
    """Everything that is recorded of it, the oldest first."""
    row = recorded.row
    cleared = {one["authorization_id"] for one in recorded.presentments}
    events = [
        *_own(row),
        *(
            _message(other, row)
            for other in recorded.purchase
            if other["authorization_id"] not in cleared
        ),
        *(_presented(one, row) for one in recorded.presentments),
        *(_posted(one, row) for one in recorded.postings),
        *_expired(recorded),
        *(
            _event(row, one["told_at"], "repeat", "told of the approval again")
            for one in recorded.repeats
        ),
    ]
    return sorted(events, key=lambda event: event.at)


def _event(
    row: asyncpg.Record, at: datetime, what: str, detail: str, amount_minor: int | None = None
) -> Event:
    return Event(at, what, detail, amount_minor, at < row["received_at"])


def _own(row: asyncpg.Record) -> Iterator[Event]:
    """What is noted on the row itself."""
    if row["stood_in_at"] is not None:
        said = "by us, while the database was away; it was booked when that was back"
        yield _event(row, row["stood_in_at"], "approved", said)
    if row["unwind_asked_at"] is not None:
        yield _event(row, row["unwind_asked_at"], "answer lost", "it did not leave in time")
    if row["unwound_at"] is not None:
        kept = ", but an advice has spoken for it: the money stays" if row["advised_at"] else ""
        yield _event(row, row["unwound_at"], "unwound", f"taken back{kept}")
    if row["advised_at"] is not None:
        yield _event(row, row["advised_at"], "advised", "an advice or completion spoke for it")
    if row["reversed_at"] is not None:
        yield _event(row, row["reversed_at"], "reversed", "nothing of it remains")


def _message(other: asyncpg.Record, row: asyncpg.Record) -> Event:
    mti = other["mti"]
    name = _NAMES.get(mti[1:3]) or message_class(mti)
    words = [f"{mti}, STAN {other['stan']}"]
    if other["is_increment"]:
        words.append("increment")
    if other["response_code"]:
        words.append(f"brought {other['response_code']}")
    if other["reason"]:
        words.append(other["reason"])
    return _event(row, other["received_at"], name, ", ".join(words), other["amount_minor"])


def _presented(one: asyncpg.Record, row: asyncpg.Record) -> Event:
    words = [one["outcome"].replace("_", " ")]
    if one["is_final"]:
        words.append("final")
    what = f"clearing {one['kind'].replace('_', ' ')}"
    return _event(row, one["received_at"], what, ", ".join(words), one["moved_minor"])


def _posted(one: asyncpg.Record, row: asyncpg.Record) -> Event:
    by = "by itself" if one["authorization_id"] == row["authorization_id"] else "by what followed"
    return _event(row, one["posted_at"], "posted", by, one["amount_minor"])


def _expired(recorded: Recorded) -> Iterator[Event]:
    """A hold is closed within seconds of its end; when exactly is not kept."""
    for hold in recorded.holds:
        if hold["state"] == "expired":
            yield _event(
                recorded.row,
                hold["expires_at"],
                "expired",
                "the hold is given back",
                hold["amount_minor"],
            )
