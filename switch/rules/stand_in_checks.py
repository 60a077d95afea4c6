"""
Whether a message may be approved while the ledger is away, by the rules of its program.

There are approvals alone: what is not allowed here is answered as any outage is.
"""

from __future__ import annotations

from dataclasses import dataclass

from keys.hsm import Verdict
from switch.rules.checks import Case, Verdicts, billed
from switch.rules.stand_in import StandInRules
from switch.wire import mti


@dataclass(frozen=True, slots=True)
class Lent:
    """What was approved without the ledger and is not in it yet; amounts in minor units."""

    card_count: int = 0
    card_minor: int = 0
    total_minor: int = 0  #: of all cards of the program in this currency


def forbidden_by(rules: StandInRules, case: Case, verdicts: Verdicts, lent: Lent) -> str | None:
    """The first rule that a request is against, by its name; none: it may be approved.

    Asked of what no other question refuses. `lent` is what was lent before it.
    """
    request, amount = case.request, billed(case)
    # A repeat may be of what the ledger decided before it went away: only it knows the answer.
    is_first = request.mti[1:3] == "10" and not mti.is_repeat(request.mti)
    if not is_first or request.kind != "purchase" or request.is_increment:
        return "message"
    if amount is None or not 0 < amount.minor <= rules.amount_minor:
        return "amount_minor"
    if request.channel not in rules.channels:
        return "channels"
    if request.mcc not in rules.mccs:
        return "mccs"
    if any(getattr(verdicts, one) is not Verdict.MATCH for one in rules.verified):
        return "verified"
    # Its tries cannot be counted: whoever has a card could guess as long as the ledger is away.
    if request.pin_block is not None and not (rules.takes_pin and verdicts.pin is Verdict.MATCH):
        return "pin"
    if lent.card_count >= rules.card_count:
        return "card_count"
    if lent.card_minor + amount.minor > rules.card_minor:
        return "card_minor"
    if lent.total_minor + amount.minor > rules.total_minor:
        return "total_minor"
    return None
