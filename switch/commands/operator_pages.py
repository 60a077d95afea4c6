"""An account and a card as an operator sees them: words and figures, amounts in major units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import asyncpg

from switch.ledger.operator_views import SHOWN, AccountView, Action, CardView, Listed
from switch.wire.currency import in_units

_WIDTH = 14
#: What says which limit, or where in a file: not what was changed.
_WHICH = frozenset({"scope", "period", "file", "line"})
#: How the names of amounts end.
_MINOR = "_minor"


def account_page(view: AccountView) -> Iterator[str]:
    """An account, line by line."""
    account = view.account
    currency = account.currency

    def amount(minor: int) -> str:
        return in_units(minor, currency)

    kind = "" if account.kind == "cardholder" else f", {account.kind}"
    yield _line("account", f"{account.reference} (number {account.account_id}{kind})")
    yield _line("program", account.program)
    yield _line("status", account.status)
    yield _line("posted", amount(account.posted_minor))
    yield _line("held", amount(account.held_minor))
    yield _line("credit limit", amount(account.credit_limit_minor))
    yield _line("available", amount(account.available_minor))
    yield from _list(
        "cards",
        view.cards,
        (f"{c['card_id']}  …{c['pan_last_four']}  {c['status']}" for c in view.cards.rows),
    )
    yield from _list(
        "open holds",
        view.holds,
        (f"{_hold(hold)}  {amount(hold['amount_minor'])}" for hold in view.holds.rows),
    )
    yield from _actions(view.actions, currency)


def card_page(view: CardView, shown_pan: str) -> Iterator[str]:
    """A card, line by line. `shown_pan` is masked already."""
    card = view.card
    closed = "" if card["account_status"] == "open" else f" ({card['account_status']})"
    yield _line("card", f"{card['card_id']}  {shown_pan}")
    yield _line("account", card["reference"] + closed)
    yield _line("program", card["program"])
    yield _line("status", card["status"])
    yield _line("PIN", _pin(card))
    for plastic in view.plastics:
        stopped = ", stopped" if plastic["is_stopped"] else ""
        yield _line(
            "plastic",
            f"expiry {plastic['expiry']}, sequence number {plastic['sequence_number']}, "
            f"service code {plastic['service_code']}, ATC {plastic['atc']}{stopped}",
        )
    for limit in view.limits:
        yield _line("limit", _limit(limit, card["currency"]))
    countries = card["countries_allowed"]
    yield _line("blocked", ", ".join(card["channels_blocked"]) or "no channel")
    yield _line("blocked", "MCC " + (", ".join(card["mcc_blocked"]) or "none"))
    yield _line("countries", "all" if countries is None else ", ".join(countries) or "none")
    for update in view.file_updates:
        code = f" ({update['response_code']})" if update["response_code"] else ""
        yield _line(
            "told",
            f"{update['link']}: {update['action']} as {update['status']}, {update['state']}{code}",
        )
    yield from _actions(view.actions, card["currency"])


def changes(details: Mapping[str, Any], currency: str) -> str:
    """What an action changed: of what it was and became, only what differs."""
    was, became = details.get("was") or {}, details.get("became") or {}
    both = was | became
    parts = []
    for name in both.keys() - _WHICH:
        old, new = was.get(name), became.get(name)
        if old != new:
            before = f"{_text(name, old, currency)} → " if name in was else ""
            label = name.removesuffix(_MINOR).replace("_", " ")
            parts.append(f"{label} {before}{_text(name, new, currency)}")
    limit = f"{both['scope']} a {both['period']}: " if "scope" in both else ""
    return limit + ", ".join(sorted(parts))


def _actions(actions: Iterable[Action], currency: str) -> Iterator[str]:
    for action in actions:
        what = changes(action.details, currency)
        yield _line(
            "action",
            f"{_moment(action.done_at)}  {action.operator}: {action.action.replace('_', ' ')}"
            f"{_on(action)}: {what}{'; ' if what else ''}{action.reason}",
        )


def _on(action: Action) -> str:
    return "" if action.card_id is None else f" ({action.card_id})"


def _list(label: str, listed: Listed, lines: Iterable[str]) -> Iterator[str]:
    more = f", the newest {SHOWN}" if listed.of_all > SHOWN else ""
    yield _line(label, f"{listed.of_all}{more}")
    for line in lines:
        yield _line("", line)


def _hold(hold: asyncpg.Record) -> str:
    merchant = f"  {hold['merchant_name']}" if hold["merchant_name"] else ""
    return (
        f"{_moment(hold['received_at'])}  until {_moment(hold['expires_at'])}  "
        f"RRN {hold['rrn']}{merchant}"
    )


def _limit(limit: asyncpg.Record, currency: str) -> str:
    parts = []
    is_counted = limit["period"] != "transaction"
    if limit["amount_minor"] is not None:
        used = f" ({in_units(limit['used_minor'], currency)} used)" if is_counted else ""
        parts.append(in_units(limit["amount_minor"], currency) + used)
    if limit["count"] is not None:
        used = f" ({limit['used_count']} used)" if is_counted else ""
        parts.append(f"{limit['count']} times{used}")
    return f"{limit['scope']} a {limit['period']}: {', '.join(parts)}"


def _pin(card: asyncpg.Record) -> str:
    if card["pin_method"] is None:
        return "none"
    return f"{card['pin_method']}, {card['pin_tries']} of {card['pin_tries_max']} tries used"


def _text(name: str, value: Any, currency: str) -> str:
    if value is None:
        return "all" if name == "countries_allowed" else "none"
    if name.endswith(_MINOR):
        return in_units(value, currency)
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return str(value)


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}Z"


def _line(label: str, text: str) -> str:
    return f"{label:<{_WIDTH}}{text}".rstrip()
