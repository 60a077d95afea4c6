"""What a decision adds to its answer: codes, the balance, results, the word to the chip."""

from __future__ import annotations

from keys.hsm import Verdict
from specs.tlv import encode_ber
from switch.flows.issuer import Issuer
from switch.flows.reply import response_code
from switch.flows.results import results
from switch.flows.verify import ARC_APPROVED, arpc_data, arpc_over
from switch.rules.checks import Case, Verdicts
from switch.rules.cryptogram import cryptogram
from switch.rules.decision import Decision, Declined
from switch.rules.reason import Reason
from switch.wire.named import icc_answer
from switch.wire.values import Money
from switch.wire.versions import version_of

_AMOUNT, _AMOUNT_BILLED = 4, 6
_AUTHORIZATION_CODE, _ADDITIONAL_AMOUNTS, _ICC_DATA = 38, 54, 55
_ISSUER_AUTHENTICATION_DATA = "91"
_AVAILABLE = "02"  # DE54: amount type, available balance
_ORIGINAL_AMOUNT = "57"  # what was asked for, where less is approved
#: A right cryptogram that is not to be answered: whoever sent it again learns nothing new.
_UNANSWERED = frozenset({Reason.CRYPTOGRAM_REPLAYED, Reason.ATC_OUT_OF_WINDOW})
_AMOUNT_MOST = 999_999_999_999  # DE54 has twelve digits


async def additions(
    case: Case, verdicts: Verdicts, decision: Decision, code: str, issuer: Issuer
) -> dict[int, str]:
    """The fields that an answer has beside what it echoes and DE39, which is `code`."""
    request = case.request
    added = results(case, verdicts, decision)
    chip: str | None = None
    if isinstance(decision, Declined):
        if decision.reason not in _UNANSWERED:
            chip = await _authenticated(case, verdicts, code, issuer, is_approved=False)
    else:
        chip = decision.issuer_authentication
        if request.kind == "inquiry":
            added[_ADDITIONAL_AMOUNTS] = balance(case, decision.available_minor)
        elif decision.authorization_code is not None:
            added[_AUTHORIZATION_CODE] = decision.authorization_code
        if decision.partial_transaction_minor is not None:
            version = version_of(request.spec)
            part = Money(decision.partial_transaction_minor, request.transaction.currency)
            added[_AMOUNT] = version.amount(part)
            if request.billing is not None and decision.partial_minor is not None:
                part = Money(decision.partial_minor, request.billing.currency)
                added[_AMOUNT_BILLED] = version.amount(part)
            added[_ADDITIONAL_AMOUNTS] = original_amount(case)
        # What was recorded is over the plain approval's code: no other one goes out with it.
        is_chip = chip is not None or verdicts.cryptogram is Verdict.MATCH
        if is_chip and code != response_code(request.message, request.spec, None):
            chip = await _authenticated(case, verdicts, code, issuer, is_approved=True)
    data = encode_ber({_ISSUER_AUTHENTICATION_DATA: chip}) if chip is not None else ""
    if data := data + _scripts(case, verdicts, decision):
        added[_ICC_DATA] = icc_answer(data, request.message, request.spec)
    return added


def _scripts(case: Case, verdicts: Verdicts, decision: Decision) -> str:
    """The program's issuer scripts, for a chip whose cryptogram was right and not seen before."""
    if verdicts.cryptogram is not Verdict.MATCH:
        return ""
    if not isinstance(decision, Declined):
        return case.program.issuer_scripts.approved
    return "" if decision.reason in _UNANSWERED else case.program.issuer_scripts.declined


def balance(case: Case, available_minor: int) -> str:
    """DE54: what is available."""
    minor = max(-_AMOUNT_MOST, min(available_minor, _AMOUNT_MOST))
    return _additional(case, _AVAILABLE, Money(minor, case.card.currency))


def original_amount(case: Case) -> str:
    """DE54: what was asked for, where less is approved."""
    return _additional(case, _ORIGINAL_AMOUNT, case.request.transaction)


def _additional(case: Case, amount_type: str, money: Money) -> str:
    types = case.request.processing_code[2:4] + amount_type
    return version_of(case.request.spec).signed_amount(types, money)


def issuer_authentication(case: Case, verdicts: Verdicts) -> str | None:
    """Tag 91 of an approval, hex: it is recorded with the decision, for a repeat gets it again."""
    if verdicts.arpc is None:
        return None
    data = arpc_data(case, cryptogram(case), ARC_APPROVED.decode(), is_approved=True)
    return (verdicts.arpc + data).hex().upper()


async def _authenticated(
    case: Case, verdicts: Verdicts, code: str, issuer: Issuer, *, is_approved: bool
) -> str | None:
    """Tag 91 over another code than 00: only a card whose own cryptogram was right is answered."""
    if verdicts.cryptogram is not Verdict.MATCH:
        return None
    arpc = await arpc_over(case, issuer, code, is_approved=is_approved)
    if arpc is None:
        return None
    data = arpc_data(case, cryptogram(case), code, is_approved=is_approved)
    return (arpc + data).hex().upper()
