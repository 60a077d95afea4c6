"""
Where the versions of ISO 8583 differ in what a decision needs: this page, and no other.

Each builds on the one before it. What a dialect's rows say (lengths, notations, classes, DE39)
differs by dialect and is not here. Sources: the public field tables of jPOS, its Common Message
Format and class `PosDataCode` for 2003, acquirers' public pages for 1993 (docs/dialects.md).

Whatever reads a field raises `FieldUnreadable` with its number, and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from specs.spec import Spec
from switch.wire.currency import CURRENCIES
from switch.wire.values import FieldUnreadable, Money, NetworkCodes, Original

Fields = Mapping[int, str]

_BITS = re.compile(r"[0-9A-F]{32}")
_DIGITS = re.compile(r"[0-9]+")
_AMOUNT_2003 = re.compile(r"(?P<currency>[0-9]{3})(?P<decimals>[0-9])(?P<minor>[0-9]{12})")
_AMOUNT_SIZE, _AMOUNT_2003_SIZE = 12, 16
_PARTIAL_REVERSAL = "401"  # DE24
_DECIMALS_UNKNOWN = 2  # of a currency that is not in ISO 4217's list


class Version:
    """ISO 8583:1987."""

    moment: ClassVar = 7  #: DE that names a message beside its MTI and STAN
    mcc: ClassVar = 18
    network_code: ClassVar = 70
    original: ClassVar = 90
    #: Generic use, and jPOS's public code table.
    network_codes: ClassVar = NetworkCodes(("001", "071"), ("002", "072"), ("301",))
    kinds: ClassVar[Mapping[str, str]] = {}  #: by DE3, beside those that all versions share
    #: DE54: account type, amount type, currency, sign, twelve digits.
    additional_amount: ClassVar = re.compile(
        r"[0-9]{2}(?P<type>[0-9]{2})(?P<currency>[0-9]{3})[CD](?P<minor>[0-9]{12})"
    )
    additional_amount_size: ClassVar = 20

    _original: ClassVar = re.compile(
        r"(?P<mti>[0-9]{4})(?P<stan>[0-9]{6})(?P<moment>[0-9]{10})(?P<acquirer>[0-9]{11})[0-9]{11}"
    )
    #: How a card was read, by the first two digits of DE22.
    _channels: ClassVar[Mapping[str, str]] = {
        "01": "manual",
        "02": "stripe",
        "05": "chip",
        "07": "contactless",
        "80": "stripe",  # a chip that could not be read
        "81": "ecommerce",
        "90": "stripe",
        "91": "contactless",
        "95": "chip",
    }
    _stripes: ClassVar = frozenset({"02", "80", "90", "91"})  # 91: a stripe's data over the air
    _contactless_stripe: ClassVar = "91"
    _ecommerce_condition: ClassVar = "59"  # DE25: electronic commerce

    # ---- amounts

    def transaction(self, _: str, fields: Fields) -> Money:
        """What was asked for, also in a message that takes some of it back. By MTI and fields."""
        return Money(_number(fields[4], 4), fields[49])

    def billing(self, _: str, fields: Fields) -> Money | None:
        """The same as it is billed: DE6 in DE51, where both stand."""
        return Money(_number(fields[6], 6), fields[51]) if 6 in fields and 51 in fields else None

    def kept(self, _: str, fields: Fields) -> int | None:
        """What a reversal leaves of the transaction, in its minor units; none: nothing."""
        data = fields.get(95)
        return _number(data[:_AMOUNT_SIZE], 95) if data else None

    def amount(self, money: Money) -> str:
        """DE4 or DE6 of an answer."""
        return f"{money.minor:012d}"

    def signed_amount(self, types: str, money: Money) -> str:
        """One amount of DE54. `types` are its account type and its amount type."""
        sign = "D" if money.minor < 0 else "C"
        return f"{types}{money.currency}{sign}{abs(money.minor):012d}"

    # ---- the point of service

    def entry_mode(self, fields: Fields) -> str | None:
        """How the card was read, as the message says it: what is kept of DE22."""
        return fields.get(22)

    def channel(self, fields: Fields) -> str:
        """The same in our words: one of `_channels`, or other. DE25 may say e-commerce."""
        if fields.get(25) == self._ecommerce_condition:
            return "ecommerce"
        return self._channels.get((fields.get(22) or "")[:2], "other")

    def is_stripe(self, entry_mode: str) -> bool:
        """The data of a magnetic stripe was read, over whatever channel."""
        return entry_mode[:2] in self._stripes

    def is_contactless_stripe(self, entry_mode: str) -> bool:
        """A stripe's data came over the air."""
        return entry_mode[:2] == self._contactless_stripe

    def merchant_name(self, fields: Fields) -> str | None:
        """DE43, where it is text."""
        return fields.get(43)

    # ---- the original

    def original_of(self, fields: Fields) -> Original | None:
        """The message that this one is about; none where nothing or zeros say it."""
        data = fields.get(self.original)
        if not data:
            return None
        parts = self._original.fullmatch(data)
        if parts is None:
            raise FieldUnreadable(self.original)
        if not data.strip("0"):
            return None
        acquirer = self._acquirer(parts["acquirer"]).lstrip("0") or None
        return Original(parts["mti"], parts["stan"], parts["moment"], acquirer)

    def _acquirer(self, told: str) -> str:
        return told


class Version1993(Version):
    """ISO 8583:1993."""

    moment: ClassVar = 12
    mcc: ClassVar = 26
    network_code: ClassVar = 24
    original: ClassVar = 56
    network_codes: ClassVar = NetworkCodes(("801",), ("802",), ("831",))
    kinds: ClassVar[Mapping[str, str]] = {"30": "inquiry"}

    _original: ClassVar = re.compile(
        r"(?P<mti>[0-9]{4})(?P<stan>[0-9]{6})(?P<moment>[0-9]{12})(?P<acquirer>[0-9]{0,13})"
    )
    #: By position 7 of DE22. Others are the schemes' own, and not all the same.
    _channels: ClassVar[Mapping[str, str]] = {
        "1": "manual",
        "2": "stripe",
        "5": "chip",
        "6": "manual",
        "A": "contactless",
        "M": "contactless",
    }
    _stripes: ClassVar = frozenset({"2", "A"})
    _contactless_stripe: ClassVar = "A"
    _ecommerce_presence: ClassVar = "5"  # position 5: the cardholder is not there, e-commerce

    def transaction(self, mti: str, fields: Fields) -> Money:
        """DE4; of a partial reversal the original's, DE30, for DE4 is what remains."""
        now = self._money(fields, 4)
        if not _is_partial(mti, fields) or not fields.get(30):
            return now
        before = self._money_before(fields)
        return before if before.minor else now

    def billing(self, mti: str, fields: Fields) -> Money | None:
        """None of a partial reversal: DE6 is what remains, and nothing says what was billed."""
        return None if _is_partial(mti, fields) else self._billed(fields)

    def kept(self, mti: str, fields: Fields) -> int | None:
        """DE4 of a partial reversal (DE24 401)."""
        return self._money(fields, 4).minor if _is_partial(mti, fields) else None

    def channel(self, fields: Fields) -> str:
        """By positions 5 and 7 of DE22. DE25 is a reason here."""
        data = fields.get(22) or ""
        if data[4:5] == self._ecommerce_presence:
            return "ecommerce"
        return self._channels.get(data[6:7], "other")

    def is_stripe(self, entry_mode: str) -> bool:
        """By position 7."""
        return entry_mode[6:7] in self._stripes

    def is_contactless_stripe(self, entry_mode: str) -> bool:
        """By position 7."""
        return entry_mode[6:7] == self._contactless_stripe

    def _money(self, fields: Fields, number: int) -> Money:
        return Money(_number(fields[number], number), fields[49])

    def _money_before(self, fields: Fields) -> Money:
        return Money(_number(fields[30][:_AMOUNT_SIZE], 30), fields[49])

    def _billed(self, fields: Fields) -> Money | None:
        return super().billing("", fields)

    def _acquirer(self, told: str) -> str:
        """With its own length of two digits before it, or without."""
        has_length = len(told) > 1 and int(told[:2]) == len(told) - 2
        return told[2:] if has_length else told


class Version2003(Version1993):
    """ISO 8583:2003, as the jPOS Common Message Format has it."""

    additional_amount: ClassVar = re.compile(
        r"[0-9]{2}(?P<type>[0-9]{2})(?P<currency>[0-9]{3})[0-9][CD](?P<minor>[0-9]{12})"
    )
    additional_amount_size: ClassVar = 21

    _original: ClassVar = re.compile(
        r"(?P<mti>[0-9]{4})(?P<stan>[0-9]{12})(?P<moment>[0-9]{14})(?P<acquirer>[0-9]{0,11})"
    )
    #: Bits of DE22: of the reading method (bytes 1 to 4), of the environment (9 to 12).
    _contactless, _physical, _stripe, _chip = 1 << 1, 1 << 2, 1 << 4, 1 << 5
    _ecommerce = 1 << 4 | 1 << 5  # over a computer, over a telephone

    def amount(self, money: Money) -> str:
        """Currency, decimals, value."""
        return f"{money.currency}{_decimals(money.currency)}{money.minor:012d}"

    def signed_amount(self, types: str, money: Money) -> str:
        """With the decimals behind the currency."""
        sign = "D" if money.minor < 0 else "C"
        decimals = _decimals(money.currency)
        return f"{types}{money.currency}{decimals}{sign}{abs(money.minor):012d}"

    def entry_mode(self, fields: Fields) -> str | None:
        """The reading method, four bytes as hex: all sixteen could have a card number in them."""
        data = fields.get(22)
        if not data:
            return None
        if not _BITS.fullmatch(data):
            raise FieldUnreadable(22)
        return data[:8]

    def channel(self, fields: Fields) -> str:
        """By the bits of DE22."""
        reading = self.entry_mode(fields)
        if reading is None:
            return "other"
        if _bits(fields[22][16:24]) & self._ecommerce:
            return "ecommerce"
        bits = _bits(reading)
        ways = {
            self._contactless: "contactless",
            self._chip: "chip",
            self._stripe: "stripe",
            self._physical: "manual",
        }
        return next((channel for bit, channel in ways.items() if bits & bit), "other")

    def is_stripe(self, entry_mode: str) -> bool:
        """The stripe and not the chip."""
        return _bits(entry_mode) & (self._stripe | self._chip) == self._stripe

    def is_contactless_stripe(self, entry_mode: str) -> bool:
        """A stripe's data, and no contact."""
        return self.is_stripe(entry_mode) and bool(_bits(entry_mode) & self._contactless)

    def merchant_name(self, _: Fields) -> str | None:
        """DE43 is a dataset."""
        return None

    def _money(self, fields: Fields, number: int) -> Money:
        return _money_2003(fields[number], number)

    def _money_before(self, fields: Fields) -> Money:
        before = _money_2003(fields[30][:_AMOUNT_2003_SIZE], 30)
        if before.minor and before.currency != self._money(fields, 4).currency:
            raise FieldUnreadable(30)
        return before

    def _billed(self, fields: Fields) -> Money | None:
        return self._money(fields, 6) if 6 in fields else None


#: By the first digit of every MTI.
VERSIONS: Mapping[str, Version] = {"0": Version(), "1": Version1993(), "2": Version2003()}


def version_of(spec: Spec) -> Version:
    """The version of a dialect. Settings with a dialect of any other are refused."""
    return VERSIONS[spec.version]


def _is_partial(mti: str, fields: Fields) -> bool:
    return mti[1:2] == "4" and fields.get(24) == _PARTIAL_REVERSAL


def _number(data: str, number: int) -> int:
    """The digits of that field."""
    if not _DIGITS.fullmatch(data):
        raise FieldUnreadable(number)
    return int(data)


def _money_2003(data: str, number: int) -> Money:
    """An amount that brings its currency. In decimals that are not the currency's it could be
    booked a hundred times too large: it is refused.
    """
    parts = _AMOUNT_2003.fullmatch(data)
    if parts is None:
        raise FieldUnreadable(number)
    known = CURRENCIES.get(parts["currency"])
    if known is not None and int(parts["decimals"]) != known.exponent and int(parts["minor"]):
        raise FieldUnreadable(number)
    return Money(int(parts["minor"]), parts["currency"])


def _decimals(currency: str) -> int:
    known = CURRENCIES.get(currency)
    return _DECIMALS_UNKNOWN if known is None else known.exponent


def _bits(text: str) -> int:
    """Four bytes as hex: the first bit is the lowest of the first byte, as in `PosDataCode`."""
    return int.from_bytes(bytes.fromhex(text), "little")
