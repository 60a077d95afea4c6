"""What is kept of what was found out: words, never values; and it is read as it was written."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.hsm import Verdict
from switch.rules import checks
from switch.rules.checks import Verdicts
from switch.rules.findings import LimitFigures, _found, findings, limits, words
from tests.rules.support import MATCH, PIN_BLOCK, case

WRONG = Verdict.MISMATCH
TRACK = "4761739000000012=30122011038537900"
STRIPE: dict[int, Any] = {22: "021", 35: TRACK, 55: None}
ECOMMERCE: dict[int, Any] = {22: "812", 55: None}
NONE = Verdicts()


def kept(verdicts: Verdicts, fields: dict[int, Any] | None = None, **how: Any) -> str:
    """What is kept of a case."""
    one = case(fields, **how)
    refused = checks.first_refusal(checks.BEFORE_VERIFICATION, one)
    verdicts = replace(verdicts, refused=refused)
    refusal = (
        refused
        or checks.check_codes(one, verdicts)
        or checks.check_strong_authentication(one, verdicts)
    )
    pin = checks.pin_question(one, verdicts)
    said = findings(one, verdicts, refusal, pin)
    assert said == _found(one, verdicts, refusal), "the quick way says the same"
    return said


@pytest.mark.parametrize(
    ("expected", "verdicts", "fields", "how"),
    [
        ("cryptogram=match", Verdicts(cryptogram=Verdict.MATCH), {}, {}),
        ("cryptogram=mismatch", Verdicts(cryptogram=WRONG), {}, {}),
        ("cryptogram=missing", NONE, {55: None}, {}),
        ("cryptogram=unanswered", Verdicts(hsm_fault=True), {}, {}),
        ("cryptogram=match track_code=match cvv2=match pin=match", MATCH, {52: PIN_BLOCK}, {}),
        ("cryptogram=match pin=no_reference", Verdicts(cryptogram=Verdict.MATCH),
         {52: PIN_BLOCK}, {}),
        ("cryptogram=match pin=unreadable",
         Verdicts(cryptogram=Verdict.MATCH, pin=Verdict.UNREADABLE), {52: PIN_BLOCK}, {}),
        ("cryptogram=match pin=missing", Verdicts(cryptogram=Verdict.MATCH), {3: "010000"}, {}),
        ("track_code=mismatch", Verdicts(track_code=WRONG), STRIPE, {}),
        ("track_code=missing", NONE, STRIPE | {35: None}, {}),
        ("track_code=match service_code=differs", Verdicts(track_code=Verdict.MATCH),
         STRIPE | {35: TRACK.replace("201", "101", 1)}, {}),
        ("cvv2=match pin=unwanted", Verdicts(cvv2=Verdict.MATCH, pin=Verdict.MATCH),
         ECOMMERCE | {52: PIN_BLOCK}, {}),
        ("", NONE, {22: "012", 55: None}, {}),
        ("cryptogram=match rule=lost", MATCH, {52: PIN_BLOCK}, {"card": {"status": "lost"}}),
        ("cryptogram=match rule=not_supported", MATCH, {3: "990000"}, {}),
        ("cryptogram=match rule=card_expired expiry=unknown", MATCH, {14: "2911"}, {}),
        ("cryptogram=match rule=card_expired expiry=passed", MATCH, {},
         {"today": date(2031, 1, 1)}),
        ("rule=card_expired expiry=differs", NONE,
         STRIPE | {14: "3012", 35: TRACK.replace("=3012", "=3011")}, {}),
    ],
    ids=lambda value: value.replace(" ", ",") or "nothing" if isinstance(value, str) else "",
)  # fmt: skip
def test_words(expected: str, verdicts: Verdicts, fields: Any, how: Any) -> None:
    """Each thing that came or should have come has a word; of a rule that refused, its reason."""
    assert expected == kept(verdicts, fields, **how)


def test_strong_authentication() -> None:
    """What is demanded and does not come has a word."""
    program: dict[str, Any] = {"strong_authentication": {"ecommerce_from_minor": 100}}
    keys = case().program.keys.uses() | {"cavv": case().program.keys.card_code}
    program |= {"keys": {use: {"name": k.name, "kcv": k.kcv} for use, k in keys.items() if k}}
    said = kept(Verdicts(cvv2=Verdict.MATCH), ECOMMERCE, **program)
    assert "cvv2=match authentication=missing" == said


_amounts = st.integers(0, 10**15)
_limits = st.lists(
    st.builds(
        LimitFigures,
        scope=st.sampled_from(["all", "purchase", "cash", "ecommerce", "contactless"]),
        period=st.sampled_from(["transaction", "day", "week", "month"]),
        limit_minor=st.none() | _amounts,
        used_minor=_amounts,
        this_minor=_amounts,
        limit_count=st.none() | st.integers(0, 10**6),
        used_count=st.integers(0, 10**6),
    ),
    max_size=4,
)
_words = st.dictionaries(
    st.sampled_from(["cryptogram", "pin", "atc", "pin_tries"]),
    st.from_regex(r"[a-z0-9/_]{1,9}", fullmatch=True),
)


@given(_words, _limits)
def test_it_is_read_as_it_was_written(told: dict[str, str], figures: list[LimitFigures]) -> None:
    """Words and limits come back, in whatever number."""
    written = [f"{name}={word}" for name, word in told.items()]
    for one in figures:
        values = (one.limit_minor, one.used_minor, one.this_minor, one.limit_count, one.used_count)
        shown = ":".join("" if value is None else str(value) for value in values)
        written.append(f"limit.{one.scope}.{one.period}={shown}")
    text = " ".join(written)
    assert (told, figures) == (words(text), limits(text))


def test_a_limit_is_passed_by_more_than_it() -> None:
    """What is exactly the limit is within it; one time more than the count is too many."""
    one = LimitFigures("all", "day", 1_000, 600, 400, 3, 2)
    assert (False, False) == (one.is_over_amount, one.is_over_count)
    assert one._replace(this_minor=401).is_over_amount
    assert one._replace(used_count=3).is_over_count
    unlimited = one._replace(limit_minor=None, limit_count=None, used_count=99, used_minor=10**9)
    assert (False, False) == (unlimited.is_over_amount, unlimited.is_over_count)
