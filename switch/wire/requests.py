"""
Typed requests: a message parsed once, at the edge.

After this page nothing knows a data element by its number, but for the reply,
which echoes what its dialect says.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from specs.spec import Spec
from switch.deadline import Deadline
from switch.stopwatch import Stopwatch
from switch.wire import mti
from switch.wire.message import Message, MessageError
from switch.wire.named import icc as icc_of
from switch.wire.named import named
from switch.wire.track import Track, TrackError, parse_track_1, parse_track_2
from switch.wire.values import FieldUnreadable, Money
from switch.wire.versions import version_of

__all__ = [
    "AMOUNT_MOST", "KINDS", "AuthorizationRequest", "Cavv", "Money", "NetworkRequest", "clue",
    "reading", "trace_key",
]  # fmt: skip

#: The processing codes that this switch decides, by their first two digits
#: (ISO 8583:1987, table of transaction types).
KINDS: Mapping[str, str] = {
    "00": "purchase",
    "01": "cash",
    "09": "cashback",
    "20": "refund",
    "26": "credit",  # account funding, original credit
    "28": "credit",  # load
    "31": "inquiry",
}
#: What an advice of any other is, by the first digit: it happened, whether we know it or not
#: (ISO 8583:1987: 0 and 1 debits, 2 credits, 3 inquiries).
_KINDS_OF_ADVICES: Mapping[str, str] = {"2": "credit", "3": "inquiry"}
_DEBITS = frozenset({"purchase", "cash", "cashback"})

_CASHBACK_AMOUNT_TYPE = "40"  # DE54: amount of cash inside the purchase

_STAN = 11
_TRANSACTION_FEE = 28
#: The most that an amount of twelve digits can say, with the fee that comes on top.
AMOUNT_MOST = 10**13


@dataclass(frozen=True, slots=True)
class Cavv:
    """A cardholder authentication verification value of usage 3, version 7 (Visa)."""

    number: str = field(repr=False)  #: the last four digits of the authentication's number
    results: str = field(repr=False)  #: of the authentication, one digit; of its second factor, two
    code: str = field(repr=False)  #: three digits


@dataclass(slots=True)  # frozen in all but name: to forbid it costs a twentieth of a decision
class AuthorizationRequest:
    """A message about a card: its purchase, with all that a decision may need.

    An authorization, a financial request, an advice or a reversal. What must not be
    seen never shows in its repr.
    """

    message: Message = field(repr=False)
    spec: Spec = field(repr=False)
    link: str
    deadline: Deadline
    watch: Stopwatch = field(repr=False)
    mti: str
    stan: str
    rrn: str
    transmission_datetime: str  #: DE7, MMDDhhmmss
    moment: str  #: what names it beside its MTI and STAN: DE7 in 1987, DE12 later
    processing_code: str
    kind: str  #: of KINDS, or verification (amount zero), or unknown
    transaction: Money  #: what was asked for, with the fee where that is on top
    billing: Money | None  #: the same as it is billed
    cash_minor: int  #: the part of the transaction that is cash
    channel: str  #: how the card was read: manual, stripe, chip, contactless, ecommerce, other
    entry_mode: str | None  #: what is kept of DE22
    acquirer: str
    terminal: str
    merchant: str | None
    merchant_name: str | None
    mcc: str | None
    country: str | None
    pan: str = field(repr=False)
    pan_sequence_number: str = field(repr=False)  #: two digits
    expiry: str | None = field(repr=False)  #: YYMM, of DE14, else of the track
    track: Track | None = field(repr=False)
    pin_block: bytes | None = field(repr=False)
    icc: Mapping[str, str] = field(repr=False)  #: DE55 by tag, hex
    additional: Mapping[str, str] = field(
        repr=False
    )  #: subfields by name, of `switch/wire/named.py`

    @property
    def cvv2(self) -> str | None:
        """The code that is printed on the card, where the message brings it."""
        return self.additional.get("cvv2")

    @property
    def cavv(self) -> Cavv | None:
        """The cardholder's authentication, where the message brings it."""
        value = self.additional.get("cavv")
        return Cavv(value[:4], value[4:7], value[7:]) if value else None

    @property
    def is_contactless_stripe(self) -> bool:
        """A stripe's data came over the air."""
        mode = self.entry_mode
        return mode is not None and version_of(self.spec).is_contactless_stripe(mode)

    @property
    def atc(self) -> int | None:
        """The chip's application transaction counter."""
        counter = self.icc.get("9F36", "")
        return int(counter, 16) if len(counter) == 4 else None

    @property
    def scheme_transaction_id(self) -> str | None:
        """The scheme's own number of the purchase, where the dialect has one."""
        return self.additional.get("scheme_transaction_id")

    @property
    def takes_partial(self) -> bool:
        """The terminal takes less than it asked for. Not where a fee comes on top."""
        has_fee = self.spec.fee_is_added and _TRANSACTION_FEE in self.message.fields
        return self.additional.get("partial_approval") == "1" and not has_fee

    @property
    def is_increment(self) -> bool:
        """It adds to an earlier authorization, or extends it."""
        return self.mti[1] == "1" and self.additional.get("incremental") in ("1", "2")

    @property
    def is_stripe(self) -> bool:
        """The data of a magnetic stripe was read, over whatever channel."""
        mode = self.entry_mode
        is_read = mode is not None and version_of(self.spec).is_stripe(mode)
        return is_read and self.channel != "ecommerce"

    def message_key(self, key_token: bytes) -> bytes:
        """What two copies of this message share and no other message has: 16 bytes.

        The first eight stand for what an original's data (DE90, DE56) tells of it: MTI, STAN
        and time; the last eight for the rest of the dialect's key.
        """
        fields, traced = self.message.fields, (_STAN, version_of(self.spec).moment)
        trace = trace_key(self.mti, self.stan, self.moment, key_token)
        rest = [fields.get(number, "") for number in self.spec.message_key if number not in traced]
        return trace + _digest(rest)

    @classmethod
    def parse(
        cls, message: Message, spec: Spec, *, link: str, deadline: Deadline, watch: Stopwatch
    ) -> AuthorizationRequest:
        """Read an authorization request; raise `MessageError` naming what cannot be read."""
        try:
            return cls._parse(message, spec, link=link, deadline=deadline, watch=watch)
        except FieldUnreadable as error:
            number = error.number
        raise unreadable(number, message, spec)

    @classmethod
    def _parse(
        cls, message: Message, spec: Spec, *, link: str, deadline: Deadline, watch: Stopwatch
    ) -> AuthorizationRequest:
        fields, version = message.fields, version_of(spec)
        track = _track(message)
        pan = fields.get(2) or (track.pan if track else None)
        if pan is None:
            raise MessageError("missing", "pan", readable=message)
        if track is not None and track.pan != pan:
            raise MessageError("differs_from_track", "pan", readable=message)

        transaction, billing = _amounts(message, spec)
        if billing and billing.currency == transaction.currency and billing != transaction:
            raise MessageError("differs_from_transaction", "amount_cardholder_billing")
        kind = _kind(message, spec)
        additional = named(message, spec)
        is_extension = message.mti[1] == "1" and "incremental" in additional
        if kind in _DEBITS and transaction.minor == 0 and not is_extension:
            kind = "verification"
        icc = icc_of(message, spec)
        pin_block = fields.get(52)
        return cls(
            message=message,
            spec=spec,
            link=link,
            deadline=deadline,
            watch=watch,
            mti=message.mti,
            stan=fields[11],
            rrn=fields[37],
            transmission_datetime=fields[7],
            moment=fields[version.moment],
            processing_code=fields[3],
            kind=kind,
            transaction=transaction,
            billing=billing,
            cash_minor=_cash_minor(message, spec, kind, transaction),
            channel=version.channel(fields),
            entry_mode=version.entry_mode(fields),
            acquirer=fields[32],
            terminal=fields[41],
            merchant=fields.get(42),
            merchant_name=version.merchant_name(fields),
            mcc=fields.get(version.mcc),
            country=fields.get(19),
            pan=pan,
            pan_sequence_number=(icc.get("5F34") or fields.get(23, "00"))[-2:],
            expiry=_expiry(message, track),
            track=track,
            pin_block=bytes.fromhex(pin_block) if pin_block else None,
            icc=icc,
            additional=additional,
        )


@contextlib.contextmanager
def reading(message: Message, spec: Spec) -> Iterator[None]:
    """What is not as the version says becomes a `MessageError` that names the field."""
    try:
        yield
    except FieldUnreadable as error:
        raise unreadable(error.number, message, spec) from None


def unreadable(number: int, message: Message, spec: Spec) -> MessageError:
    """What names a field that is not as its version says."""
    return MessageError("format", spec.fields[number].name, readable=message)


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """A network management request (0800, 1804): sign-on, sign-off, echo."""

    message: Message = field(repr=False)
    spec: Spec = field(repr=False)
    code: str  #: DE70, or the function code DE24

    @classmethod
    def parse(cls, message: Message, spec: Spec) -> NetworkRequest:
        """Read a network management request."""
        return cls(message, spec, message.fields[version_of(spec).network_code])


def trace_key(original: str, stan: str, moment: str, key_token: bytes) -> bytes:
    """The first half of a message key, as its MTI, DE11 and DE7 or DE12 give it: eight bytes."""
    parts = [mti.without_repeat(original)[:3], stan, moment]
    return _digest(parts, key_token)


def clue(key_token: bytes, *words: str) -> bytes:
    """The digest of a number that two messages of one purchase share: eight bytes."""
    return _digest(list(words), key_token)


def _digest(parts: list[str], key: bytes = b"") -> bytes:
    return hashlib.blake2b("\x1f".join(parts).encode(), key=key, digest_size=8).digest()


def _kind(message: Message, spec: Spec) -> str:
    """What the processing code says; an advice is something, whatever its code."""
    code = message.fields[3]
    kind = KINDS.get(code[:2]) or version_of(spec).kinds.get(code[:2])
    if kind is not None:
        return kind
    if mti.is_decided(message.mti):
        return "unknown"
    return _KINDS_OF_ADVICES.get(code[0], "purchase")


def _amounts(message: Message, spec: Spec) -> tuple[Money, Money | None]:
    """What is asked for, in the transaction's currency and, where that is told, as billed."""
    fields, version = message.fields, version_of(spec)
    asked, billing = version.transaction(message.mti, fields), version.billing(message.mti, fields)
    amount = total = asked.minor
    if spec.fee_is_added and (fee := fields.get(_TRANSACTION_FEE)):
        total += int(fee[1:]) * (-1 if fee[0] == "C" else 1)
        if total < 0:
            raise MessageError("more_than_the_amount", "amount_transaction_fee", readable=message)
    if billing is None:
        return Money(total, asked.currency), None
    billed = billing.minor
    if total != amount and amount:  # the fee is billed at the amount's own rate, half up
        billed = (2 * billed * total + amount) // (2 * amount)
        if billed > AMOUNT_MOST:
            raise MessageError("too_large", "amount_transaction_fee", readable=message)
    return Money(total, asked.currency), Money(billed, billing.currency)


def _track(message: Message) -> Track | None:
    """Track 2 where it stands, else track 1."""
    fields = message.fields
    try:
        if 35 in fields:
            return parse_track_2(fields[35])
        if 45 in fields:
            return parse_track_1(fields[45])
    except TrackError:
        name = "track_2_data" if 35 in fields else "track_1_data"
        raise MessageError("format", name, readable=message) from None
    return None


def _expiry(message: Message, track: Track | None) -> str | None:
    """DE14, else the track's: YYMM with a month that exists."""
    expiry = message.fields.get(14) or (track.expiry if track else None)
    if expiry is not None and not "01" <= expiry[2:] <= "12":
        raise MessageError("format", "date_expiration", readable=message)
    return expiry


def _cash_minor(message: Message, spec: Spec, kind: str, transaction: Money) -> int:
    """All of a cash withdrawal; of a cashback what DE54 says, else all."""
    if kind == "cash":
        return transaction.minor
    if kind != "cashback":
        return 0
    amounts, version = message.fields.get(54, ""), version_of(spec)
    size = version.additional_amount_size
    for start in range(0, len(amounts), size):
        amount = version.additional_amount.fullmatch(amounts[start : start + size])
        if amount is None:
            raise MessageError("format", "additional_amounts", readable=message)
        if (amount["type"], amount["currency"]) == (_CASHBACK_AMOUNT_TYPE, transaction.currency):
            return min(int(amount["minor"]), transaction.minor)
    return transaction.minor
