"""
Why a message was answered as it was, and how to find it: for `switch why` and for the page.

    found = await search(connection, "632608000003", since, 20)
    explanation = await explain(connection, found[0].place)

`search` takes an RRN, a STAN, an authorization code or a card's last four digits and gives the
newest first. `Place.parse(text)` reads a place back from an address. Both read in a transaction of
their own that is read only and ends by itself; use a connection of their own (`history.SESSION`).

`Found.as_json()`:

    {"place": "17:4711:1764…", "kind": "journal", "received_at": "2026-11-28T…+00:00",
     "matched": "rrn", "link": "demo", "mti": "0100", "stan": "000003", "rrn": "632608000003",
     "authorization_code": "330620", "last_four": "0012",
     "transaction": {"minor": 2500, "currency": "978"}, "reason": null}

`kind` is journal, suspense (booked, on no card of ours) or refused (the card is not ours).

`Explanation.as_json()`; amounts are minor units, what is not known is null:

    {"place": …, "received_at": …,
     "verdict": "declined",            approved, declined, booked, refused (not our card)
     "reason": "limit_amount",
     "message": {"link", "mti", "stan", "transmission_datetime", "rrn", "acquirer", "terminal",
                 "merchant", "merchant_name", "mcc", "country", "entry_mode", "processing_code",
                 "kind", "channel", "scheme", "scheme_transaction_id", "is_increment"},
     "amounts": {"transaction_minor", "transaction_currency", "billed_minor", "billed_currency",
                 "cash_minor", "approved_minor"},       the last where less was approved than asked
     "answer": {"authorization_code", "response_code_brought", "would_have_declined"},
     "card": {"card_id", "last_four", "status", "channels_blocked", "mcc_blocked",
              "countries_allowed", "changed_since"},    as it was; null: not ours
     "account": {"account_id", "reference", "program", "currency", "kind", "status"},
     "checks": [{"row": 12, "name": "limits", "question": …, "verdict": "refused",
                 "inputs": …, "reason": "limit_amount"}, …],
                                       verdicts: passed, refused, not_asked, not_recorded
     "limits": [{"scope", "period", "limit_minor", "used_minor", "this_minor", "would_be_minor",
                 "limit_count", "used_count", "is_over_amount", "is_over_count"}, …],
     "funds": {"posted_minor", "held_minor", "credit_limit_minor", "available_before_minor",
               "available_after_minor"},
     "holds": [{"amount_minor", "state", "expires_at"}, …],
     "followed": [{"at", "what", "detail", "amount_minor", "is_before"}, …],   in order of time
     "notes": ["…"],                   what speaks against the record, or is missing from it
     "steps": [{"name": "hsm_us", "label": "ask the HSM", "microseconds": 92}, …]}   from a log
"""

from switch.ledger.history import Place
from switch.operate.why.explanation import Explanation, NotRecorded, explain
from switch.operate.why.search import Found, QueryError, search

__all__ = ["Explanation", "Found", "NotRecorded", "Place", "QueryError", "explain", "search"]
