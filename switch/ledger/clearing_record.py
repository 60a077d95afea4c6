"""One record of a clearing file, and what it becomes as the ledger books it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
import orjson

from switch.ledger.calls import BookingCall
from switch.ledger.operators import OperatorRefusal
from switch.log_fields import scrub
from switch.rules.card import Card, suspense_card
from switch.wire.requests import Money

#: What a record may be, and of a reversal what it takes back.
KINDS: Mapping[str, str | None] = {
    "presentment": None,
    "reversal": "presentment",
    "second_presentment": None,
    "second_reversal": "second_presentment",
}
#: The journal's MTI of a presentment is a financial notification, which no message that comes
#: online finds by its RRN or its trace; that of a reversal a reversal advice (ISO 8583:1993).
PRESENTMENT_MTI, REVERSAL_MTI = "1240", "1420"
#: What a record stands under in the journal, where a message has its link.
LINK = "clearing"

#: By how many percent more than authorized a presentment may be and still be found by its code.
TOLERANCE_PERCENT, TOLERANCE_MOST = 20, 1_000
_TOLERANCE = "clearing_tolerance_percent"
_KEY_SIZE = 16

#: What only a message that comes online has.
_UNUSED: Mapping[str, Any] = {
    "original_traces": [],
    "original_classes": [],
    "own_traces": [],
    "leave_clues": [],
    "rrn_clue": None,
    "scheme_clue": None,
    "keep_transaction_minor": None,
    "keep_minor": None,
    "hold_seconds": 0,
    "would_have_declined": None,
    "entry_mode": None,
    "response_code": None,
}


@dataclass(frozen=True, slots=True)
class ClearingRecord:
    """One line of a clearing file. Its PAN is a token already."""

    line: int
    kind: str  #: of KINDS
    pan_tokens: tuple[bytes, ...] = field(repr=False)  #: under all live keys, the newest first
    bin: str  #: the PAN's first eight digits at most
    scheme: str  #: whose settlement account it is posted against
    reference: str  #: the acquirer's (ARN)
    sequence: str  #: NNMM of several for one purchase, or nothing
    processing_code: str
    purchase_kind: str  #: purchase, cash, cashback, refund or credit
    transaction: Money
    billing: Money | None
    scheme_transaction_id: str | None
    authorization_code: str | None
    rrn: str  #: or nothing
    acquirer: str
    terminal: str
    merchant: str | None
    merchant_name: str | None
    mcc: str | None
    country: str | None
    transacted_at: str  #: MMDDhhmmss, or nothing

    @property
    def is_final(self) -> bool:
        """The last of its purchase: one alone is."""
        return self.sequence[:2] >= self.sequence[2:]

    def message_key(self, key_token: bytes) -> bytes:
        """What the same record in another file has, and no other record."""
        if KINDS[self.kind] is None:
            return self._key(key_token, self.kind)
        # A presentment may be taken back in parts, each a record with an amount of its own.
        money = self.transaction
        return self._key(key_token, self.kind, str(money.minor), money.currency)

    def original_key(self, key_token: bytes) -> bytes | None:
        """Of a reversal: the message key of its presentment."""
        original = KINDS[self.kind]
        return None if original is None else self._key(key_token, original)

    def key_tokens(self, card: CardAccount | None) -> list[bytes]:
        """What its keys may be made with: first what those of a record that is new are.

        The others are those of a record that was here before its card was ours.
        """
        own = [] if card is None else [card.key_token]
        return [*own, *reversed(self.pan_tokens)]

    def _key(self, token: bytes, *words: str) -> bytes:
        text = "\x1f".join(["clearing", self.reference, self.sequence, *words])
        return hashlib.blake2b(text.encode(), key=token, digest_size=_KEY_SIZE).digest()


class ClearingProgram(NamedTuple):
    """What clearing needs to know of a card program."""

    program_id: int
    bins: tuple[str, ...]
    tolerance_percent: int


def read_programs(rows: Iterable[asyncpg.Record]) -> dict[int, ClearingProgram]:
    """The card programs by number. Raises `OperatorRefusal` where there is none, or a wrong one."""
    programs = {}
    for row in rows:
        settings = orjson.loads(row["settings"])
        percent = settings.get(_TOLERANCE, TOLERANCE_PERCENT)
        if type(percent) is not int or not 0 <= percent <= TOLERANCE_MOST:
            raise OperatorRefusal(
                f"program {row['name']!r}: {_TOLERANCE} must be whole, 0 to {TOLERANCE_MOST}"
            )
        bins = tuple(str(one) for one in settings.get("bins", ()))
        programs[row["program_id"]] = ClearingProgram(row["program_id"], bins, percent)
    if not programs:
        raise OperatorRefusal("the database has no card program: there is nobody to post to")
    return programs


class CardAccount(NamedTuple):
    """Where a card of ours spends from."""

    account_id: int
    card_id: int
    program_id: int
    currency: str
    key_token: bytes


class ClearingCall(NamedTuple):
    """One record to book: the parameters of clear_v1 after the file's number, in its order."""

    line: int
    reference: str
    original_key: bytes | None
    tolerance_percent: int
    booking: BookingCall


def clearing_call(
    record: ClearingRecord,
    card: CardAccount | None,
    key_token: bytes,
    programs: Mapping[int, ClearingProgram],
) -> ClearingCall:
    """A record to book on its card's account; one of an unknown card on the suspense account.

    Its keys are made with `key_token`, one of the record's `key_tokens`.
    """
    if card is None:
        program_id = _program_of(record.bin, programs.values())
        return suspended_call(record, card, key_token, programs[program_id])
    amount = next(
        (
            money.minor
            for money in (record.billing, record.transaction)
            if money is not None and money.currency == card.currency
        ),
        None,
    )
    booking = _booking(record, card, key_token, amount, may_suspend=True)
    return _call(record, key_token, programs[card.program_id], booking)


def suspended_call(
    record: ClearingRecord, card: CardAccount | None, key_token: bytes, program: ClearingProgram
) -> ClearingCall:
    """A record to book on the suspense account of a program and of the record's own currency."""
    money = record.transaction
    # The same as for what comes online, or a presentment would not find it there.
    stand_in = suspense_card(program.program_id, money.currency, record.key_tokens(card)[0])
    booking = _booking(record, stand_in, key_token, money.minor, may_suspend=False)
    return _call(record, key_token, program, booking)


def _call(
    record: ClearingRecord, key_token: bytes, program: ClearingProgram, booking: BookingCall
) -> ClearingCall:
    original_key = record.original_key(key_token)
    return ClearingCall(
        record.line, record.reference, original_key, program.tolerance_percent, booking
    )


def _program_of(bin_: str, programs: Iterable[ClearingProgram]) -> int:
    """The program with the BIN, the longest first; else the first program."""
    fits = [
        (len(one), -program.program_id)
        for program in programs
        for one in (*program.bins, "")
        if bin_.startswith(one)
    ]
    return -max(fits)[1]


def _booking(
    record: ClearingRecord,
    card: CardAccount | Card,
    key_token: bytes,
    amount: int | None,
    *,
    may_suspend: bool,
) -> BookingCall:
    is_reversal = KINDS[record.kind] is not None
    return BookingCall(
        account_id=card.account_id,
        card_id=card.card_id,
        message_key=record.message_key(key_token),
        task=record.kind,
        is_approved=True,
        is_final=record.is_final,
        may_suspend=may_suspend,
        original_acquirer=record.acquirer.lstrip("0"),
        original_code=record.authorization_code,
        kind=record.purchase_kind,
        channel="other",
        amount_minor=amount,
        cash_minor=amount or 0 if record.purchase_kind == "cash" else 0,
        transaction_minor=record.transaction.minor,
        transaction_currency=record.transaction.currency,
        processing_code=record.processing_code,
        mti=REVERSAL_MTI if is_reversal else PRESENTMENT_MTI,
        stan="",
        transmission_datetime=record.transacted_at,
        rrn=record.rrn,
        acquirer=record.acquirer,
        terminal=record.terminal,
        merchant=record.merchant,
        merchant_name=record.merchant_name and scrub(record.merchant_name),
        mcc=record.mcc,
        country=record.country,
        link=LINK,
        scheme=record.scheme,
        scheme_transaction_id=record.scheme_transaction_id,
        authorization_code=record.authorization_code,
        **_UNUSED,
    )
