"""What a flow asks the ledger: a request and what was found of it, as the ledger's values."""

from __future__ import annotations

import random
from typing import Any

from keys.hsm import Verdict
from switch.flows.additions import issuer_authentication
from switch.flows.issuer import Issuer
from switch.ledger.calls import AuthorizationCall, BookingCall, RefusedCall, Told
from switch.log_fields import scrub
from switch.mask import mask_pan
from switch.rules import checks
from switch.rules.checks import Case, Verdicts
from switch.rules.findings import findings
from switch.rules.reason import Reason
from switch.wire.mti import advice
from switch.wire.originals import LaterRequest, original_of
from switch.wire.requests import AuthorizationRequest, Money, clue, trace_key
from switch.wire.values import Original

_chance = random.Random().random  # noqa: S311 - no secret


def authorization_code() -> str:
    """Six digits. They tell attempts apart and are no secret."""
    return f"{int(_chance() * 1_000_000):06d}"


def refused_call(request: AuthorizationRequest, issuer: Issuer, reason: Reason) -> RefusedCall:
    """The record of a request for a card that is not ours: by its PAN's token alone."""
    token = issuer.vault.lasting_token(request.pan)
    return RefusedCall(
        pan_token=token,
        message_key=request.message_key(token),
        link=request.link,
        mti=request.mti,
        stan=request.stan,
        transmission_datetime=request.transmission_datetime,
        rrn=request.rrn,
        processing_code=request.processing_code,
        transaction_minor=request.transaction.minor,
        transaction_currency=request.transaction.currency,
        reason=reason.value,
    )


def authorization_call(case: Case, verdicts: Verdicts, issuer: Issuer) -> AuthorizationCall:
    """The question of one authorization.

    The ledger asks first whether it is a repeat, then takes these refusals in their
    order, and asks its own between and after them.
    """
    request, card = case.request, case.card
    amount = checks.billed(case)
    billed = amount or Money(0, card.currency)
    token = card.key_token
    is_right = verdicts.cryptogram is Verdict.MATCH
    is_increment = request.is_increment
    refusal = (
        verdicts.refused
        or checks.check_codes(case, verdicts)
        or checks.check_strong_authentication(case, verdicts)
    )
    pin = checks.pin_question(case, verdicts)
    return AuthorizationCall(
        *_told(case, issuer),
        account_id=card.account_id,
        card_id=card.card_id,
        card_version=card.version,
        message_key=request.message_key(token),
        decide_by=issuer.ledger.clock.there(request.deadline.decide_by),
        refusal_before_pin=refusal,
        hsm_fault=verdicts.hsm_fault,
        pin_verdict=pin,
        refusal_after_pin=Reason.CURRENCY_NOT_SUPPORTED if amount is None else None,
        amount_minor=billed.minor,
        cash_minor=checks.billed_cash_minor(case, billed),
        authorization_code=authorization_code(),
        issuer_authentication=issuer_authentication(case, verdicts),
        books=books(request.mti, request.kind),
        takes_partial=request.takes_partial,
        # An increment may come with the RRN of the purchase that it adds to.
        rrn_clue=None if is_increment else clue_of_rrn(request.acquirer, request.rrn, token),
        scheme_clue=(
            None if is_increment else clue_of_scheme(request.scheme_transaction_id, token)
        ),
        is_increment=is_increment,
        original_trace=_increased(request, token) if is_increment else None,
        # The message's own: with it the cryptogram was verified.
        sequence_number=request.pan_sequence_number if is_right else None,
        atc=request.atc if is_right else None,
        atc_behind=case.program.atc.behind,
        atc_ahead=case.program.atc.ahead,
        findings=findings(case, verdicts, refusal, pin),
    )


def booking_call(later: LaterRequest, task: str, case: Case, issuer: Issuer) -> BookingCall:
    """What already happened, as the ledger books it."""
    request, card = later.about, case.card
    token = card.key_token
    amount = checks.booked(case)
    # An acknowledgement has the STAN and DE7 of what it is about, and speaks of nothing else.
    is_acknowledgement = request.mti[1:3] == "19"
    rrn_clue = None if is_acknowledgement else clue_of_rrn(request.acquirer, request.rrn, token)
    scheme_clue = clue_of_scheme(request.scheme_transaction_id, token)
    originals = [_trace(later.original, token)] if later.original else []
    return BookingCall(
        account_id=card.account_id,
        card_id=card.card_id,
        **_told(case, issuer)._asdict(),
        message_key=request.message_key(token),
        task=task,
        is_approved=later.is_approved,
        is_final=later.is_final,
        may_suspend=True,
        **_clues(task, later, token, originals, rrn_clue, scheme_clue),
        original_acquirer=later.original.acquirer if later.original else None,
        original_code=later.authorization_code,
        rrn_clue=rrn_clue,
        scheme_clue=scheme_clue,
        amount_minor=amount.minor if amount else None,
        cash_minor=checks.billed_cash_minor(case, amount) if amount else 0,
        keep_transaction_minor=later.keep_minor,
        keep_minor=later.keep_minor if amount == request.transaction else None,
        would_have_declined=checks.first_refusal(checks.BEFORE_VERIFICATION, case),
        authorization_code=later.authorization_code,
        response_code=later.response_code,
    )


def _told(case: Case, issuer: Issuer) -> Told:
    """What every row of the journal has of its message."""
    request = case.request
    pan, transaction = request.pan, request.transaction
    return Told(
        kind=request.kind,
        channel=request.channel,
        transaction_minor=transaction.minor,
        transaction_currency=transaction.currency,
        hold_seconds=case.program.hold_seconds(request.mcc),
        processing_code=request.processing_code,
        mti=request.mti,
        stan=request.stan,
        transmission_datetime=request.transmission_datetime,
        rrn=request.rrn,
        acquirer=request.acquirer,
        terminal=request.terminal,
        merchant=_without_pan(request.merchant, pan),
        merchant_name=_without_pan(scrub(request.merchant_name or ""), pan) or None,
        mcc=request.mcc,
        country=request.country,
        entry_mode=request.entry_mode,
        link=request.link,
        scheme=issuer.scheme(request.link),
        scheme_transaction_id=_without_pan(request.scheme_transaction_id, pan),
    )


def own_advice(case: Case, call: AuthorizationCall) -> BookingCall:
    """What this issuer approved by itself, as the ledger books it later: an advice under the
    request's own message key. It is never in suspense: its account is known, and open when asked.
    """
    request = case.request
    trace = trace_key(request.mti, request.stan, request.moment, case.card.key_token)
    told = Told._make(call[: len(Told._fields)])._replace(mti=advice(request.mti))
    return BookingCall(
        account_id=call.account_id,
        card_id=call.card_id,
        **told._asdict(),
        message_key=call.message_key,
        task="advise",
        is_approved=True,
        is_final=True,
        may_suspend=False,
        original_traces=[trace],
        original_classes=["10"],
        original_acquirer=None,
        original_code=None,
        rrn_clue=call.rrn_clue,
        scheme_clue=call.scheme_clue,
        own_traces=[trace],
        leave_clues=[],  # a copy of the request is found by its key, and no other request is one
        amount_minor=call.amount_minor,
        cash_minor=call.cash_minor,
        keep_transaction_minor=None,
        keep_minor=None,
        would_have_declined=None,
        authorization_code=call.authorization_code,
        response_code=None,
    )


def in_suspense(call: BookingCall, reason: Reason) -> BookingCall:
    """The same on the suspense account, which takes everything."""
    return call._replace(may_suspend=False, would_have_declined=reason)


def _without_pan(text: str | None, pan: str) -> str | None:
    """Free text that a table keeps: whoever wrote it may have put the card's number into it."""
    return text.replace(pan, mask_pan(pan)) if text and pan in text else text


def books(mti: str, kind: str) -> str:
    """What an approval does: holds, posts at once, or nothing."""
    if mti[1] == "2":
        return "nothing" if kind == "inquiry" else "posting"
    return "hold" if kind in ("purchase", "cash", "cashback") else "nothing"


def _clues(
    task: str,
    later: LaterRequest,
    token: bytes,
    originals: list[bytes],
    rrn_clue: bytes | None,
    scheme_clue: bytes | None,
) -> dict[str, Any]:
    """Where a message looks for its original, and what it leaves where that is not there yet."""
    request = later.about

    def own(kind: str) -> bytes:
        version = request.mti[0]
        return trace_key(version + kind, request.stan, request.moment, token)

    this = own(request.mti[1:])
    others = [one for one in (rrn_clue, scheme_clue) if one is not None]
    if task == "advise":
        asked = own("100")
        return {
            "original_traces": [asked],
            "original_classes": ["10"],
            "own_traces": [this, asked],
            "leave_clues": [asked, *others],
        }
    if later.original is not None:
        traces, classes = originals, [later.original.mti[1:3]]
    elif task == "complete":
        traces, classes = [], []
    else:
        classes = ["10"] if request.mti[1:3] == "19" else ["10", "20", "12", "22"]
        traces = [own(kind + "0") for kind in classes]
    return {
        "original_traces": traces,
        "original_classes": classes,
        "own_traces": [this] if task == "complete" else [],
        "leave_clues": [*traces, *others] if task == "complete" else traces,
    }


def _trace(original: Original, token: bytes) -> bytes:
    return trace_key(original.mti, original.stan, original.moment, token)


def _increased(request: AuthorizationRequest, token: bytes) -> bytes | None:
    original = original_of(request)
    return _trace(original, token) if original else None


def clue_of_rrn(acquirer: str, rrn: str, token: bytes) -> bytes | None:
    """The RRN as its acquirer gave it; one of zeros is none."""
    if not rrn.strip("0 "):
        return None
    return clue(token, "rrn", acquirer.lstrip("0"), rrn)


def clue_of_scheme(number: str | None, token: bytes) -> bytes | None:
    """The scheme's own number of the purchase, where there is one."""
    return clue(token, "scheme", number) if number else None
