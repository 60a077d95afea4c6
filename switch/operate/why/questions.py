"""
The questions of the policy in their order, asked again of what is known afterwards.

Each looks at the facts and tells what it saw, and whether that refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from switch.operate.why.facts import Facts
from switch.rules.findings import LimitFigures
from switch.rules.reason import Reason
from switch.wire.currency import in_units, is_known


@dataclass(frozen=True, slots=True)
class Seen:
    """What a question saw of the facts."""

    inputs: str
    refusal: str | None = None
    is_recorded: bool = True
    is_asked: bool = True  #: there was something to ask


@dataclass(frozen=True, slots=True)
class Question:
    """One row of the policy, and how it looks at the facts."""

    row: int
    name: str
    text: str
    reasons: frozenset[str]
    look: Callable[[Facts], Seen]


def _readable(facts: Facts) -> Seen:
    return Seen("only what is authentic and can be read is recorded")


def _first(facts: Facts) -> Seen:
    return Seen("the first of its key")


def _earlier(facts: Facts) -> Seen:
    reason = facts.row["reason"]
    if reason == Reason.REVERSED_BEFORE_ORIGINAL:
        return Seen("its reversal, or our own unwinding of it, was here first", reason)
    if reason == Reason.DECLINED_ELSEWHERE:
        return Seen("an advice of its decline was here first", reason)
    return Seen(
        "an advice was here first" if facts.is_advised else "nothing about it was here first"
    )


def _supported(facts: Facts) -> Seen:
    row = facts.row
    inputs = f"processing code {row['processing_code']} ({row['kind']}), {_currency(row)}"
    if row["kind"] == "unknown":
        return Seen(inputs, Reason.NOT_SUPPORTED)
    is_rule = facts.findings is not None and facts.findings.get("rule") == "currency_not_supported"
    if is_rule or not is_known(row["transaction_currency"]):
        return Seen(inputs, Reason.CURRENCY_NOT_SUPPORTED)
    return Seen(inputs)


def _currency(row: Any) -> str:
    code = row["transaction_currency"]
    return f"currency {code}" if is_known(code) else f"currency {code}, which ISO 4217 has not"


def _ours(facts: Facts) -> Seen:
    row = facts.row
    return Seen(f"card {row['card_id']} …{row['pan_last_four']} of account {row['reference']}")


def _status(facts: Facts) -> Seen:
    inputs = f"card {facts.card_status}, account {facts.account_status}"
    if facts.card_status != "active":
        return Seen(inputs, facts.card_status)
    return Seen(inputs, None if facts.account_status == "open" else Reason.ACCOUNT_CLOSED)


_EXPIRIES = {
    "unknown": "no plastic of the card has the expiry that the message tells",
    "passed": "the plastic has expired",
    "differs": "the track tells another expiry than the plastic has",
}


def _expiry(facts: Facts) -> Seen:
    if facts.findings is None:
        return _NOT_KEPT
    if word := facts.findings.get("expiry"):
        return Seen(_EXPIRIES.get(word, word), Reason.CARD_EXPIRED)
    return Seen("a plastic of the card, and not past its last month")


_NOT_KEPT = Seen("what it saw was not kept", is_recorded=False)
_WORDS = {
    "match": "right",
    "mismatch": "wrong",
    "unreadable": "unreadable",
    "missing": "required, and did not come",
    "unwanted": "came, and may not",
    "unanswered": "the HSM gave no answer",
    "no_reference": "came, and the card has none",
    "differs": "another one than the plastic's",
}
#: What does not refuse by itself.
_HARMLESS = frozenset({"match", "unanswered"})


def _verified(names: Sequence[tuple[str, str]], reason: Reason) -> Callable[[Facts], Seen]:
    """A question about what was verified: each by its name, and how it is called."""

    def look(facts: Facts) -> Seen:
        if facts.findings is None:
            return _NOT_KEPT
        told = [(label, facts.findings[name]) for name, label in names if name in facts.findings]
        if not told:
            return Seen("none came, and none must", is_asked=False)
        inputs = ", ".join(f"{label} {_WORDS.get(word, word)}" for label, word in told)
        is_wrong = any(word not in _HARMLESS for _, word in told)
        return Seen(inputs, reason if is_wrong else None)

    return look


def _strong_authentication(facts: Facts) -> Seen:
    if facts.findings is None:
        return _NOT_KEPT
    if "authentication" in facts.findings:
        return Seen("demanded, and no CAVV shows it", Reason.STRONG_AUTHENTICATION_REQUIRED)
    return Seen("shown or not demanded")


def _counter(facts: Facts) -> Seen:
    if facts.findings is None:
        return _NOT_KEPT
    if "atc" not in facts.findings:
        is_right = facts.findings.get("cryptogram") == "match"
        return Seen(
            "new, and in its window" if is_right else "no right cryptogram", is_asked=is_right
        )
    atc, _, highest = facts.findings["atc"].partition("/")
    return Seen(f"ATC {atc}, the highest before was {highest}", facts.row["reason"])


def _pin(facts: Facts) -> Seen:
    if facts.findings is None:
        return _NOT_KEPT
    word = facts.findings.get("pin")
    if word is None:
        return Seen("none came, and none must", is_asked=False)
    inputs = f"PIN {_WORDS.get(word, word)}"
    tries, _, most = facts.findings.get("pin_tries", "").partition("/")
    if not most:
        return Seen(inputs, is_recorded=False)
    inputs += f", {tries} of {most} tries used before"
    if int(tries) + (word == "mismatch") >= int(most):
        return Seen(inputs, Reason.PIN_TRIES_EXCEEDED)
    return Seen(inputs, None if word == "match" else Reason.PIN_MISMATCH)


def _billed(facts: Facts) -> Seen:
    row = facts.row
    needs_none = row["kind"] in ("inquiry", "verification") or row["transaction_minor"] == 0
    if needs_none:
        return Seen("no amount", is_asked=False)
    if row["amount_minor"] == 0 and row["transaction_currency"] != row["currency"]:
        inputs = f"none of its amounts is in the account's currency {row['currency']}"
        return Seen(inputs, Reason.CURRENCY_NOT_SUPPORTED)
    return Seen(f"billed {in_units(row['amount_minor'], row['currency'])}")


def _controls(facts: Facts) -> Seen:
    row, against = facts.row, []
    blocked = facts.channels_blocked
    if row["channel"] in blocked:
        against.append(f"channel {row['channel']} is blocked")
    if row["cash_minor"] > 0 and "cash" in blocked:
        against.append("cash is blocked")
    if facts.mcc_blocked and (row["mcc"] is None or row["mcc"] in facts.mcc_blocked):
        against.append(f"MCC {row['mcc']} is blocked" if row["mcc"] else "some MCCs are blocked")
    allowed = facts.countries_allowed
    if allowed is not None and row["country"] not in allowed:
        country = row["country"]
        against.append(f"country {country} is not allowed" if country else "some are not allowed")
    inputs = (
        f"channel {row['channel']}, MCC {row['mcc'] or 'none'}, country {row['country'] or 'none'}"
    )
    if against:
        return Seen(f"{inputs}: {', '.join(against)}", Reason.NOT_PERMITTED)
    return Seen(inputs)


def _limits(facts: Facts) -> Seen:
    if not facts.is_debit:
        return Seen("nothing is asked for", is_asked=False)
    if facts.findings is None:
        return _NOT_KEPT
    if not facts.limits:
        return Seen("the card has none for it", is_asked=False)
    over = [one for one in facts.limits if one.is_over_amount or one.is_over_count]
    told = "; ".join(limit_in_words(one, facts.row["currency"]) for one in over or facts.limits)
    if any(one.is_over_amount for one in facts.limits):
        return Seen(told, Reason.LIMIT_AMOUNT)
    return Seen(
        told, Reason.LIMIT_COUNT if any(one.is_over_count for one in facts.limits) else None
    )


def limit_in_words(limit: LimitFigures, currency: str) -> str:
    """cash a day: 400.00 + 200.00 = 600.00 EUR of 500.00 EUR, time 3 of 2."""
    parts = []
    if limit.limit_minor is not None:
        used, this, sum_, most = (
            in_units(minor, currency)
            for minor in (
                limit.used_minor,
                limit.this_minor,
                limit.would_be_minor,
                limit.limit_minor,
            )
        )
        parts.append(f"used {used}, with this {this}: {sum_} of {most}")
    if limit.limit_count is not None:
        parts.append(f"used {limit.used_count} times of {limit.limit_count}")
    return f"{limit.scope} a {limit.period}: {', '.join(parts)}"


def _funds(facts: Facts) -> Seen:
    if not facts.is_debit:
        return Seen("nothing is asked for", is_asked=False)
    row, before = facts.row, facts.funds.available_before_minor
    asked, available = (
        in_units(row["amount_minor"], row["currency"]),
        in_units(before, row["currency"]),
    )
    if row["partial_minor"] is not None:
        granted = in_units(row["partial_minor"], row["currency"])
        return Seen(
            f"{asked} of {available} available: approved for {granted}, as the terminal takes"
        )
    lacks = row["amount_minor"] > before
    return Seen(f"{asked} of {available} available", Reason.INSUFFICIENT_FUNDS if lacks else None)


def _reasons(*reasons: Reason) -> frozenset[str]:
    return frozenset(reasons)


#: In policy order, docs/architecture.md.
QUESTIONS: Sequence[Question] = (
    Question(1, "readable", "is it authentic, and can it be read?", _reasons(), _readable),
    Question(2, "repeat", "was it here before?", _reasons(), _first),
    Question(
        3, "earlier", "was something about it here first?",
        _reasons(Reason.REVERSED_BEFORE_ORIGINAL, Reason.DECLINED_ELSEWHERE), _earlier,
    ),
    Question(
        4, "supported", "are processing code and currency known?",
        _reasons(Reason.NOT_SUPPORTED, Reason.CURRENCY_NOT_SUPPORTED), _supported,
    ),
    Question(5, "card", "is the card ours?", _reasons(Reason.NO_CARD_RECORD), _ours),
    Question(
        6, "status", "may card and account be used?",
        _reasons(Reason.LOST, Reason.STOLEN, Reason.BLOCKED, Reason.INACTIVE, Reason.CLOSED,
                 Reason.ACCOUNT_CLOSED), _status,
    ),
    Question(7, "expiry", "is its plastic valid?", _reasons(Reason.CARD_EXPIRED), _expiry),
    Question(
        8, "cryptogram", "is the chip's cryptogram right?", _reasons(Reason.CRYPTOGRAM_MISMATCH),
        _verified([("cryptogram", "cryptogram")], Reason.CRYPTOGRAM_MISMATCH),
    ),
    Question(
        8, "card_codes", "are the card codes right?", _reasons(Reason.CARD_CODE_MISMATCH),
        _verified(
            [("service_code", "service code"), ("track_code", "track's code"), ("cvv2", "CVV2"),
             ("cavv", "CAVV")],
            Reason.CARD_CODE_MISMATCH,
        ),
    ),
    Question(
        8, "authentication", "is it shown who pays, where it must be?",
        _reasons(Reason.STRONG_AUTHENTICATION_REQUIRED), _strong_authentication,
    ),
    Question(
        8, "counter", "is the cryptogram new?",
        _reasons(Reason.CRYPTOGRAM_REPLAYED, Reason.ATC_OUT_OF_WINDOW), _counter,
    ),
    Question(
        9, "pin", "is the PIN right, with a try left?",
        _reasons(Reason.PIN_TRIES_EXCEEDED, Reason.PIN_MISMATCH), _pin,
    ),
    Question(
        10, "currency", "is an amount in the account's currency?",
        _reasons(Reason.CURRENCY_NOT_SUPPORTED), _billed,
    ),
    Question(
        11, "controls", "may the card be used there?", _reasons(Reason.NOT_PERMITTED), _controls
    ),
    Question(
        12, "limits", "is it within the card's limits?",
        _reasons(Reason.LIMIT_AMOUNT, Reason.LIMIT_COUNT), _limits,
    ),
    Question(
        13, "funds", "is enough available?", _reasons(Reason.INSUFFICIENT_FUNDS), _funds
    ),
)  # fmt: skip
