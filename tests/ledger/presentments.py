"""Records of clearing files, and what came online before them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from switch.ledger.calls import AuthorizationCall, BookingCall
from switch.ledger.clearing import ClearingFile, import_clearing
from switch.ledger.clearing_record import ClearingRecord
from switch.ledger.queries import QUERIES
from switch.wire.requests import Money
from tests.ledger.support import Books, ask, number


async def issue(books: Books, **how: Any) -> tuple[int, bytes]:
    """An account with one card; its number and the card's token."""
    account_id = await books.account(**how)
    token = hashlib.sha256(str(account_id).encode()).digest()
    await books.connection.execute(
        "INSERT INTO pan_tokens VALUES ($1, 0, $2, $2)", token, account_id
    )
    return account_id, token


def presentment(token: bytes, minor: int = 1_000, **changes: Any) -> ClearingRecord:
    """A presentment of a purchase that nothing online tells of."""
    one = number()
    record = ClearingRecord(
        line=0,
        kind="presentment",
        pan_tokens=(token,),
        bin="47617390",
        scheme="demo",
        reference=f"{one:023d}",
        sequence="",
        processing_code="000000",
        purchase_kind="purchase",
        transaction=Money(minor, "978"),
        billing=None,
        scheme_transaction_id=None,
        authorization_code=None,
        rrn="",
        acquirer="476173",
        terminal="TERM0001",
        merchant=None,
        merchant_name=None,
        mcc="5411",
        country="276",
        transacted_at="",
    )
    return replace(record, **changes)


def presented(call: AuthorizationCall, token: bytes, **changes: Any) -> ClearingRecord:
    """The presentment of an authorization, by its code and amount."""
    about = {"authorization_code": call.authorization_code, "purchase_kind": call.kind}
    return presentment(token, call.transaction_minor, **(about | changes))


def reversal(record: ClearingRecord, minor: int | None = None, **changes: Any) -> ClearingRecord:
    """What takes a presentment back, or so much of it."""
    kind = {"presentment": "reversal", "second_presentment": "second_reversal"}[record.kind]
    money = record.transaction if minor is None else Money(minor, record.transaction.currency)
    return replace(record, kind=kind, transaction=money, **changes)


def file_of(records: Iterable[ClearingRecord]) -> ClearingFile:
    """A file of records, which no other file has the number of."""
    lines = [replace(record, line=line) for line, record in enumerate(records, start=2)]
    return ClearingFile(hashlib.sha256(str(number()).encode()).digest(), "day.csv", lines)


async def clear(
    books: Books,
    *records: ClearingRecord,
    file: ClearingFile | None = None,
    progress: Callable[[int], None] = lambda _: None,
    batch: int = 50,
) -> list[str]:
    """Import records as a file; their outcomes in order, as they stand afterwards."""
    file = file or file_of(records)
    await import_clearing(books.connection, file, operator="test", progress=progress, batch=batch)
    return await outcomes(books, file)


async def outcomes(books: Books, file: ClearingFile) -> list[str]:
    """What became of the records of a file, in order."""
    rows = await books.connection.fetch(
        "SELECT outcome FROM presentments WHERE file_id = $1 ORDER BY line", file.file_id
    )
    return [row["outcome"] for row in rows]


async def money(books: Books, account_id: int) -> tuple[int, int]:
    """What an account has posted and held."""
    row = await books.connection.fetchrow(
        "SELECT posted_minor, held_minor FROM accounts WHERE account_id = $1", account_id
    )
    return (0, 0) if row is None else (row["posted_minor"], row["held_minor"])


async def held(
    books: Books, account_id: int, minor: int = 1_000, **changes: Any
) -> AuthorizationCall:
    """An authorization that we approved: its money is held."""
    call = ask(account_id, minor, **changes)
    assert "approved" == await books.reason(call)
    return call


async def posted(
    books: Books, account_id: int, minor: int = 1_000, kind: str = "purchase", **changes: Any
) -> AuthorizationCall:
    """A financial request that we approved: its money is posted."""
    call = ask(account_id, minor, kind, mti="0200", books="posting", **changes)
    assert "approved" == await books.reason(call)
    return call


async def book(books: Books, call: AuthorizationCall, task: str, minor: int, **changes: Any) -> str:
    """A completion (0220) or a reversal (0420) of what came online; its effect."""
    about = {name: getattr(call, name) for name in BookingCall._fields if hasattr(call, name)}
    booking = BookingCall(**(
        about
        | {
            "message_key": number().to_bytes(16),
            "mti": {"complete": "0220", "reverse": "0420"}[task],
            "task": task, "is_approved": True, "is_final": True, "may_suspend": True,
            "original_traces": [call.message_key[:8]] if task == "reverse" else [],
            "original_classes": [call.mti[1:3]] if task == "reverse" else [],
            "original_acquirer": None, "original_code": call.authorization_code,
            "rrn_clue": b"the RRN's", "scheme_clue": None, "own_traces": [], "leave_clues": [],
            "amount_minor": minor,
            "transaction_minor": minor, "keep_transaction_minor": None, "keep_minor": None,
            "would_have_declined": None, "response_code": None,
        }
        | changes
    ))  # fmt: skip
    rows = await books.connection.fetch(QUERIES["book"], [booking])
    effect: str = rows[0]["effect"]
    return effect
