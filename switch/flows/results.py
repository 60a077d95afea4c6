"""What an answer says of the codes that its request brought, where the dialect has words for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

from keys.hsm import Verdict
from specs.subfields import PREFIX, Tlv, Value
from specs.tlv import TlvError
from switch.rules.checks import Case, Verdicts
from switch.rules.decision import Decision, Declined
from switch.wire.requests import AuthorizationRequest


def results(case: Case, verdicts: Verdicts, decision: Decision) -> dict[int, str]:
    """The fields of the answer that bring results, by DE number."""
    request, by_field = case.request, dict[int, dict[str, Value]]()
    for check, result in request.spec.results.items():
        outcome = _outcome_of(check, case, verdicts, decision)
        if outcome is not None and (code := result.codes.get(outcome)) is not None:
            by_field.setdefault(result.field, _prefix(request, result.field))[result.tag] = code
    if not by_field:
        return {}
    layouts = request.spec.subfields
    return {number: layouts[number].encode(values) for number, values in by_field.items()}


#: What is verified, in the words of `[results]`: what the message brings, and its verdict.
_BROUGHT: Mapping[
    str, tuple[Callable[[AuthorizationRequest], object], Callable[[Verdicts], Verdict | None]]
] = {
    "cvv": (attrgetter("track"), attrgetter("track_code")),
    "cvv2": (attrgetter("cvv2"), attrgetter("cvv2")),
    "cavv": (attrgetter("cavv"), attrgetter("cavv")),
}


def _outcome_of(check: str, case: Case, verdicts: Verdicts, decision: Decision) -> str | None:
    """What became of a code; none where the message brought none.

    Nothing is said of one that was not asked for this time but may have been for the answer that
    is given again: the HSM is down, or the card is refused since.
    """
    brought, said = _BROUGHT[check]
    verdict = said(verdicts)
    if verdict is None:
        if brought(case.request) is None:
            return None
        if verdicts.hsm_fault or _is_refused_since(verdicts, decision):
            return None
    return _outcome(verdict)


def _is_refused_since(verdicts: Verdicts, decision: Decision) -> bool:
    then = decision.reason if isinstance(decision, Declined) else None
    return decision.is_repeat and verdicts.refused not in (None, then)


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
