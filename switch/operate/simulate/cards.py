"""What a story needs of a card, and who hands them out."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Protocol

#: How often another card is tried where one is in use.
_TRIES = 32


class Card(Protocol):
    """A card with what it and its holder know."""

    @property
    def pan(self) -> str:
        """Its number."""
        ...

    @property
    def expiry(self) -> str:
        """YYMM."""
        ...

    @property
    def sequence_number(self) -> str:
        """Two digits."""
        ...

    def track_2(self, *, is_chip: bool) -> str:
        """The stripe's data, or what the chip tells of them."""
        ...

    def cvv2(self) -> str:
        """The code that is printed on it."""
        ...

    def pin_block(self, *, is_right: bool) -> str:
        """DE52, hex: the holder's PIN, or a wrong one."""
        ...

    def chip_data(self, tags: Mapping[str, str]) -> str:
        """DE55, hex: the tags, with the chip's own counter and cryptogram."""
        ...


class Wallet(Protocol):
    """Makes cards by number."""

    def card(self, number: int) -> Card:
        """One that the switch knows, from 0."""
        ...

    def unknown(self, number: int) -> Card:
        """One that was never issued."""
        ...

    def stopped(self) -> Sequence[tuple[Card, str]]:
        """Those that must not pay, each with the reason of its decline."""
        ...


class Dealer:
    """Hands out cards, each to one story at a time while there are enough of them.

    So a wrong PIN of one story never uses up the tries of another.
    """

    def __init__(self, wallet: Wallet, count: int) -> None:
        """There are so many cards, numbered from 0."""
        self._wallet, self._count = wallet, count
        self._in_use: set[int] = set()
        self._retired: set[int] = set()
        self._stopped = wallet.stopped()

    def deal(self, chance: random.Random) -> tuple[int, Card]:
        """A card that no story has; any, where all that were tried are in use."""
        for _ in range(_TRIES):
            number = chance.randrange(self._count)
            if number not in self._in_use and number not in self._retired:
                break
        self._in_use.add(number)
        return number, self._wallet.card(number)

    def unknown(self, chance: random.Random) -> Card:
        """A card that nobody has issued."""
        return self._wallet.unknown(chance.randrange(1 << 20))

    def stopped(self, chance: random.Random) -> tuple[Card, str]:
        """A card that must not pay, and the reason of its decline."""
        return chance.choice(self._stopped)

    def give_back(self, number: int) -> None:
        """A story is over."""
        self._in_use.discard(number)

    def retire(self, number: int) -> None:
        """Nobody knows what state a card is in: it is dealt no more."""
        self._retired.add(number)
