"""
The frame that every host command of a payShield travels in. No I/O.

    length u16 ‖ header mA ‖ command 2A ‖ fields [‖ '%' ‖ LMK identifier 2N]
    length u16 ‖ header mA ‖ reply code 2A ‖ error 2A ‖ fields

The length counts all that follows it. The HSM echoes the header; the reply code is the command's
with its second character raised by one. Source: frames of ut-codec-payshield (Apache-2.0) and of
mszeu/PayShieldPressureTest, seen from real devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from keys.hsm import HsmRejected, HsmUnavailable
from keys.payshield.errors import Outcome, outcome_of

T = TypeVar("T")

LENGTH_SIZE = 2
_LENGTH_MAX = 0xFFFF

#: Characters of a header that count requests, so that no answer passes for another's.
_COUNTED = 4
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ReplyError(Exception):
    """What came is no answer to what was asked: its text names the part, never what is in it."""


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """A host command: its two characters, its fields, and how its reply is read.

    `read` gets the outcome, which is DONE, MISMATCH or UNREADABLE, and the fields after the error
    code; it raises `ReplyError` where they are not as this command's reply has them.
    """

    code: str
    fields: bytes = field(repr=False)
    read: Callable[[Outcome, bytes], T] = field(repr=False)

    @property
    def reply_code(self) -> str:
        """The code of the reply: NC is answered ND, M6 M7."""
        return self.code[0] + chr(ord(self.code[1]) + 1)


def headers(template: str) -> Iterator[str]:
    """Give a header of the template's length to each request: its last four characters count."""
    width = min(len(template), _COUNTED)
    kept = template[: len(template) - width]
    limit = len(_DIGITS) ** width
    for number in count():
        yield kept + _base36(number % limit, width)


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def frame(header: str, command: Command[T], lmk_id: str | None = None) -> bytes:
    """Frame a command; raise `HsmRejected` where it is longer than a frame can be."""
    lmk = f"%{lmk_id}" if lmk_id else ""
    body = header.encode() + command.code.encode() + command.fields + lmk.encode()
    if len(body) > _LENGTH_MAX:
        raise HsmRejected(f"payShield {command.code}: the data is longer than a frame can be")
    return len(body).to_bytes(LENGTH_SIZE, "big") + body


def body_of(received: bytes | bytearray) -> bytes | None:
    """
    Take the one frame out of all that was received since a question; None where it is not whole.

    Raises `ReplyError` where more came than one frame, for nothing more was asked.
    """
    if len(received) < LENGTH_SIZE:
        return None
    end = LENGTH_SIZE + int.from_bytes(received[:LENGTH_SIZE], "big")
    if len(received) > end:
        raise ReplyError("more than one frame came")
    return bytes(received[LENGTH_SIZE:]) if len(received) == end else None


def answer(command: Command[T], header: str, body: bytes) -> T:
    """
    Read the reply to a command.

    Raises `ReplyError` where it is no reply to this one, `HsmRejected` and `HsmUnavailable` where
    the HSM says that it did not do it.
    """
    code_at = len(header)
    error_at, fields_at = code_at + 2, code_at + 4
    if len(body) < fields_at:
        raise ReplyError("shorter than a reply can be")
    if body[:code_at] != header.encode():
        raise ReplyError("the header of another request")
    if body[code_at:error_at] != command.reply_code.encode():
        raise ReplyError("the reply code of another command")
    error = body[error_at:fields_at].decode("latin-1")
    outcome, text = outcome_of(command.code, error)
    # An unknown code may be anything: it is not repeated.
    match outcome:
        case Outcome.REJECTED:
            raise HsmRejected(f"payShield {command.code}: error {error}: {text}")
        case Outcome.UNAVAILABLE:
            shown = f"error {error}: " if error.isascii() and error.isalnum() else ""
            raise HsmUnavailable(f"payShield {command.code}: {shown}{text}")
    return command.read(outcome, body[fields_at:])
