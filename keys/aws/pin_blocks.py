"""
Whether a block that was refused is a PIN block at all.

VerifyPinData has one answer for a wrong PIN and, as far as is known, for a block that deciphers to
nothing. The second must cost nobody a try: a stale zone key would lock every card. So every block
is also asked for in its own zone, in another format, for which it has to be read.

Both are asked side by side, of right PINs and wrong ones alike, and there is no verdict without
both answers. Asked one after the other, and only where a PIN was refused, a service that takes
longer than half the time there is would answer right PINs and be an outage for wrong ones: guesses
that count no try.

That TranslatePinData refuses what is no PIN block is not documented, so it is not believed but
learned: a service that refuses the block of a right PIN cannot tell, and from then on it is not
asked, and a wrong PIN counts whatever it would say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from keys.aws.calls import ParameterRefused
from keys.aws.pins import pin_block_reading
from keys.aws.question import HeldKey, Question
from keys.hsm import PinBlockFormat


class PinBlockReader:
    """What the service was found to say of PIN blocks, by zone key and format."""

    def __init__(self, ask: Callable[[Question], Awaitable[Any]]) -> None:
        self._ask = ask
        self._cannot_tell: set[tuple[str, PinBlockFormat]] = set()

    async def can_be_read(
        self, zone: HeldKey, pin_block: bytes, pin_block_format: PinBlockFormat, pan: str
    ) -> bool:
        """
        Whether a block is a PIN block; True where it cannot be told.

        Raises `HsmUnavailable` where no answer came: then nothing is known of the PIN.
        """
        if (zone.arn, pin_block_format) in self._cannot_tell:
            return True
        question = pin_block_reading(
            zone, pin_block=pin_block, pin_block_format=pin_block_format, pan=pan
        )
        try:
            await self._ask(question)
        except ParameterRefused:
            return False
        return True

    def was_right(
        self, zone: HeldKey, pin_block_format: PinBlockFormat, *, could_be_read: bool
    ) -> None:
        """Learn from a block whose PIN was right: one that could not be read tells nothing."""
        if not could_be_read:
            self._cannot_tell.add((zone.arn, pin_block_format))
