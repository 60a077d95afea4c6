"""
Zone keys that change while the switch runs.

A link has the key of its key file until another takes its place: an operator's, or one that was
exchanged with the scheme. All processes read the ledger's list every second, and at once where a
PIN block is unreadable under every key that they know. Decisions go by a tuple in memory, which is
replaced as a whole: they wait for no lock and no database.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from keys.hsm import HsmRejected, HsmUnavailable, KeyRef
from keys.zone_keys import ZoneKeyHsm
from switch.flows.issuer import PinZone, ZoneKey
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.zone_keys import ZoneKeyRow, ZoneKeys

#: How often the ledger is asked, in seconds.
POLL_SECONDS = 1.0
#: Readings out of turn are at least this far apart, in seconds: whoever sends unreadable PIN blocks
#: must not make the database busy.
PAUSE_SECONDS = 0.05
#: How long a key that ended stays in the HSM, in seconds: somebody may be asking with it.
LINGER_SECONDS = 30.0

OnEvent = Callable[..., None]


class ZoneKeyring:
    """The zone keys of some links, kept as the ledger has them."""

    def __init__(
        self,
        rows: ZoneKeys,
        hsm: ZoneKeyHsm | None,
        zones: Mapping[str, PinZone],
        *,
        on_event: OnEvent,
        poll_seconds: float = POLL_SECONDS,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        """`zones` are by link, each with its key of the key file. Without an HSM that takes keys,
        those that the ledger has are told of and not used.
        """
        self._rows = rows
        self._hsm = hsm
        self._zones = zones
        self._files = {link: zone.key for link, zone in zones.items()}
        self._on_event = on_event
        self._poll_seconds = poll_seconds
        self._pause_seconds = pause_seconds
        self._known: dict[int, KeyRef] = {}  #: what the HSM has learned, by the row's number
        self._useless: set[int] = set()
        self._ended: dict[int, float] = {}
        self._looked_at = -pause_seconds
        self._one_at_a_time = asyncio.Lock()  # a list that was read earlier must not come later
        self._reading: asyncio.Task[None] | None = None
        self._poller: asyncio.Task[None] | None = None
        for zone in zones.values():
            zone.look_again = self._look_again

    async def start(self) -> None:
        """Read once, then again and again. Raises what reading raises."""
        await self._read()
        self._poller = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Stop reading."""
        tasks = [task for task in (self._poller, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self) -> None:
        """Read now, so that a key that this process has just stored is used at once."""
        with contextlib.suppress(LedgerUnavailable):
            await self._read()

    async def _look_again(self, zone: PinZone, seen: Sequence[ZoneKey], until: float) -> bool:
        """Whether a link has other keys than somebody tried, after another look where it is time.

        `until` is by the loop's clock.
        """
        if zone.keys is not seen:
            return True
        if self._reading is None or self._reading.done():
            if time.monotonic() - self._looked_at < self._pause_seconds:
                return False
            self._looked_at = time.monotonic()
            self._reading = asyncio.create_task(self._safely())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await asyncio.shield(self._reading)
        return zone.keys is not seen

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_seconds)
            await self._safely()

    async def _safely(self) -> None:
        try:
            await self._read()
        except (LedgerUnavailable, HsmUnavailable):
            pass  # the keys that are known stay; the next reading is the remedy
        except Exception as error:  # noqa: BLE001 - a bug here must not end the reading
            self._on_event("zone_keys_failed", error=error)

    async def _read(self) -> None:
        async with self._one_at_a_time:
            rows = await self._rows.of(list(self._zones))
            now = time.monotonic()
            for row in rows:
                await self._learn(row)
            for link, zone in self._zones.items():
                file = self._files[link]
                own = [row for row in rows if (row.link, row.name) == (link, file.name)]
                self._set(link, zone, tuple(self._keys(own, file, now)))
            self._forget({row.zone_key_id for row in rows}, now)

    def _keys(self, rows: list[ZoneKeyRow], file: KeyRef, now: float) -> Iterable[ZoneKey]:
        """The keys to try, in this order: the newest, those before it, what is only offered. A key
        that the key file has and the ledger does not know comes last: somebody put it there.
        """
        is_known = not rows
        if not rows:
            yield ZoneKey(file)
        for row in rows:
            is_known |= _same(row.kcv, file.kcv)
            if row.seconds_left is not None and row.seconds_left <= 0:
                continue
            ref = file if _is_of_file(row, file) else self._known.get(row.zone_key_id)
            if ref is not None:
                ends = None if row.seconds_left is None else now + row.seconds_left
                yield ZoneKey(ref, ends, row.since)
        if not is_known:
            yield ZoneKey(file)

    def _set(self, link: str, zone: PinZone, keys: tuple[ZoneKey, ...]) -> None:
        """Replace a link's keys where they are others; when each ends is compared to the second."""
        if not keys or [k.about for k in keys] == [k.about for k in zone.keys]:
            return
        before, zone.keys = zone.key, keys
        if zone.key != before:
            self._on_event("zone_key_changed", link=link, name=zone.key.name, kcv=zone.key.kcv)

    async def _learn(self, row: ZoneKeyRow) -> None:
        number = row.zone_key_id
        if row.source == "file" or number in self._known or number in self._useless:
            return
        ref = KeyRef(f"{row.name}#{number}", row.kcv)
        try:
            if self._hsm is None or self._hsm.name != row.backend:
                raise HsmRejected(f"it is of the {row.backend} backend")  # noqa: TRY301
            await self._hsm.learn_zone_key(ref, row.stored)
        except HsmRejected as error:
            self._useless.add(number)
            self._on_event(
                "zone_key_unusable", link=row.link, name=ref.name, kcv=row.kcv, problem=str(error)
            )
        else:
            self._known[number] = ref

    def _forget(self, live: set[int], now: float) -> None:
        for number in self._known.keys() - live:
            self._ended.setdefault(number, now)
        for number, since in tuple(self._ended.items()):
            if number not in live and now - since > LINGER_SECONDS and self._hsm is not None:
                del self._ended[number]
                self._hsm.forget_zone_key(self._known.pop(number))


def _is_of_file(row: ZoneKeyRow, file: KeyRef) -> bool:
    return row.source == "file" and _same(row.kcv, file.kcv)


def _same(one: str, other: str) -> bool:
    """Check values are six digits here, and may be ten in a key file."""
    return one[:6] == other[:6]
