"""Which messages are meant by an RRN, a STAN, an authorization code or the last four digits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger import history
from switch.ledger.history import Place

#: DE37 has so many characters; a longer number may be a PAN, which is never taken.
_RRN, _STAN, _STAN_2003, _LAST_FOUR = 12, 6, 12, 4
_TEXT = re.compile(r"[A-Za-z0-9]{1,12}")


class QueryError(ValueError):
    """Nothing that can be looked for: one line that says what can. It repeats no value."""


@dataclass(frozen=True, slots=True)
class Found:
    """A message that answers to a search. It tells of the card its last four digits alone."""

    place: Place
    received_at: datetime
    matched: str  #: rrn, stan, authorization_code, last_four
    link: str
    mti: str
    stan: str
    rrn: str
    authorization_code: str | None
    last_four: str | None  #: none where the card is not ours
    transaction_minor: int
    transaction_currency: str  #: ISO 4217 numeric
    reason: str | None  #: none: approved, or booked

    @property
    def kind(self) -> str:
        """`journal`, `suspense` (booked, but on no card of ours) or `refused` (not our card)."""
        if self.place.is_refused:
            return "refused"
        return "suspense" if self.place.account_id < 0 else "journal"

    def as_json(self) -> dict[str, Any]:
        """See `switch.operate.why`."""
        return {
            "place": str(self.place),
            "kind": self.kind,
            "received_at": self.received_at.isoformat(),
            "matched": self.matched,
            "link": self.link,
            "mti": self.mti,
            "stan": self.stan,
            "rrn": self.rrn,
            "authorization_code": self.authorization_code,
            "last_four": self.last_four,
            "transaction": {"minor": self.transaction_minor, "currency": self.transaction_currency},
            "reason": self.reason,
        }


async def search(
    connection: asyncpg.Connection,
    query: str,
    since: datetime,
    limit: int,
    *,
    last_four: str | None = None,
) -> list[Found]:
    """What was received since a moment and answers to a query, the newest first.

    Four digits are a card's last four; six a STAN or an authorization code, fewer a STAN without
    its zeros; seven to twelve characters an RRN. `last_four` leaves other cards out.
    Raises `QueryError` for what is none of these, `asyncpg.QueryCanceledError` where it takes
    longer than it may.
    """
    text = query.strip()
    if _TEXT.fullmatch(text) is None:
        raise QueryError(
            "look for an RRN (7 to 12 letters and digits), a STAN or authorization code (6), "
            "or a card's last four digits; never for a PAN"
        )
    async with history.reading(connection):
        if len(text) == _LAST_FOUR and text.isdigit():
            rows = await history.by_last_four(connection, text, None, since, limit)
            return [_found(row, "last_four") for row in rows]
        texts = spellings(text)
        if last_four is not None:
            rows = await history.by_last_four(connection, last_four, texts, since, limit)
            return [_found(row, _matched(row, texts)) for row in rows]
        rows = await _by_name(connection, texts, since, limit)
        found = [_found(row, _matched(row, texts)) for row in rows]
        found += await _refused(connection, texts, since, limit)
    found.sort(key=lambda one: one.received_at, reverse=True)
    return found[:limit]


async def _by_name(
    connection: asyncpg.Connection, texts: Sequence[str], since: datetime, limit: int
) -> list[asyncpg.Record]:
    """The rows of the journal; a STAN of twelve digits is looked for where no RRN is so."""
    length = len(texts[0])
    if length > _STAN:
        rows = await history.by_rrn(connection, texts, since, limit)
        if rows or length < _STAN_2003:
            return rows
    return await history.by_number(connection, texts, since, limit)


async def _refused(
    connection: asyncpg.Connection, texts: Sequence[str], since: datetime, limit: int
) -> list[Found]:
    rows = await history.refused(connection, texts, since, limit)
    return [
        Found(
            place=Place(0, int(row["stan"]), row["received_at"]),
            matched="rrn" if row["rrn"] in texts else "stan",
            authorization_code=None,
            last_four=None,
            **row,
        )
        for row in rows
    ]


def _found(row: asyncpg.Record, matched: str) -> Found:
    account_id, number, *_ = row
    return Found(
        place=Place(account_id, number, row["received_at"]),
        matched=matched,
        last_four=row["pan_last_four"],
        **{name: row[name] for name in _TOLD},
    )


#: What a list tells of a message as its row has it.
_TOLD = (
    "received_at", "link", "mti", "stan", "rrn", "authorization_code", "transaction_minor",
    "transaction_currency", "reason",
)  # fmt: skip


def _matched(row: asyncpg.Record, texts: Sequence[str]) -> str:
    """As what a row answers to one of these."""
    names = ("rrn", "stan", "authorization_code")
    return next(name for name in names if row[name] in texts)


def spellings(text: str) -> list[str]:
    """A number as it was given, and with the zeros that people leave out."""
    length = _STAN if len(text) <= _STAN else _RRN
    return list(dict.fromkeys((text, text.zfill(length)))) if text.isdigit() else [text]
