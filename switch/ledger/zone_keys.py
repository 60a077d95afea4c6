"""Zone keys that came after those of the key file, as the ledger keeps them: enciphered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from keys.zone_keys import StoredZoneKey
from switch.ledger.file_updates import Chores

#: What became of a key that is to take the present one's place.
Taken = Literal["taken", "unchanged", "repeated", "used_before"]


@dataclass(frozen=True, slots=True)
class ZoneKeyRow:
    """One key of a link."""

    zone_key_id: int
    link: str
    name: str  #: of the key of the key file that it stands for
    backend: str
    stored: str = field(repr=False)  #: as the backend keeps it; empty for the key file's own
    kcv: str
    source: str  #: file, operator, scheme, switch
    is_agreed: bool  #: false: offered to the scheme, which has not answered
    seconds_left: float | None  #: none: until another takes its place
    since: float | None = None  #: seconds since 1970; none: not agreed on, or of the key file


@dataclass(frozen=True, slots=True)
class Place:
    """Which of a link's keys is meant, and what takes part in replacing it."""

    link: str
    name: str  #: of the key file
    usage: str
    backend: str
    file_kcv: str  #: of the key of the key file, six digits
    overlap_s: int  #: how long the key before stays good


@dataclass(frozen=True, slots=True)
class KeyOffer:
    """One attempt to send a scheme a new key."""

    exchange_id: int
    attempts: int  #: with this one
    is_repeat: bool
    stan: str  #: DE11, the same in a repeat
    transmission_datetime: str  #: DE7, the same in a repeat
    key_data: str | None = field(repr=False)  #: what the message carries; none: still to be made
    kcv: str | None = None


class ZoneKeys:
    """The rows of all links, over the ledger's housekeeping connection.

    Every method raises `LedgerUnavailable` where the database does not answer.
    """

    def __init__(self, chore: Chores) -> None:
        self._chore = chore

    async def of(self, links: Sequence[str]) -> list[ZoneKeyRow]:
        """The keys of some links, the newest first."""
        return [ZoneKeyRow(**row) for row in await self._chore("zone_keys", list(links))]

    async def take(
        self, place: Place, key: StoredZoneKey, *, source: str,
        message: tuple[str, str] | None = None,
    ) -> Taken:  # fmt: skip
        """Put a key in the present one's place. `message` is DE11 and DE7 of what brought it."""
        stan, transmission_datetime = message or (None, None)
        rows = await self._chore(
            "take_zone_key", place.link, place.name, place.usage, place.backend, key.stored,
            key.kcv, source, stan, transmission_datetime, place.file_kcv, place.overlap_s,
        )  # fmt: skip
        taken: Taken = rows[0][0]
        return taken

    async def ask_exchange(self, link: str, asked_by: str) -> bool:
        """Have a scheme sent a new key; false where one is on its way."""
        asked: bool = (await self._chore("ask_key_exchange", link, asked_by))[0][0]
        return asked

    async def claim(self, link: str, pauses: Sequence[float]) -> KeyOffer | None:
        """What is to be sent over a link now. Nobody else has it for the seconds in `pauses`."""
        rows = await self._chore("claim_key_exchange", link, list(pauses))
        return KeyOffer(**rows[0]) if rows else None

    async def offer(self, offer: KeyOffer, place: Place, key: StoredZoneKey, key_data: str) -> bool:
        """Keep the key that was made for an exchange; false where there is one already."""
        rows = await self._chore(
            "offer_zone_key", offer.exchange_id, place.name, place.usage, place.backend,
            key.stored, key.kcv, key_data, place.file_kcv,
        )  # fmt: skip
        kept: bool = rows[0][0]
        return kept

    async def settle(self, offer: KeyOffer, place: Place, state: str, response_code: str) -> bool:
        """Keep an answer: "accepted" or "refused". False where there was one."""
        rows = await self._chore(
            "settle_key_exchange", offer.exchange_id, state, response_code, place.overlap_s
        )
        settled: bool = rows[0][0]
        return settled
