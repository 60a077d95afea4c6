"""What the ledger decided. A decline is a value; only faults raise."""

from __future__ import annotations

from dataclasses import dataclass, field

from switch.rules.reason import Reason


@dataclass(slots=True)  # frozen in all but name, as all that is made for each message
class Approved:
    """The issuer says yes, and the ledger has a committed row that says so."""

    authorization_code: str | None  #: none only where an advice brought none
    available_minor: int  #: after this decision, in minor units of the account's currency
    issuer_authentication: str | None  #: tag 91 as recorded with the approval, hex
    is_repeat: bool
    batch: int = field(default=1, compare=False)  #: requests that shared the transaction
    partial_minor: int | None = None  #: approved and billed, where less than was asked for
    partial_transaction_minor: int | None = None  #: the same in the transaction's currency
    response_code: str | None = None  #: DE39 as an advice that was here first brought it


@dataclass(frozen=True, slots=True)
class Declined:
    """The issuer says no, and holds nothing."""

    reason: Reason
    is_repeat: bool
    batch: int = field(default=1, compare=False)
    response_code: str | None = None  #: DE39 as an advice that was here first brought it


Decision = Approved | Declined
