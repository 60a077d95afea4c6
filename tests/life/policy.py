"""The model's decisions, rows 4 to 13 of the policy table without the HSM's, and its amounts."""

from __future__ import annotations

from tests.life.money import Account, Row
from tests.life.reading import CREDITS, CURRENCIES, DEBITS, Told

CODES = {
    "duplicate_conflict": "94", "reversed": "05", "reversed_before_original": "05",
    "not_supported": "12", "currency_not_supported": "12", "no_card_record": "14",
    "lost": "41", "stolen": "43", "blocked": "62", "inactive": "78", "closed": "46",
    "account_closed": "46", "cryptogram_replayed": "82", "atc_out_of_window": "82",
    "not_permitted": "57", "limit_amount": "61", "limit_count": "65",
    "insufficient_funds": "51",
}  # fmt: skip


def refusal(row: Row) -> str | None:
    """The first refusal is the answer."""
    told, card, book = row.told, row.card, row.book
    if reason := unsupported(told):
        return reason
    if card.status != "active":
        return card.status
    if book.status != "open":
        return "account_closed"
    if row.atc_refusal:
        return row.atc_refusal
    if told.kind not in ("inquiry", "verification") and billed(told, book.currency) is None:
        return "currency_not_supported"
    if told.mcc in card.mcc_blocked:
        return "not_permitted"
    if told.kind not in DEBITS:
        return None
    return _over_limit(row) or ("insufficient_funds" if row.amount > book.available else None)


def unsupported(told: Told) -> str | None:
    """Is the processing code or a currency unknown?"""
    if told.kind == "unknown":
        return "not_supported"
    known = {money.currency for money in (told.transaction, told.billing) if money} <= CURRENCIES
    return None if known else "currency_not_supported"


def billed(told: Told, currency: str) -> int | None:
    """The amount in the account's currency, where the message has it."""
    for money in (told.billing, told.transaction):
        if money and money.currency == currency and (money.minor or not told.transaction.minor):
            return money.minor
    return None


def amount_of(told: Told, book: Account, found: Row | None) -> int | None:
    """What a message comes to in an account's currency, if need be by its original."""
    amount = billed(told, book.currency) if told.kind in DEBITS | CREDITS else 0
    if amount is not None or found is None:
        return amount
    original = found.told.transaction
    if original.currency != told.transaction.currency or not found.amount:
        return None
    return half_up(found.amount, told.transaction.minor, original.minor)


def kept(told: Told, found: Row) -> int:
    """What is to remain of a message, billed. Without a rate to tell it by, all remains."""
    if not told.keep_minor or told.transaction.currency == found.book.currency:
        return told.keep_minor or 0
    if not found.told.transaction.minor or not found.amount:
        return found.standing
    return half_up(found.amount, told.keep_minor, found.told.transaction.minor)


def half_up(one: int, other: int, by: int) -> int:
    """One × other ÷ by."""
    return (2 * one * other + by) // (2 * by)


def _over_limit(row: Row) -> str | None:
    asked = [
        (limit, limit.period == "transaction", row.book.use(row.card, limit))
        for limit in row.card.limits
        if limit.takes(row.told.kind, row.amount, row.cash)
    ]
    for limit, is_single, (used, _) in asked:
        mine = limit.takes(row.told.kind, row.amount, row.cash)
        if limit.amount is not None and mine + (0 if is_single else used) > limit.amount:
            return "limit_amount"
    for limit, is_single, (_, count) in asked:
        if limit.count is not None and 1 + (0 if is_single else count) > limit.count:
            return "limit_count"
    return None
