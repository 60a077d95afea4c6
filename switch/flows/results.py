"""What an answer says of the codes that its request brought, where the dialect has words for it."""

from __future__ import annotations

from collections.abc import Mapping

from keys.hsm import Verdict
from specs.subfields import PREFIX, Tlv, Value
from specs.tlv import TlvError
from switch.rules.checks import BEFORE_VERIFICATION, Case, Verdicts, first_refusal
from switch.rules.decision import Decision, Declined
from switch.wire.requests import AuthorizationRequest


def results(case: Case, verdicts: Verdicts, decision: Decision) -> dict[int, str]:
    """The fields of the answer that bring results, by DE number."""
    request, by_field = case.request, dict[int, dict[str, Value]]()
    for check, outcome in _outcomes(case, verdicts, decision).items():
        result = request.spec.results.get(check)
        if result is not None and (code := result.codes.get(outcome)) is not None:
            by_field.setdefault(result.field, _prefix(request, result.field))[result.tag] = code
    layouts = request.spec.subfields
    return {number: layouts[number].encode(values) for number, values in by_field.items()}


def _outcomes(case: Case, verdicts: Verdicts, decision: Decision) -> Mapping[str, str]:
    """What became of each code that the message brought, in the words of `[results]`.

    Nothing is said of one that was not asked for this time but may have been for the answer that
    is given again: the HSM is down, or the card is refused since.
    """
    request, is_unknown = case.request, verdicts.hsm_fault or _is_refused_since(case, decision)
    brought = {
        "cvv": (request.track, verdicts.track_code),
        "cvv2": (request.cvv2, verdicts.cvv2),
        "cavv": (request.cavv, verdicts.cavv),
    }
    return {
        check: _outcome(verdict)
        for check, (value, verdict) in brought.items()
        if verdict is not None or (value is not None and not is_unknown)
    }


def _is_refused_since(case: Case, decision: Decision) -> bool:
    now = first_refusal(BEFORE_VERIFICATION, case)
    then = decision.reason if isinstance(decision, Declined) else None
    return decision.is_repeat and now not in (None, then)


def _outcome(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not_verified"
    return "match" if verdict is Verdict.MATCH else "mismatch"


def _prefix(request: AuthorizationRequest, number: int) -> dict[str, Value]:
    """What an answer's field begins with because the request's does: a category code."""
    layout, text = request.spec.subfields[number], request.message.fields.get(number, "")
    if not isinstance(layout, Tlv) or not layout.prefix:
        return {}
    try:
        prefix = layout.decode(text).get(PREFIX)
    except TlvError:  # a request that cannot be read is refused before
        return {}
    return {} if prefix is None else {PREFIX: prefix}
