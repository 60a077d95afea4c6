"""
Cards that were found lately, so that most messages need not look for theirs.

What is kept may be old. That is no danger: each card has a version, which changes with any of
these facts, and a decision compares it with the card's under the account's lock.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from sys import intern
from typing import Any

from switch.rules.card import Card, Plastic

#: Sets of plastics that cards have in common: an expiry month, a service code, a sequence number.
PLASTICS_SHARED = 4_096


class KeptCards:
    """So many cards by the newest token of their PAN; those that were not asked for longest go."""

    def __init__(self, most: int) -> None:
        """`most` cards, some half a KB each; none are kept with 0."""
        self._most = most
        self._cards: OrderedDict[bytes, Card] = OrderedDict()
        self._forgotten: list[OrderedDict[bytes, Card]] = []

    def __len__(self) -> int:
        """How many there are."""
        return len(self._cards)

    @property
    def has_room(self) -> bool:
        """Whether one more can be kept without letting another go."""
        return len(self._cards) < self._most

    def get(self, token: bytes) -> Card | None:
        """The card as it was kept; none where it is not."""
        card = self._cards.get(token)
        if card is not None:
            self._cards.move_to_end(token)
        return card

    def forget(self) -> None:
        """Keep none of them any more. Their memory goes bit by bit, with `let_go`: a million cards
        at once would hold up the event loop for a tenth of a second.
        """
        self._forgotten.append(self._cards)
        self._cards = OrderedDict()

    def let_go(self, most: int) -> bool:
        """Free so many of those that were forgotten; false where there are no more."""
        while self._forgotten and not self._forgotten[-1]:
            self._forgotten.pop()
        if not self._forgotten:
            return False
        cards = self._forgotten[-1]
        for _ in range(min(most, len(cards))):
            cards.popitem()
        return True

    def keep(self, tokens: Sequence[bytes], card: Card | None) -> None:
        """Keep what was found now, under the first of the tokens of its PAN; none: there is no
        such card any more.
        """
        for token in tokens:
            self._cards.pop(token, None)
        if card is None or not self._most:
            return
        if not self.has_room:
            self._cards.popitem(last=False)
        self._cards[tokens[0]] = card


def card_of(row: Iterable[Any]) -> Card:
    """A row of find_cards_v4: the token, the card's own facts, its plastics in three columns."""
    (
        token, account_id, card_id, program_id, status, account_status, currency, pin_method,
        pin_reference, version, key_token, numbers, expiries, service_codes,
    ) = row  # fmt: skip
    # What many cards share is one object each: a card takes half the memory.
    return Card(
        account_id,
        card_id,
        program_id,
        intern(status),
        intern(account_status),
        intern(currency),
        pin_method and intern(pin_method),
        pin_reference,
        version,
        token if key_token == token else key_token,
        _plastics(tuple(numbers), tuple(expiries), tuple(service_codes)),
    )


@lru_cache(maxsize=PLASTICS_SHARED)
def _plastics(
    numbers: tuple[str, ...], expiries: tuple[str, ...], service_codes: tuple[str, ...]
) -> tuple[Plastic, ...]:
    """A card's plastics, from a column each."""
    return tuple(
        Plastic(intern(number), intern(expiry), intern(code))
        for number, expiry, code in zip(numbers, expiries, service_codes, strict=True)
    )
