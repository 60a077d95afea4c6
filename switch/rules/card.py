"""A card as the rules see it: found by its PAN token, without its PAN."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Card:
    """One of our cards and the account it spends from, as they stood when found.

    The ledger asks again under the account's lock for what may have changed.
    """

    account_id: int
    card_id: int
    program_id: int
    expiry: str  #: YYMM, valid to the end of that month in the program's time zone
    status: str
    account_status: str
    currency: str  #: of the account, ISO 4217 numeric
    pin_method: str | None  #: visa_pvv, ibm3624, or none
    pin_reference: str | None = field(repr=False)  #: index and PVV, or the offset
    service_code: str  #: as it stands in the stripe
