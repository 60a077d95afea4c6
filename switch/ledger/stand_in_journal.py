"""
What was approved without the ledger, on disk until the ledger has it.

A line is the CRC-32 of its text, a space, and the text: JSON of one approval, or the number of one
that is struck, for it is posted or void. Only a whole line counts: a kill at any byte loses at most
what nobody was told of.
"""

from __future__ import annotations

import shutil
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from switch.ledger.calls import BookingCall
from switch.ledger.journal_file import JournalFile, Line
from switch.ledger.unwind import JournalError

_BYTES = ("message_key", "rrn_clue", "scheme_clue")
_LISTS_OF_BYTES = ("original_traces", "own_traces", "leave_clues")
_CRC_DIGITS = 8


@dataclass(frozen=True, slots=True)
class StandIn:
    """An approval of our own: what is booked of it, and what a repeat is told."""

    booking: BookingCall  #: an advice under the request's own message key
    beside_key: bytes  #: under which it is booked where that key is another decision's
    program_id: int
    currency: str  #: the account's
    decided_at: float  #: seconds since 1970, by this machine's clock
    issuer_authentication: str | None  #: tag 91, hex
    findings: str
    sequence_number: str | None  #: with the next: of a right cryptogram, the chip and its counter
    atc: int | None


class StandInJournal:
    """The file of a process, and what an earlier one left in it."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises `JournalError`, also where a later version wrote into it."""
        self._file = JournalFile(path, "stand-in journal")
        #: What is not struck, the oldest first, by number.
        self.left: dict[int, StandIn] = {}
        #: Lines that are neither empty nor whole: a kill leaves one at most, a bad disk any number.
        self.unreadable = 0
        self._numbers = 0
        try:
            for text in self._file.lines():
                self._read(text, path)
        except JournalError:
            self._file.close()
            raise
        if self.unreadable:  # a bad disk has eaten approvals: what is left of them is evidence
            shutil.copy(path, path.with_name(f"{path.name}.unreadable"))
        if not self.left:
            self._file.empty()

    def note(self, what: StandIn) -> tuple[int, Line]:
        """Send an approval to the disk: its number, and the line to wait for."""
        self._numbers += 1
        return self._numbers, self._file.add(_line({"stood_in": _told(self._numbers, what)}))

    def withdraw(self, line: Line) -> bool:
        """Take one back that the disk has not been given yet; false where it has."""
        return self._file.withdraw(line)

    def strike(self, number: int) -> Line:
        """It is posted, or void: from when the line is on disk on it is never read again.

        For one that is posted nobody need wait: to post it again changes nothing.
        """
        return self._file.add(_line({"struck": number}))

    def strike_last(self, number: int) -> None:
        """It is posted, and was the last: the file need not grow on."""
        self.strike(number)
        self._file.empty()

    async def close(self) -> None:
        """Let the file go once all is written."""
        await self._file.settled()
        self._file.close()

    def _read(self, text: bytes, path: Path) -> None:
        if not text:
            return
        told = _checked(text)
        if told is None:
            self.unreadable += 1
            return
        try:
            ((what, value),) = told.items()
            if what == "struck":
                self.left.pop(value, None)
                return
            self.left[value["number"]] = _stand_in(value)
            self._numbers = max(self._numbers, value["number"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise JournalError(
                f"stand-in journal {path} is of another version: run that until all is posted"
            ) from None


def _line(told: dict[str, Any]) -> bytes:
    text = orjson.dumps(told, default=bytes.hex)
    return b"%08x %b" % (zlib.crc32(text), text)


def _checked(line: bytes) -> dict[str, Any] | None:
    """What a line tells; none where it is not whole."""
    crc, space, text = line[:_CRC_DIGITS], line[_CRC_DIGITS : _CRC_DIGITS + 1], line[9:]
    if space != b" " or crc != b"%08x" % zlib.crc32(text):
        return None
    told: dict[str, Any] = orjson.loads(text)
    return told


def _told(number: int, what: StandIn) -> dict[str, Any]:
    own = {name: getattr(what, name) for name in StandIn.__slots__}
    return own | {"number": number, "booking": what.booking._asdict()}


def _stand_in(told: dict[str, Any]) -> StandIn:
    booking = told["booking"]
    for name in _BYTES:
        booking[name] = None if booking[name] is None else bytes.fromhex(booking[name])
    for name in _LISTS_OF_BYTES:
        booking[name] = [bytes.fromhex(one) for one in booking[name]]
    own = {name: told[name] for name in StandIn.__slots__}
    return StandIn(
        **own
        | {
            "booking": BookingCall(**booking),
            "beside_key": bytes.fromhex(told["beside_key"]),
        }
    )
