"""A message, its card and its account as they were when it was decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from switch.ledger.history import Recorded
from switch.rules.findings import LimitFigures, limits, words

_DEBITS = ("purchase", "cash", "cashback")
#: The classes and functions of what is decided here; anything else had happened before it came.
_DECIDED = ("10", "20")
_SET_LIMIT, _REMOVE_LIMIT = "set_limit", "remove_limit"


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account had, in minor units of its currency."""

    posted_minor: int
    held_minor: int
    credit_limit_minor: int
    available_before_minor: int
    available_after_minor: int | None  #: none for what was booked: it is not kept

    def as_json(self) -> dict[str, int | None]:
        """By name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one message. Who changed a card by hand, past the operators' commands, has
    changed it for every message of before, too.
    """

    row: Mapping[str, Any]
    card_status: str | None  #: none: no card, on a suspense account
    account_status: str
    channels_blocked: Sequence[str]
    mcc_blocked: Sequence[str]
    countries_allowed: Sequence[str] | None  #: none: every country
    changed_since: Sequence[str]  #: what operators have done since
    findings: Mapping[str, str] | None  #: none: nothing was kept
    limits: Sequence[LimitFigures]
    funds: Funds

    @property
    def is_decision(self) -> bool:
        """Whether it was decided here, and not only booked."""
        return is_decided(self.row["mti"])

    @property
    def is_debit(self) -> bool:
        """Whether it asks for money."""
        return self.row["kind"] in _DEBITS and self.row["amount_minor"] > 0

    @property
    def is_advised(self) -> bool:
        """Whether an advice was here first, and it was answered as that was."""
        return is_advised(self.row)


def is_decided(mti: str) -> bool:
    """Whether such a message is decided by us: 0100 and 0200 of any version."""
    return mti[1:3] in _DECIDED


def is_advised(row: Mapping[str, Any]) -> bool:
    """Whether a decision of ours was told by an advice or completion that came before it."""
    is_other = row["purchase_id"] is not None and not row["is_increment"]
    return is_decided(row["mti"]) and is_other and row["reason"] is None


def facts_of(recorded: Recorded) -> Facts:
    """What was, from what is: each thing that was changed since is as it was before the first
    change.
    """
    row = dict(recorded.row)
    was = _before(recorded.changes, row["card_id"])
    text = row["findings"]
    return Facts(
        row=row,
        card_status=was.get("card_status", row["card_status"]),
        account_status=was.get("account_status", row["account_status"]),
        channels_blocked=was.get("channels_blocked", row["channels_blocked"]) or [],
        mcc_blocked=was.get("mcc_blocked", row["mcc_blocked"]) or [],
        countries_allowed=was.get("countries_allowed", row["countries_allowed"]),
        changed_since=[change["action"] for change in recorded.changes],
        findings=None if text is None else words(text),
        limits=[] if text is None else limits(text),
        funds=_funds(row, recorded.posted_since, was),
    )


def _before(changes: Sequence[asyncpg.Record], card_id: int) -> dict[str, Any]:
    """What the first change of each thing says that it was."""
    first: dict[str, Any] = {}
    for change in changes:
        if change["action"] in (_SET_LIMIT, _REMOVE_LIMIT):
            continue
        owner = "account" if change["card_id"] is None else "card"
        for name, value in (orjson.loads(change["was"] or "null") or {}).items():
            first.setdefault(f"{owner}_status" if name == "status" else name, value)
    return first


def _funds(row: Mapping[str, Any], posted_since: int, was: Mapping[str, Any]) -> Funds:
    """Posted follows from the postings since; what was held is what then is missing."""
    posted = row["posted_minor"] - posted_since
    credit = was.get("credit_limit_minor", row["credit_limit_minor"])
    after = row["available_minor"] if is_decided(row["mti"]) else None
    before = row["available_minor"] + held_or_posted(row)
    return Funds(
        posted_minor=posted,
        held_minor=posted + credit - before,
        credit_limit_minor=credit,
        available_before_minor=before,
        available_after_minor=after,
    )


def held_or_posted(row: Mapping[str, Any]) -> int:
    """By how much a decision itself lowered what is available; a credit raises it."""
    if not is_decided(row["mti"]) or row["reason"] is not None or is_advised(row):
        return 0
    granted: int = row["amount_minor"] if row["partial_minor"] is None else row["partial_minor"]
    if row["kind"] in _DEBITS:
        return granted
    is_posted = row["mti"][1] == "2" and row["kind"] in ("refund", "credit")
    return -granted if is_posted else 0
