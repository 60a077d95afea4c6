"""
The questions that are answered before the ledger's own, in policy order.

A question looks at a case and gives the reason to refuse it, or none. The first
refusal is the answer: it becomes the DE39 that the acquirer sees.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date

from keys.hsm import Verdict
from switch.rules.card import Card, Plastic
from switch.rules.program import Need, Program, Verification
from switch.rules.reason import Reason
from switch.wire.currency import is_known
from switch.wire.requests import KINDS, AuthorizationRequest, Money
from switch.wire.versions import version_of

#: What a card must bring that was read in a way the program has no row for.
_UNKNOWN_READING = Verification(track_code=Need.REQUIRED, cvv2=Need.REQUIRED)


@dataclass(slots=True)  # frozen in all but name, as all that is made for each message
class Verdicts:
    """What was found out before the ledger is asked: by the rules, then by the HSM, which was
    asked of what the message brings and the rules do not refuse already.
    """

    refused: Reason | None = None  #: by the rules that need no verdict
    cryptogram: Verdict | None = None
    track_code: Verdict | None = None
    cvv2: Verdict | None = None
    cavv: Verdict | None = None
    pin: Verdict | None = None
    hsm_fault: bool = False
    arpc: bytes | None = None  #: over the approving code, where the cryptogram matched


@dataclass(slots=True)
class Case:
    """A request, and what is known of its card."""

    request: AuthorizationRequest
    card: Card
    program: Program
    today: date  #: in the program's time zone
    #: The one that the message speaks of; none where it tells no plastic's expiry.
    plastic: Plastic | None = field(init=False)
    verification: Verification = field(init=False)  #: what this way of reading it must bring

    def __post_init__(self) -> None:
        """Find out once what most questions ask for."""
        request = self.request
        self.plastic = self.card.plastic(request.expiry, request.pan_sequence_number)
        reading = "stripe" if request.is_stripe else request.channel
        self.verification = self.program.verification.get(reading, _UNKNOWN_READING)

    @property
    def pin_need(self) -> Need:
        """Cash needs a PIN, however the card was read."""
        if self.request.kind in ("cash", "cashback"):
            return self.program.cash_pin
        return self.verification.pin


Check = Callable[[Case], Reason | None]


def check_supported(request: AuthorizationRequest) -> Reason | None:
    """Do we know the processing code, and is each currency one of ISO 4217's?"""
    code = request.processing_code[:2]
    if code not in KINDS and code not in version_of(request.spec).kinds:
        return Reason.NOT_SUPPORTED
    if not is_known(request.transaction.currency):
        return Reason.CURRENCY_NOT_SUPPORTED
    if request.billing is not None and not is_known(request.billing.currency):
        return Reason.CURRENCY_NOT_SUPPORTED
    return None


def _supported(case: Case) -> Reason | None:
    return check_supported(case.request)


def check_status(case: Case) -> Reason | None:
    """May the card be used, and is its account open?"""
    card = case.card
    if card.status != "active":
        return Reason(card.status)
    return Reason.ACCOUNT_CLOSED if card.account_status != "open" else None


def check_expiry(case: Case) -> Reason | None:
    """Is it a plastic of the card, in its last month at most, and does its track say the same?"""
    plastic, track = case.plastic, case.request.track
    today = case.today
    if plastic is None or f"{today.year % 100:02d}{today.month:02d}" > plastic.expiry:
        return Reason.CARD_EXPIRED
    return Reason.CARD_EXPIRED if track is not None and track.expiry != plastic.expiry else None


#: Rows 4 to 7 of the policy: a message refused here asks the HSM for no code and no PIN.
BEFORE_VERIFICATION: tuple[Check, ...] = (_supported, check_status, check_expiry)


def first_refusal(checks: Iterable[Check], case: Case) -> Reason | None:
    """The first refusal is the answer."""
    for check in checks:
        reason = check(case)
        if reason is not None:
            return reason
    return None


def check_codes(case: Case, verdicts: Verdicts) -> Reason | None:
    """Row 8: the cryptogram, then the card codes. A fault of the HSM refuses nothing here."""
    need, track, plastic = case.verification, case.request.track, case.plastic
    if _fails(need.cryptogram, verdicts.cryptogram, verdicts):
        return Reason.CRYPTOGRAM_MISMATCH
    # A service code that is not the plastic's was written by somebody else, whatever the CVV.
    if track is not None and (plastic is None or track.service_code != plastic.service_code):
        return Reason.CARD_CODE_MISMATCH
    if _fails(need.track_code, verdicts.track_code, verdicts):
        return Reason.CARD_CODE_MISMATCH
    if _fails(need.cvv2, verdicts.cvv2, verdicts):
        return Reason.CARD_CODE_MISMATCH
    if _fails(need.cavv, verdicts.cavv, verdicts):
        return Reason.CARD_CODE_MISMATCH
    return None


def check_strong_authentication(case: Case, verdicts: Verdicts) -> Reason | None:
    """Must this purchase show who pays, and does no CAVV? A fault of the HSM refuses nothing."""
    least = case.program.strong_authentication_from_minor
    if least is None or case.request.channel != "ecommerce":
        return None
    amount = billed(case)
    if amount is None:
        return None
    if case.request.kind not in ("purchase", "cash", "cashback") or amount.minor < least:
        return None
    is_unknown = verdicts.hsm_fault and case.request.cavv is not None
    if verdicts.cavv is Verdict.MATCH or is_unknown:
        return None
    return Reason.STRONG_AUTHENTICATION_REQUIRED


def _fails(need: Need, verdict: Verdict | None, verdicts: Verdicts) -> bool:
    """Wrong, or required and absent: absent is not what an HSM that failed leaves."""
    if verdict is None:
        return need is Need.REQUIRED and not verdicts.hsm_fault
    return verdict is not Verdict.MATCH or need is Need.REFUSED


def pin_question(case: Case, verdicts: Verdicts) -> str | None:
    """Row 9, for the ledger, which counts the tries: match, mismatch, or refused.

    `refused` answers as a wrong PIN does and counts no try: a PIN that is required
    and absent, one that may not be there, a block that is no PIN block, a card that
    has no PIN. None: the message brings no PIN and needs none.
    """
    need = case.pin_need
    if case.request.pin_block is None:
        return "refused" if need is Need.REQUIRED else None
    if verdicts.pin in (Verdict.MATCH, Verdict.MISMATCH) and need is not Need.REFUSED:
        return str(verdicts.pin.value)
    return "refused"


def billed(case: Case) -> Money | None:
    """Row 10: the amount in the account's currency, or none where the message has none.

    The billing amount where it is in the account's currency, else the transaction
    amount where that is. A billing amount of zero beside a transaction that has one is
    no billing amount.
    """
    request, currency = case.request, case.card.currency
    billing, transaction = request.billing, request.transaction
    is_real = billing is not None and (billing.minor > 0 or transaction.minor == 0)
    if billing is not None and is_real and billing.currency == currency:
        return billing
    if transaction.currency == currency:
        return transaction
    if request.kind in ("inquiry", "verification") or transaction.minor == 0:
        return Money(0, currency)
    return None


def booked(case: Case) -> Money | None:
    """The amount of what already happened; none where only its original's rate can tell it."""
    if case.request.kind in ("inquiry", "verification"):
        return Money(0, case.card.currency)
    return billed(case)


def billed_cash_minor(case: Case, amount: Money) -> int:
    """The part of the billed amount that is cash, in the same proportion, half up."""
    request = case.request
    total = request.transaction.minor
    if request.cash_minor in (0, total):
        return amount.minor if request.cash_minor else 0
    return (2 * request.cash_minor * amount.minor + total) // (2 * total)
