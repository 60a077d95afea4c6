"""Approvals of our own to be kept, and how they are written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from switch.ledger.calls import BookingCall
from switch.ledger.stand_in_journal import StandIn, StandInJournal
from tests.ledger.support import ask


def stand_in(account_id: int, amount_minor: int = 1_000, **changes: Any) -> StandIn:
    """One of the account's own card, with a message key and a code of its own."""
    call = ask(account_id, amount_minor)
    asked = call._asdict()
    own = {name: asked[name] for name in BookingCall._fields if name in asked}
    booking = BookingCall(
        **own
        | {
            "mti": "0120",
            "task": "advise",
            "is_approved": True,
            "is_final": True,
            "may_suspend": False,
            "original_traces": [call.message_key[:8]],
            "original_classes": ["10"],
            "original_acquirer": None,
            "original_code": None,
            "own_traces": [call.message_key[:8]],
            "leave_clues": [],
            "keep_transaction_minor": None,
            "keep_minor": None,
            "would_have_declined": None,
            "response_code": None,
        }
    )
    values: dict[str, Any] = {
        "booking": booking,
        "beside_key": b"beside" + call.message_key[6:],
        "program_id": 1,
        "currency": "978",
        "decided_at": 1_790_000_000.25,
        "issuer_authentication": "A1A2A3A400820000",
        "findings": "cryptogram=match",
        "sequence_number": "01",
        "atc": 17,
    }
    return StandIn(**values | changes)


def written(path: Path, *, notes: Iterable[StandIn], strikes: Iterable[int] = ()) -> bytes:
    """The file of a process that noted some and then struck some of them by number."""

    async def write() -> None:
        journal = StandInJournal(path)
        for what in notes:
            await journal.note(what)[1].saved
        for number in strikes:
            await journal.strike(number).saved
        await journal.close()

    asyncio.run(write())
    return path.read_bytes()


def content(path: Path) -> bytes:
    """What stands in the file."""
    return path.read_bytes()


def left_in(path: Path, text: bytes | None = None) -> tuple[list[StandIn], int]:
    """What the next process finds in a file, or in one with that text: approvals, and how many
    lines it cannot read.
    """
    if text is not None:
        path.write_bytes(text)
    journal = StandInJournal(path)
    journal._file.close()
    return list(journal.left.values()), journal.unreadable
