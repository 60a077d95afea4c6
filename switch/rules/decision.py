"""What the ledger decided. A decline is a value; only faults raise."""

from __future__ import annotations

from dataclasses import dataclass, field

from switch.rules.reason import Reason


@dataclass(frozen=True, slots=True)
class Approved:
    """The issuer says yes, and the ledger has a committed row that says so."""

    authorization_code: str
    available_minor: int  #: after this decision, in minor units of the account's currency
    issuer_authentication: str | None  #: tag 91 as recorded with the approval, hex
    is_repeat: bool
    batch: int = field(default=1, compare=False)  #: requests that shared the transaction


@dataclass(frozen=True, slots=True)
class Declined:
    """The issuer says no, and holds nothing."""

    reason: Reason
    is_repeat: bool
    batch: int = field(default=1, compare=False)


Decision = Approved | Declined
