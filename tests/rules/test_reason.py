"""The reasons: one list, which rules, SQL and dialects share."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files

import pytest

from specs.spec import known, load
from switch.rules.reason import Reason

#: What the acquirer sees in the generic dialects, as docs/architecture.md has it.
DE39 = {
    "format_error": "30",
    "mac_mismatch": "63",
    "duplicate_conflict": "94",
    "reversed": "05",
    "reversed_before_original": "05",
    "declined_elsewhere": "05",
    "not_supported": "12",
    "currency_not_supported": "12",
    "no_card_record": "14",
    "lost": "41",
    "stolen": "43",
    "blocked": "62",
    "inactive": "78",
    "closed": "46",
    "account_closed": "46",
    "card_expired": "54",
    "cryptogram_mismatch": "82",
    "card_code_mismatch": "82",
    "cryptogram_replayed": "82",
    "atc_out_of_window": "82",
    "strong_authentication_required": "1A",
    "pin_tries_exceeded": "75",
    "pin_mismatch": "55",
    "not_permitted": "57",
    "limit_amount": "61",
    "limit_count": "65",
    "insufficient_funds": "51",
    "unavailable": "91",
    "system_error": "96",
}
#: Answers that are no refusal.
APPROVALS = {"approved": "00", "approved_partial": "10"}

#: Words in authorize_v5 that are no reasons.
NO_REASONS = {
    "decided", "repeated", "locked", "late", "stale", "unavailable", "open", "active",
    "transaction",
    "purchase", "cash", "cashback", "match", "mismatch", "authorization_ids", "approved",
    "declined", "hold", "posting", "nothing", "posting_ids", "settlement",
}  # fmt: skip


def sql(path: str) -> str:
    """The text of a file of the ledger's, without its comments."""
    return re.sub(r"--.*", "", files("switch.ledger").joinpath(path).read_text())


def test_all_have_a_code() -> None:
    """Every reason has a value of DE39."""
    assert list(DE39) == [reason.value for reason in Reason]


@pytest.mark.parametrize("dialect", [name for name in known() if name.startswith("iso87")])
def test_dialects(dialect: str) -> None:
    """A generic dialect has exactly our reasons, each with its value of DE39."""
    codes = load(dialect).response_codes
    assert DE39 | APPROVALS == {row: codes.at(row, date(2026, 1, 1)) for row in codes.rows}


def test_reasons_of_the_ledger() -> None:
    """The reasons that authorize_v5 writes out are ours, and are those of its own questions."""
    page = sql("functions/authorize.sql") + sql("functions/authorize_after.sql")
    limits = sql("functions/controls.sql").partition("limit_answer_v1")[2].partition("$$;")[0]
    words = set(re.findall(r"'([a-z][a-z_]+)'", page + limits)) - NO_REASONS
    assert {
        "reversed_before_original", "duplicate_conflict", "reversed", "account_closed",
        "pin_tries_exceeded", "pin_mismatch", "not_permitted", "limit_amount", "limit_count",
        "insufficient_funds", "declined_elsewhere",
    } == words  # fmt: skip
    assert words <= {reason.value for reason in Reason}
    counters = set(re.findall(r"'([a-z][a-z_]+)'", sql("functions/atc.sql")))
    assert {Reason.CRYPTOGRAM_REPLAYED, Reason.ATC_OUT_OF_WINDOW} == counters


def test_card_statuses() -> None:
    """Every status of a card but the active one is a reason to refuse it, in both rooms."""
    (listed,) = re.findall(r"status IN \(('active'[^)]+)\)", sql("migrations/0001_ledger.sql"))
    statuses = set(re.findall(r"'(\w+)'", listed)) - {"active"}
    assert statuses <= {reason.value for reason in Reason}
