"""How much is lent by approvals that the ledger has not got."""

from __future__ import annotations

from collections import Counter

from switch.ledger.calls import AuthorizationCall
from switch.ledger.stand_in_journal import StandIn
from switch.rules.stand_in_checks import Lent

Card = tuple[int, int]  #: account and card


class Lending:
    """Sums over what is kept now, by card and by program, and the cryptograms that it used up."""

    def __init__(self) -> None:
        """Nothing is lent."""
        self._counts: Counter[Card] = Counter()
        self._minors: Counter[Card] = Counter()
        self._totals: Counter[tuple[int, str]] = Counter()  # by program and currency
        self._used: set[tuple[int, int, str | None, int | None]] = set()  # chips and their counters

    def of(self, call: AuthorizationCall, program_id: int, currency: str) -> Lent:
        """What was lent before a request for its card, and for all cards of its program."""
        card = call.account_id, call.card_id
        return Lent(self._counts[card], self._minors[card], self._totals[program_id, currency])

    def has_used(self, call: AuthorizationCall) -> bool:
        """Whether something was lent on the cryptogram that a request brings."""
        return (call.account_id, call.card_id, call.sequence_number, call.atc) in self._used

    def add(self, what: StandIn) -> None:
        """One more."""
        self._change(what, 1)
        if what.atc is not None:
            self._used.add(_cryptogram(what))

    def remove(self, what: StandIn) -> None:
        """One less: the ledger has it, or it is void."""
        self._change(what, -1)
        self._used.discard(_cryptogram(what))

    def _change(self, what: StandIn, by: int) -> None:
        booking = what.booking
        card, minor = (booking.account_id, booking.card_id), by * (booking.amount_minor or 0)
        self._counts[card] += by
        self._minors[card] += minor
        self._totals[what.program_id, what.currency] += minor
        if not self._counts[card]:
            del self._counts[card], self._minors[card]


def _cryptogram(what: StandIn) -> tuple[int, int, str | None, int | None]:
    booking = what.booking
    return booking.account_id, booking.card_id, what.sequence_number, what.atc
