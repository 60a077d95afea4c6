"""What networks are to be told of cards (0302), as the ledger keeps it until they answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """One attempt to tell one network of one card."""

    account_id: int
    update_id: int
    card_id: int
    action: str  #: "add" the card to the network's file, or "delete" it there
    status: str  #: the card's, that the network is told
    attempts: int  #: with this one
    is_repeat: bool  #: it was sent before, and not answered
    stan: str  #: DE11, the same in a repeat
    transmission_datetime: str  #: DE7, the same in a repeat
    pan_token: bytes = field(repr=False)
    pan_ciphertext: bytes = field(repr=False)


class Chores(Protocol):
    """Runs one statement by its name; raises `LedgerUnavailable` where it cannot."""

    async def __call__(self, name: str, *parameters: Any) -> list[Any]: ...


class FileUpdates:
    """The rows that wait for a network, over the ledger's housekeeping connection."""

    def __init__(self, chore: Chores) -> None:
        self._chore = chore

    async def claim(self, link: str, most: int, pauses: Sequence[float]) -> list[FileUpdate]:
        """Take what is due for a link. Nobody else has it for the seconds in `pauses`, which
        are by the number of the attempt.
        """
        rows = await self._chore("claim_file_updates", link, most, list(pauses))
        return [FileUpdate(**row) for row in rows]

    async def settle(self, update: FileUpdate, state: str, response_code: str) -> bool:
        """Keep an answer: "accepted", "refused", or "waiting" to be told anew. False where the
        message that it answers is settled already.
        """
        rows = await self._chore(
            "settle_file_update", update.account_id, update.update_id, update.stan,
            update.transmission_datetime, state, response_code,
        )  # fmt: skip
        settled: bool = rows[0][0]
        return settled

    async def unanswered(self) -> int:
        """How much networks are still to be told or to answer."""
        count: int = (await self._chore("unanswered_file_updates"))[0][0]
        return count
