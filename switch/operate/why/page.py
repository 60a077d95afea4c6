"""An explanation and a list of what was found, as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from switch.operate.why.checks import NOT_ASKED, NOT_RECORDED, PASSED, REFUSED, Check
from switch.operate.why.explanation import Explanation
from switch.operate.why.followed import Event
from switch.operate.why.questions import limit_in_words
from switch.operate.why.search import Found
from switch.wire.currency import UnknownCurrency, in_units
from switch.wire.mti import in_words

_WIDTH = 11
_VERDICTS = {
    PASSED: "passed",
    REFUSED: "REFUSED",
    NOT_ASKED: "not asked",
    NOT_RECORDED: "not recorded",
}
_VERDICT_WIDTH = max(map(len, _VERDICTS.values()))


def page(why: Explanation) -> Iterator[str]:
    """An explanation, line by line."""
    yield _line(why.verdict, _answer(why))
    yield from _message(why)
    yield from _card(why)
    if why.checks:
        yield ""
        yield from _checks(why.checks)
    yield from _money(why)
    yield from _after(why)
    for note in why.notes:
        yield _line("note", note)


def table(found: Sequence[Found]) -> Iterator[str]:
    """What was found, a line each, the newest first."""
    for one in found:
        card = f"…{one.last_four}" if one.last_four else one.kind
        yield (
            f"{_moment(one.received_at)}  {one.mti}  STAN {one.stan}  RRN {one.rrn:<12}  "
            f"{card:<8}  {_amount(one.transaction_minor, one.transaction_currency):>16}  "
            f"{one.reason or one.authorization_code or 'booked'}"
        ).rstrip()


def log_table(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What only the log has, a line each; its PAN is masked there already."""
    for line in lines:
        said = " ".join(
            str(line[name])
            for name in ("response_code", "reason", "outcome", "problem")
            if line[name]
        )
        yield (
            f"{line['time']}  {line['mti']}  STAN {line['stan']}  RRN {line['rrn']}  "
            f"{line['pan'] or ''}  {said}"
        ).rstrip()


def _answer(why: Explanation) -> str:
    code = why.answer.get("authorization_code")
    parts = [f"{why.reason}" if why.reason else "", f"authorization code {code}" if code else ""]
    if why.refusing is not None:
        parts.append(f"question {why.refusing.row}, {why.refusing.question}")
    if brought := why.answer.get("response_code_brought"):
        parts.append(f"its sender said {brought}")
    if would := why.answer.get("would_have_declined"):
        parts.append(f"we would have said {would}")
    return "; ".join(part for part in parts if part)


def _message(why: Explanation) -> Iterator[str]:
    message, amounts = why.message, why.amounts
    yield _line("came", f"{_moment(why.received_at)}  {message['mti']} {in_words(message['mti'])}")
    yield _line("", f"link {message['link']}, STAN {message['stan']}, RRN {message['rrn']}")
    asked = _amount(amounts["transaction_minor"], amounts["transaction_currency"])
    if amounts.get("billed_currency") not in (None, amounts["transaction_currency"]):
        asked += f", billed {_amount(amounts['billed_minor'], amounts['billed_currency'])}"
    if amounts.get("approved_minor") is not None:
        asked += f", approved {_amount(amounts['approved_minor'], amounts['billed_currency'])}"
    if message.get("kind") is None:
        yield _line("", f"processing code {message['processing_code']}, {asked}")
        return
    increment = ", increment" if message["is_increment"] else ""
    yield _line("", f"{message['kind']}{increment}, {message['channel']}, {asked}")
    place = (message["merchant_name"] or message["merchant"] or "no merchant").split()
    yield _line(
        "",
        f"{' '.join(place)}, terminal {message['terminal']}, "
        f"MCC {message['mcc'] or 'none'}, country {message['country'] or 'none'}",
    )


def _card(why: Explanation) -> Iterator[str]:
    if why.account is None:
        return
    account, card = why.account, why.card
    if card is not None:
        since = ", ".join(name.replace("_", " ") for name in card["changed_since"])
        changed = f" (changed since: {since})" if since else ""
        yield _line("card", f"{card['card_id']}  …{card['last_four']}  {card['status']}{changed}")
    yield _line(
        "account",
        f"{account['reference']}  {account['status']}, program {account['program']}, "
        f"{account['kind']}",
    )


def _checks(checks: Sequence[Check]) -> Iterator[str]:
    width = max(len(check.question) for check in checks)
    for check in checks:
        yield (
            f"{check.row:>3}  {check.question:<{width}}  "
            f"{_VERDICTS[check.verdict]:<{_VERDICT_WIDTH}}  {check.inputs}"
        ).rstrip()


def _money(why: Explanation) -> Iterator[str]:
    funds, account = why.funds, why.account
    if funds is None or account is None:
        return
    currency = account["currency"]
    posted, held, credit = (
        _amount(minor, currency)
        for minor in (funds.posted_minor, funds.held_minor, funds.credit_limit_minor)
    )
    yield ""
    yield _line("funds", f"posted {posted}, held {held}, credit limit {credit}")
    available = f"available {_amount(funds.available_before_minor, currency)}"
    if funds.available_after_minor is not None:
        available += f", afterwards {_amount(funds.available_after_minor, currency)}"
    yield _line("", available)
    for limit in why.limits:
        yield _line("limit", limit_in_words(limit, currency))
    for hold in why.holds:
        until = f" until {_moment(hold.expires_at)}" if hold.state == "open" else ""
        yield _line("hold", f"{_amount(hold.amount_minor, currency)}  {hold.state}{until}")


def _after(why: Explanation) -> Iterator[str]:
    currency = why.account["currency"] if why.account else ""
    label = {True: "before", False: "afterwards"}
    told = None
    for event in why.followed:
        name = label[event.is_before]
        yield _line("" if told == name else name, _event(event, currency))
        told = name
    if why.steps:
        steps = ", ".join(f"{step.label} {step.microseconds / 1_000:.1f}" for step in why.steps)
        yield _line("time", f"{steps} ms")


def _event(event: Event, currency: str) -> str:
    amount = "" if event.amount_minor is None else f"  {_amount(event.amount_minor, currency)}"
    return f"{_moment(event.at)}  {event.what}{amount}  ({event.detail})"


def _amount(minor: int, currency: str) -> str:
    try:
        return in_units(minor, currency)
    except UnknownCurrency:
        return f"{minor} minor units of {currency}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"[:-3] + "Z"


def _line(label: str, text: str) -> str:
    return f"{label:<{_WIDTH}}{text}".rstrip()
