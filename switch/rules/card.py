"""A card as the rules see it: found by its PAN token, without its PAN."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plastic:
    """One issue of a card. After a reissue the old one is good until its own end."""

    sequence_number: str  #: two digits, as DE23 and tag 5F34 tell it
    expiry: str  #: YYMM, valid to the end of that month in the program's time zone
    service_code: str  #: as it stands in the stripe


@dataclass(frozen=True, slots=True)
class Card:
    """One of our cards and the account it spends from, as they stood when found.

    The ledger asks under the account's lock whether any of it has changed.
    """

    account_id: int
    card_id: int
    program_id: int
    status: str
    account_status: str
    currency: str  #: of the account, ISO 4217 numeric
    pin_method: str | None  #: visa_pvv, ibm3624, or none
    pin_reference: str | None = field(repr=False)  #: index and PVV, or the offset
    version: int  #: of these facts: another one, where any of them is another
    #: What its message keys and clues are made with; stays when the token of its PAN changes.
    key_token: bytes = field(repr=False)
    plastics: tuple[Plastic, ...]  #: the newest expiry first, without those that were stopped

    def plastic(self, expiry: str | None, sequence_number: str) -> Plastic | None:
        """The plastic of this expiry, where none is told the newest; none where no plastic has it.

        Of several with one expiry it is the one of this sequence number, else the
        newest: a stripe and a keyed card tell no sequence number.
        """
        if expiry is None and self.plastics:
            expiry = self.plastics[0].expiry
        newest: Plastic | None = None
        for plastic in self.plastics:
            if plastic.expiry == expiry:
                if plastic.sequence_number == sequence_number:
                    return plastic
                newest = newest or plastic
        return newest


def suspense_card(program_id: int, currency: str, key_token: bytes) -> Card:
    """What stands for a card whose account cannot take a booking: the suspense account of a
    program and a currency. Another PAN is another card, also where we know none of them.
    """
    return Card(
        account_id=-(1_000 * program_id + int(currency)),
        card_id=-(int.from_bytes(key_token[:8]) >> 1),
        program_id=program_id,
        status="active",
        account_status="open",
        currency=currency,
        pin_method=None,
        pin_reference=None,
        version=0,  # nothing of it ever changes
        key_token=key_token,
        plastics=(),
    )
