"""The outcome of a trial, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import asyncpg

from switch.operate.trial.rules_file import Rules
from switch.operate.trial.trial import Outcome
from switch.wire.currency import in_units

#: What stands beside an outcome: by its name in the ledger, the words for it.
_BESIDE: Mapping[str, Callable[[str, str], str]] = {
    "accounts_astray": lambda number, _: (
        f"accounts whose balance did not follow the record: {number}. What is told of them is "
        "a guess"
    ),
    "booked_all_the_same": lambda number, amount: (
        f"completions of what would have been refused: {number}, {amount}. They are posted, as the "
        "switch posts what already happened"
    ),
    "perhaps_in_part": lambda number, _: (
        f"purchases refused for funds that may have been approved in part: {number}. What a "
        "terminal takes is not recorded"
    ),
    "bookings_of_before": lambda number, _: (
        f"advices, completions and reversals that an older version recorded: {number}. They are "
        "booked as final and in full"
    ),
    "limits_removed": lambda number, _: (
        f"limits that were removed since, and nobody noted when they were set: {number}. They "
        "count from the beginning of their period"
    ),
}


def report(outcome: Outcome, tried: Rules) -> Iterator[str]:
    """The page for people, by lines."""
    period = outcome.period
    yield f"from {_moment(period.begin)} until {_moment(period.end)}"
    if not (tried.limits or tried.controls):
        yield "nothing is changed: what differs is what cannot be played again"
    yield ""
    yield f"accounts          {outcome.accounts:>10,}"
    yield f"requests          {outcome.requests:>10,}"
    yield f"the same          {outcome.requests - outcome.others:>10,}"
    yield f"otherwise         {outcome.others:>10,}"
    if outcome.others:
        yield ""
        yield f"{'was':<26} {'would have been':<26} {'requests':>10}  amount"
        for row in outcome.answers:
            if row["is_other"]:
                amount = in_units(row["amount_minor"], row["currency"])
                yield f"{row['was']:<26} {row['now']:<26} {row['number']:>10,}  {amount}"
    if outcome.examples:
        yield ""
        yield "the first of them, in UTC"
    for row in outcome.examples:
        yield (
            f"  {row['received_at']:%Y-%m-%d %H:%M:%S}  rrn {row['rrn']}  …{row['pan_last_four']}  "
            f"{row['kind']} {in_units(row['amount_minor'], row['currency'])}  "
            f"{_answer(row, 'was')} → {_answer(row, 'now')}"
        )
    if outcome.beside:
        yield ""
        yield "to be known"
    for row in outcome.beside:
        amount = "" if row["currency"] is None else in_units(row["amount_minor"], row["currency"])
        yield "  " + _BESIDE[row["what"]](f"{row['number']:,}", amount)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same for programs. Amounts are in minor units of their currency.

    `answers`: every answer that was given and would have been, by currency; `examples`: the first
    that differ; `beside`: what a reader should know, by name, as docs/rules.md explains it.
    """
    beside: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in outcome.beside:
        told = {name: row[name] for name in ("number", "currency", "amount_minor")}
        beside[row["what"]].append(
            {name: value for name, value in told.items() if value is not None}
        )
    return {
        "from": _iso(outcome.period.begin),
        "to": _iso(outcome.period.end),
        "accounts": outcome.accounts,
        "requests": outcome.requests,
        "same": outcome.requests - outcome.others,
        "other": outcome.others,
        "answers": [dict(row) for row in outcome.answers],
        "examples": [{**row, "received_at": _iso(row["received_at"])} for row in outcome.examples],
        "beside": beside,
    }


def _answer(row: asyncpg.Record, when: str) -> str:
    part = row[f"{when}_partial_minor"]
    return f"{row[when]}" + (f" {in_units(part, row['currency'])}" if part is not None else "")


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
