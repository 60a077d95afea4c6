"""All that is compared after a step: what the model has, and the same from the tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.ledger.support import Books
from tests.life.model import Model
from tests.life.money import Account, Row
from tests.life.reading import CREDITS, KINDS

Snapshot = dict[str, Any]

_ROWS = """
SELECT z.account_id, z.authorization_id, z.card_id, left(z.mti, 3) || '0' AS mti, z.stan,
       z.transmission_datetime, z.rrn, z.posted_minor, z.using_minor, z.using_cash_minor,
       z.standing_minor, coalesce(z.purchase_id, z.authorization_id) AS purchase_id,
       left(z.processing_code, 2) AS processing
  FROM authorizations AS z WHERE z.account_id = ANY ($1)
"""
_HOLDS = """
SELECT account_id, purchase_id, authorization_id, amount_minor, state, expires_at
  FROM holds WHERE account_id = ANY ($1)
"""
_USE = """
SELECT account_id, card_id, scope, period, sum(amount_minor)::bigint, sum(count)::bigint
  FROM limit_usage WHERE account_id = ANY ($1) GROUP BY 1, 2, 3, 4
"""
_ATCS = """
SELECT account_id, card_id, highest, seen FROM chip_counters WHERE account_id = ANY ($1)
"""
_BALANCES = """
SELECT account_id, currency, kind, posted_minor, held_minor
  FROM accounts WHERE account_id = ANY ($1) OR kind = 'suspense'
"""


def _name(pans: Sequence[str], pan: str, has_rrn: bool, mti: str, stan: str, moment: str) -> str:
    """A message as its step has it: MTI, card, slot, number."""
    place = f"card {pans.index(pan)} slot {int(moment[8:])} number {(int(stan) - 1) % 10}"
    return f"{mti} {place}{'' if has_rrn else ' without RRN'}"


def expected(model: Model, accounts: Mapping[int, Account], pans: Sequence[str]) -> Snapshot:
    """What the model has."""

    def name(row: Row) -> str:
        return _name(pans, row.told.pan, row.told.rrn is not None, *row.told.trace)

    shown: Snapshot = {}
    for account in accounts.values():
        shown[f"balance of {account.name}"] = account.posted, account.held
        for hold in account.holds:
            amount = hold.amount if hold.state == "open" else None
            shown[f"hold of {name(hold.row)} for {name(hold.root)}"] = hold.state, amount
        open_holds = [hold for hold in account.holds if hold.state == "open"]
        shown[f"order of expiry of {account.name}"] = _groups(
            (name(hold.row), hold.expires) for hold in open_holds
        )
        for row in account.rows:
            standing = row.standing if row is row.root and _is_debit(row.members) else None
            shown[name(row)] = _money(row.posted, row.use, row.cash_use, standing)
    for pan, card in model.cards.items():
        for limit in card.limits:
            if card.account and limit.period != "transaction":
                key = f"use of card {pans.index(pan)} {limit.scope} {limit.period}"
                shown[key] = card.account.use(card, limit)
        if card.chip.seen:
            shown[f"ATCs of card {pans.index(pan)}"] = _of_the_window(card.chip.seen)
    for currency, account in model.suspense.items():
        shown[f"suspense {currency}"] = account.posted, account.held
    return {what: value for what, value in shown.items() if value not in ((0, 0), [])}


def _money(posted: int, use: int, cash_use: int, standing: int | None) -> str:
    stands = f", {standing} stands" if standing else ""
    return f"{posted} posted, {use} used, {cash_use} of it cash{stands}"


def _of_the_window(seen: set[int]) -> list[int]:
    """The highest and what was seen of the 63 behind it."""
    return sorted(atc for atc in seen if max(seen) - atc < 64)


def _is_debit(rows: Sequence[Row]) -> bool:
    return not any(row.told.kind in CREDITS for row in rows)


def _groups(stamps: Any) -> list[list[str]]:
    """Names by their stamp, in the order of the stamps."""
    groups: dict[Any, list[str]] = {}
    for name, stamp in stamps:
        groups.setdefault(stamp, []).append(name)
    return [sorted(groups[stamp]) for stamp in sorted(groups)]


async def found(
    books: Books,
    accounts: Mapping[int, Account],
    cards: Mapping[tuple[int, int], str],
    pans: Sequence[str],
    before: Mapping[str, tuple[int, int]],
) -> Snapshot:
    """The same from the tables."""
    fetch, ids, shown = books.connection.fetch, list(accounts), Snapshot()
    rows = {row["authorization_id"]: row for row in await fetch(_ROWS, ids)}

    def name(row: Any) -> str:
        pan = cards[row["account_id"], row["card_id"]]
        trace = row["mti"], row["stan"], row["transmission_datetime"]
        return _name(pans, pan, bool(row["rrn"].strip("0")), *trace)

    credits = {
        row["purchase_id"] for row in rows.values() if KINDS.get(row["processing"]) in CREDITS
    }
    for number, row in rows.items():
        is_root = row["purchase_id"] == number
        standing = row["standing_minor"] if is_root and number not in credits else None
        used = row["using_minor"], row["using_cash_minor"]
        shown[name(row)] = _money(row["posted_minor"], *used, standing)
    stamps: dict[int, list[tuple[str, Any]]] = {account_id: [] for account_id in ids}
    for account_id, root, number, amount, state, expires in await fetch(_HOLDS, ids):
        who = name(rows[number])
        is_open = state == "open"
        shown[f"hold of {who} for {name(rows[root])}"] = state, amount if is_open else None
        if is_open:
            stamps[account_id].append((who, expires))
    for account_id, own in stamps.items():
        shown[f"order of expiry of {accounts[account_id].name}"] = _groups(own)
    for account_id, card_id, scope, period, used, count in await fetch(_USE, ids):
        card = pans.index(cards[account_id, card_id])
        shown[f"use of card {card} {scope} {period}"] = used, count
    for account_id, card_id, highest, bits in await fetch(_ATCS, ids):
        seen = {highest - n for n in range(64) if bits >> n & 1}
        card = pans.index(cards[account_id, card_id])
        shown[f"ATCs of card {card}"] = _of_the_window(seen)
    for row in await fetch(_BALANCES, ids):
        posted, held = row["posted_minor"], row["held_minor"]
        if row["kind"] == "suspense":
            was = before.get(row["currency"], (0, 0))
            shown[f"suspense {row['currency']}"] = posted - was[0], held - was[1]
        else:
            shown[f"balance of {accounts[row['account_id']].name}"] = posted, held
    return {what: value for what, value in shown.items() if value not in ((0, 0), [])}
