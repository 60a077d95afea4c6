"""
Whether a block that was refused is a PIN block at all.

VerifyPinData has one answer for a wrong PIN and, as far as is known, for a block that deciphers to
nothing. The second must cost nobody a try: a stale zone key would lock every card. So a refused
block is asked for anew in its own zone, in another format, for which it has to be read.

That TranslatePinData refuses what is no PIN block is not documented, so it is not believed but
learned: the first right PIN of a zone is asked for anew too, behind its answer. A service that
refused that one cannot tell, and a wrong PIN counts from then on whatever it says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from keys.aws.calls import ParameterRefused
from keys.aws.pins import pin_block_reading
from keys.aws.question import HeldKey, Question
from keys.hsm import HsmRejected, HsmUnavailable, PinBlockFormat


class PinBlockReader:
    """What the service was found to say of PIN blocks, by zone key and format."""

    def __init__(self, ask: Callable[[Question], Awaitable[Any]]) -> None:
        self._ask = ask
        self._can_tell: dict[tuple[str, PinBlockFormat], bool] = {}
        self._learning: dict[tuple[str, PinBlockFormat], asyncio.Task[None]] = {}

    async def is_none(
        self, zone: HeldKey, pin_block: bytes, pin_block_format: PinBlockFormat, pan: str
    ) -> bool:
        """
        Whether a refused block is none, so that no PIN was wrong; False where it cannot be told.

        Raises `HsmUnavailable` where no answer came: then nothing is known of the PIN.
        """
        place = (zone.arn, pin_block_format)
        if self._can_tell.get(place) is False:
            return False
        question = pin_block_reading(
            zone, pin_block=pin_block, pin_block_format=pin_block_format, pan=pan
        )
        try:
            await self._ask(question)
        except ParameterRefused:
            return True
        self._can_tell[place] = True
        return False

    def learn(
        self, zone: HeldKey, pin_block: bytes, pin_block_format: PinBlockFormat, pan: str
    ) -> None:
        """Learn from a block whose PIN was right what the service says of one, and wait not."""
        place = (zone.arn, pin_block_format)
        if place in self._can_tell or place in self._learning:
            return
        question = pin_block_reading(
            zone, pin_block=pin_block, pin_block_format=pin_block_format, pan=pan
        )
        task = asyncio.create_task(self._learn(place, question))
        self._learning[place] = task
        task.add_done_callback(lambda _: self._learning.pop(place, None))

    async def close(self) -> None:
        """Stop learning."""
        tasks = list(self._learning.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _learn(self, place: tuple[str, PinBlockFormat], question: Question) -> None:
        try:
            await self._ask(question)
        except ParameterRefused:
            self._can_tell[place] = False
        except (HsmUnavailable, HsmRejected):
            return  # nothing learned: the next right PIN tries again
        else:
            self._can_tell[place] = True
