"""
Books the records of a clearing file: presentments and their reversals.

A batch of records is one transaction. What is settled is known by file and line,
so an import that was stopped anywhere goes on where it was, and a second one does
nothing. docs/clearing.md has the rules; clear_v1 carries them out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import asyncpg

from switch.ledger.clearing_record import (
    CardAccount,
    ClearingCall,
    ClearingProgram,
    ClearingRecord,
    clearing_call,
    read_programs,
    suspended_call,
)
from switch.ledger.lane import SESSION
from switch.ledger.operators import OperatorRefusal, refusing
from switch.ledger.queries import CLEARING, QUERIES

#: Records of one transaction: their accounts are locked as long as it takes.
BATCH = 50
#: How long accounts that decisions work on are waited for, and between two attempts, in seconds.
PATIENCE, PAUSE = 30.0, 0.02
#: Outcomes that somebody should look at.
EXCEPTIONS = (
    "unmatched", "suspense", "declined", "after_reversal", "adjusted", "again", "duplicate",
    "conflict", "remembered", "nothing", "other_currency",
)  # fmt: skip
#: How the planner is told to go by keys, as the lanes of the ledger tell it.
_PLANNING = {name: value for name, value in SESSION.items() if name != "application_name"}


class ClearingFile(NamedTuple):
    """A file of records, all of them read."""

    file_id: bytes  #: SHA-256 of its bytes
    name: str
    records: Sequence[ClearingRecord]


async def import_clearing(
    connection: asyncpg.Connection, file: ClearingFile, *,
    operator: str, progress: Callable[[int], None], batch: int = BATCH,
) -> int:  # fmt: skip
    """Book what is not yet booked of a file; gives how many records that were.

    Raises `OperatorRefusal`; what was booked until then stays, and is not booked again.
    """
    with refusing():
        if not await connection.fetchval(CLEARING["take_turn"]):
            raise OperatorRefusal("another process imports a clearing file: wait for its end")
        for setting, value in _PLANNING.items():
            await connection.execute(CLEARING["plan"], setting, value)
        programs = read_programs(await connection.fetch(QUERIES["programs"]))
        about = (file.name, len(file.records), operator)
        await connection.execute(CLEARING["begin_file"], file.file_id, *about)
        done = {row[0] for row in await connection.fetch(CLEARING["lines_done"], file.file_id)}
        left = [record for record in file.records if record.line not in done]
        desk = _Importer(connection, file.file_id, programs, len(done), progress)
        for first in range(0, len(left), batch):
            await desk.book(left[first : first + batch])
        await connection.execute(CLEARING["finish_file"], file.file_id)
    return len(left)


class _Importer:
    """Books batches of one file, each until all of it is settled."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        file_id: bytes,
        programs: Mapping[int, ClearingProgram],
        settled: int,
        progress: Callable[[int], None],
    ) -> None:
        self._connection, self._file_id, self._programs = connection, file_id, programs
        self._settled, self._progress = settled, progress

    async def book(self, records: Sequence[ClearingRecord]) -> None:
        """Book a batch; an account that is locked is asked for again, what cannot be booked there
        goes to the suspense account.
        """
        cards = await self._find_cards(records)
        tokens = await self._key_tokens(records, cards)
        waiting = [
            (
                record,
                clearing_call(record, _card(record, cards), tokens[record.line], self._programs),
            )
            for record in records
        ]
        give_up = time.monotonic() + PATIENCE
        while waiting:
            asked, waiting = waiting, []
            outcomes = await self._clear([call for _, call in asked])
            for (record, call), outcome in zip(asked, outcomes, strict=True):
                card = _card(record, cards)
                if outcome == "locked":
                    waiting.append((record, call))
                elif outcome == "unbookable" and card is not None:
                    program = self._programs[card.program_id]
                    again = suspended_call(record, card, tokens[record.line], program)
                    waiting.append((record, again))
                else:
                    self._settled += 1
            self._progress(self._settled)
            if waiting and time.monotonic() > give_up:
                raise OperatorRefusal(
                    f"line {waiting[0][0].line}: its account has been in use for {PATIENCE:.0f} s: "
                    "run it again, it goes on where it was"
                )
            if len(waiting) == len(asked):
                await asyncio.sleep(PAUSE)

    async def _find_cards(self, records: Sequence[ClearingRecord]) -> dict[bytes, CardAccount]:
        tokens = {token for record in records for token in record.pan_tokens}
        rows = await self._connection.fetch(QUERIES["find_cards"], list(tokens))
        return {
            row["pan_token"]: CardAccount(*(row[name] for name in CardAccount._fields))
            for row in rows
        }

    async def _key_tokens(
        self, records: Sequence[ClearingRecord], cards: Mapping[bytes, CardAccount]
    ) -> dict[int, bytes]:
        """What the keys of each record are made with, by its line: that by which it is known, or
        what belongs to it. Its card may be ours only since it was here first.
        """
        choices = [(record, record.key_tokens(_card(record, cards))) for record in records]
        asked = {
            key for record, tokens in choices for token in tokens for key in _keys(record, token)
        }
        rows = await self._connection.fetch(CLEARING["known_keys"], list(asked))
        known = {row[0] for row in rows}
        return {
            record.line: next((one for one in tokens if known & _keys(record, one)), tokens[0])
            for record, tokens in choices
        }

    async def _clear(self, calls: Sequence[ClearingCall]) -> list[str]:
        columns = list(zip(*calls, strict=True))
        rows = await self._connection.fetch(CLEARING["clear"], self._file_id, *columns)
        return [row["outcome"] for row in rows]


def _keys(record: ClearingRecord, token: bytes) -> set[bytes]:
    """The keys by which a record, or its presentment, is known."""
    keys = (record.message_key(token), record.original_key(token))
    return {key for key in keys if key is not None}


def _card(record: ClearingRecord, cards: Mapping[bytes, CardAccount]) -> CardAccount | None:
    return next((cards[token] for token in record.pan_tokens if token in cards), None)
