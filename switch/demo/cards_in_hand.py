"""
Cards with what they and their holders know, made with the demo's published keys.

For `switch simulate`: the load cards that `switch demo cards` puts into a database, one for
each number, those of the demo program that are stopped, and some that nobody has issued.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from keys.hsm import PinBlockFormat
from keys.software import issuing
from specs.tlv import encode_ber
from switch.demo.program import (
    LOAD_EXPIRY,
    LOAD_PIN,
    LOAD_PVKI,
    LOAD_SEQUENCE_NUMBER,
    LOAD_SERVICE_CODE,
    load_pan,
    read_program,
)
from switch.demo.remaking import DemoRemaker, demo_keys

#: `switch demo cards` makes fewer: from this number on nobody has issued the card.
UNKNOWN_FROM = 8_000_000
_UNKNOWN_COUNT = 900_000

_ICVV, _CVV2 = "999", "000"  # the service codes over which they are made
_WRONG_PIN = "9999"
_ATC, _ARQC, _SEQUENCE_NUMBER = "9F36", "9F26", "5F34"
_ATCS = 1 << 16
_STOPPED = ("lost", "stolen", "blocked", "inactive")


class CardsInHand:
    """Makes cards by their numbers, and counts what their chips have counted."""

    def __init__(self, atc_from: int) -> None:
        """The first counter of every chip."""
        self.remaker = DemoRemaker()
        self.keys = demo_keys()
        self._atc_from = atc_from
        self._uses: Counter[str] = Counter()

    @property
    def atc_last(self) -> int:
        """The highest counter that any chip has had."""
        return self._atc_from + max(self._uses.values(), default=0) - 1

    def card(self, number: int) -> CardInHand:
        """The load card of that number, from 0."""
        return CardInHand(load_pan(number), LOAD_EXPIRY, self)

    def unknown(self, number: int) -> CardInHand:
        """A card in the demo's range that was never issued; its digits and codes are right."""
        return self.card(UNKNOWN_FROM + number % _UNKNOWN_COUNT)

    def stopped(self) -> Sequence[tuple[CardInHand, str]]:
        """The demo program's cards that must not pay, with the reason that an answer gives."""
        return [
            (CardInHand(card.pan, card.expiry, self), card.status)
            for card in read_program().cards
            if card.status in _STOPPED
        ]

    def next_atc(self, pan: str) -> str:
        """What the card's chip counts next, as hex."""
        counter = (self._atc_from + self._uses[pan]) % _ATCS
        self._uses[pan] += 1
        return f"{counter:04X}"


class CardInHand:
    """One card. It shows nothing of itself."""

    sequence_number = LOAD_SEQUENCE_NUMBER
    service_code = LOAD_SERVICE_CODE

    def __init__(self, pan: str, expiry: str, hand: CardsInHand) -> None:
        self.pan, self.expiry = pan, expiry
        self._hand = hand

    def track_2(self, *, is_chip: bool) -> str:
        """The stripe's with its CVV, or what a chip tells, with its iCVV."""
        pvv = issuing.visa_pvv(self._hand.keys["pvk"], pan=self.pan, pvki=LOAD_PVKI, pin=LOAD_PIN)
        code = self._code(self.expiry, _ICVV if is_chip else self.service_code)
        return f"{self.pan}={self.expiry}{self.service_code}{LOAD_PVKI}{pvv}{code}00"

    def cvv2(self) -> str:
        """What is printed on the back."""
        return self._code(self.expiry[2:] + self.expiry[:2], _CVV2)

    def pin_block(self, *, is_right: bool) -> str:
        """The holder's PIN, or another, in format 0 under the demo link's zone key, hex."""
        return (
            issuing.pin_block(
                self._hand.keys["zpk"],
                pin_block_format=PinBlockFormat.ISO_0,
                pin=LOAD_PIN if is_right else _WRONG_PIN,
                pan=self.pan,
            )
            .hex()
            .upper()
        )

    def chip_data(self, tags: Mapping[str, str]) -> str:
        """What the chip says of a transaction, hex: the tags, its next counter, its cryptogram."""
        counted = {
            **tags,
            _ATC: self._hand.next_atc(self.pan),
            _SEQUENCE_NUMBER: self.sequence_number,
        }
        arqc = self._hand.remaker.arqc(self.pan, self.sequence_number, counted)
        assert arqc is not None  # the tags are ours  # noqa: S101
        return encode_ber({_ARQC: arqc, **counted})

    def _code(self, expiry: str, service_code: str) -> str:
        return issuing.card_code(
            self._hand.keys["cvk"], pan=self.pan, expiry=expiry, service_code=service_code
        )
