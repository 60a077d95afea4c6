"""
What the model reads of a message: the fields of iso87-ascii as the page of the dialect has them.

Written from the documents and not from `switch.wire.requests`, so that each checks the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

DEBITS = frozenset({"purchase", "cash", "cashback"})
CREDITS = frozenset({"refund", "funding", "load"})
KINDS: Mapping[str, str] = {
    "00": "purchase",
    "01": "cash",
    "09": "cashback",
    "20": "refund",
    "26": "funding",
    "28": "load",
    "31": "inquiry",
}
#: DE39 of an advice that tells of an approval.
APPROVING = frozenset({"00", "08", "10", "11", "16", "85"})
#: The currencies that the tests use and ISO 4217 has.
CURRENCIES = frozenset({"978", "840", "826", "392"})

TAKES_LESS, INCREMENTAL, SCHEME_ID, SEQUENCE = "61", "62", "63", "64"
CASH_AMOUNT, ORIGINAL_AMOUNT = "40", "57"


class Money(NamedTuple):
    """Minor units of a currency."""

    minor: int
    currency: str


class Trace(NamedTuple):
    """What DE90 tells of a message, apart from who sent it."""

    mti: str  #: without its repeat digit
    stan: str
    moment: str  #: DE7


@dataclass(frozen=True)
class Told:
    """One message about a card, read."""

    mti: str  #: without its repeat digit
    pan: str
    trace: Trace
    rrn: tuple[str, str] | None  #: acquirer and RRN
    acquirer: str
    terminal: str
    processing_code: str
    kind: str
    transaction: Money
    billing: Money | None
    cash_minor: int
    mcc: str | None
    scheme_id: str | None
    takes_less: bool
    addition: str | None  #: increment, extension
    is_final: bool
    code: str | None  #: DE38
    response: str | None  #: DE39
    original: Trace | None
    original_acquirer: str | None  #: none: any
    keep_minor: int | None  #: DE95: what is to remain of the transaction amount
    atc: int | None  #: of the chip's cryptogram
    key: tuple[str, ...]  #: what makes two messages the same

    @property
    def is_approved(self) -> bool:
        """An advice's DE39 approves; a completion without one tells of an approval too."""
        return self.response is None or self.response in APPROVING


def read(mti: str, fields: Mapping[int, str]) -> Told:
    """Read a message that is well-formed."""
    mti = mti[:3] + "0"
    transaction = Money(int(fields[4]), fields[49])
    kind = KINDS.get(fields[3][:2], "unknown")
    if kind in DEBITS and not transaction.minor:
        kind = "verification"
    additional = _additional(fields.get(48, ""))
    acquirer = fields[32].lstrip("0")
    original, original_acquirer = _original(fields.get(90, "0" * 42))
    return Told(
        mti=mti,
        pan=fields[2],
        trace=Trace(mti, fields[11], fields[7]),
        rrn=(acquirer, fields[37]) if fields[37].strip("0") else None,
        acquirer=acquirer,
        terminal=fields[41],
        processing_code=fields[3],
        kind=kind,
        transaction=transaction,
        billing=Money(int(fields[6]), fields[51]) if 6 in fields else None,
        cash_minor=_cash(kind, transaction, fields.get(54, "")),
        mcc=fields.get(18),
        scheme_id=additional.get(SCHEME_ID),
        takes_less=additional.get(TAKES_LESS) == "1",
        addition={"1": "increment", "2": "extension"}.get(additional.get(INCREMENTAL, "")),
        is_final=(number := additional.get(SEQUENCE, "0101"))[:2] == number[2:],
        code=fields.get(38),
        response=fields.get(39),
        original=original,
        original_acquirer=original_acquirer,
        keep_minor=int(fields[95][:12]) if 95 in fields else None,
        atc=_atc(fields.get(55, "")),
        key=(mti, *(fields[number] for number in (2, 7, 11, 32, 37, 41))),
    )


def _additional(data: str) -> dict[str, str]:
    elements = {}
    while data:
        length = int(data[2:4])
        elements[data[:2]] = data[4 : 4 + length]
        data = data[4 + length :]
    return elements


def _atc(data: str) -> int | None:
    """Tag 9F36, two bytes."""
    _, tag, rest = data.partition("9F3602")
    return int(rest[:4], 16) if tag else None


def _original(data: str) -> tuple[Trace | None, str | None]:
    if not data.strip("0"):
        return None, None
    return Trace(data[:3] + "0", data[4:10], data[10:20]), data[20:31].lstrip("0") or None


def _cash(kind: str, transaction: Money, amounts: str) -> int:
    """All of a withdrawal; of a cashback what DE54 says, else all."""
    if kind not in ("cash", "cashback"):
        return 0
    for start in range(0, len(amounts) if kind == "cashback" else 0, 20):
        amount = amounts[start : start + 20]
        if (amount[2:4], amount[4:7]) == (CASH_AMOUNT, transaction.currency):
            return min(int(amount[8:]), transaction.minor)
    return transaction.minor
