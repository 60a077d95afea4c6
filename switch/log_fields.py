"""
What a log line may hold: the fields by name, and how free text is cleaned.

A field that is not listed here is not written. Adding one is a decision: no
value of it may be a PAN, a track, a PIN block, a card code or a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypedDict

from switch.mask import PAN_MAX, PAN_MIN, mask_pan

#: Every field that a caller may give, with its meaning. Before them stand time, level, event.
FIELDS: dict[str, str] = {
    # who writes
    "logger": "the part of the switch that writes the line",
    "library": "the library whose own message this is",
    # the message
    "link": "name of the link",
    "mti": "message type indicator as received",
    "stan": "DE11, system trace audit number",
    "rrn": "DE37, retrieval reference number",
    "pan": "DE2, masked: BIN, asterisks, last four",
    "amount_minor": "DE4, in minor units of its currency",
    "currency": "DE49, ISO 4217 numeric",
    "mcc": "DE18, merchant category code",
    "merchant": "DE43, name and location of the card acceptor",
    "terminal": "DE41, terminal",
    "entry_mode": "DE22, point of service entry mode",
    "tvr": "tag 95, terminal verification results: the names of the bits that are set",
    "cvr": "of tag 9F10, card verification results: the same, where its form is a known one",
    # the answer
    "reason": "our reason: approved, or the refusal",
    "response_code": "DE39 as answered",
    "authorization_code": "DE38 as answered",
    "effect": "of an advice or a reversal: what it did: held, released, posted, reversed, …; of a "
    "request: stand_in where it was approved while the database was away",
    "repeat": "true where the answer is that of an earlier copy",
    "outcome": "of the answer: sent, late, unread, too_long, link_gone; unanswered, dropped: there "
    "was none; taken: the message was itself the answer to one of ours",
    # where the time went
    "parse_us": "microseconds from the last byte to the typed request",
    "mac_us": "microseconds to verify the message's authentication code",
    "find_us": "microseconds to find the card",
    "hsm_us": "microseconds for all verdicts of the HSM",
    "ledger_us": "microseconds in the ledger, queue and transaction",
    "reply_us": "microseconds to make and encode the reply",
    "total_us": "microseconds from the last byte to the write",
    "batch": "requests in the transaction that decided this one",
    "left_ms": "milliseconds left of the deadline at the write; negative is late",
    # where it happened
    "peer": "address of the other side",
    "certificate": "subject of the other side's certificate, where it is verified",
    "host": "host name or address",
    "port": "TCP port",
    "url": "URL without user, password and options",
    "path": "file",
    "name": "name of the thing: a key, a setting, a program",
    "version": "version of the thing",
    "backend": "HSM backend",
    "dialect": "dialect of the link",
    "framing": "framing of the link",
    "kcv": "key check value, which is public",
    "account_id": "our own number of an account",
    "state": "the state that was entered",
    # what happened
    "error": "type of an error, and its message where the message is ours",
    "problem": "what is wrong, in our words",
    "traceback": "places in the code, innermost first; only at level debug",
    "field": "name of the data element that cannot be read",
    "offset": "position in bytes",
    "length": "length in bytes",
    "count": "how many",
    "seconds": "how long",
}


class CanonicalFields(TypedDict, total=False):
    """What the one line of a message tells, in this order."""

    link: str
    mti: str | None
    stan: str | None
    rrn: str | None
    pan: str | None
    amount_minor: int | None
    currency: str | None
    mcc: str | None
    merchant: str | None
    terminal: str | None
    entry_mode: str | None
    tvr: str | None
    cvr: str | None
    reason: str | None
    response_code: str | None
    authorization_code: str | None
    effect: str | None
    repeat: bool | None
    outcome: str | None
    problem: str | None
    parse_us: int | None
    mac_us: int | None
    find_us: int | None
    hsm_us: int | None
    ledger_us: int | None
    reply_us: int | None
    total_us: int | None
    batch: int | None
    left_ms: float | None


#: A run this long may be a PAN; one longer than any PAN may hold one.
_DIGITS = re.compile(rf"[0-9](?:[ -]?[0-9]){{{PAN_MIN - 1},}}")
_CREDENTIALS = re.compile(r"://\S*@")
_OPTIONS = re.compile(r"[?#]\S*")


def scrub(text: str) -> str:
    """Free text with what looks like a PAN masked, and passwords taken out of URLs.

    The last resort behind the list of fields, not a licence to log values.
    """
    text = _DIGITS.sub(_masked_run, text)
    return _CREDENTIALS.sub("://", text) if "@" in text else text


def _masked_run(run: re.Match[str]) -> str:
    digits = run[0].replace(" ", "").replace("-", "")
    if len(digits) > PAN_MAX:
        return "*" * PAN_MAX
    return mask_pan(digits) if passes_luhn(digits) else run[0]


def passes_luhn(digits: str) -> bool:
    """True where the last digit is the check digit of the others (ISO/IEC 7812-1, annex B)."""
    values = [int(digit) for digit in reversed(digits)]
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[1::2])
    return (sum(values[::2]) + doubled) % 10 == 0


def _pan(text: str) -> str:
    return mask_pan(text) if "*" not in text else scrub(text)


def _url(text: str) -> str:
    return _OPTIONS.sub("", scrub(text))


#: The fields whose text somebody else chose, and how each is cleaned.
CLEANERS: dict[str, Callable[[str], str]] = {
    "error": scrub,
    "problem": scrub,
    "traceback": scrub,
    "merchant": scrub,
    "path": scrub,
    "certificate": scrub,
    "pan": _pan,
    "url": _url,
}
