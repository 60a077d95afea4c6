"""
What can be wrong with bytes, split by what it costs: a message, or the link.

Neither exception carries a byte of what came: they name the place and the problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from switch.wire.message import Message


class MessageError(Exception):
    """
    A message that cannot be read, or that lacks what it must bring.

    `problem` is a word ("missing", "format", "length", "trailing", "bitmap", …),
    `field` the name of the data element, `offset` where its bytes begin in the
    message, and `readable` what could be read all the same, for the answer. The
    last stands in no text of the exception.
    """

    def __init__(
        self,
        problem: str,
        field: str,
        offset: int | None = None,
        readable: Message | None = None,
    ) -> None:
        super().__init__(f"{problem}: {field}")
        self.problem = problem
        self.field = field
        self.offset = offset
        self.readable = readable


class FrameError(Exception):
    """
    A link whose framing lies: nothing after it can be trusted, so the link closes.

    `problem` is a word ("length_over_maximum", "length_under_header",
    "length_not_digits"), `offset` where the lying header begins, in bytes since
    the link opened.
    """

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(f"{problem} at byte {offset}")
        self.problem = problem
        self.offset = offset
