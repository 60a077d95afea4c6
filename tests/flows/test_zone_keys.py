"""Zone keys that change under a running switch: which is tried, and how a process learns of one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from keys.hsm import Hsm, HsmUnavailable, KeyRef, PinBlockFormat, Verdict
from keys.keyfile import Kbpk, Key
from keys.software import issuing
from keys.software import zone_keys as zones
from keys.software.backend import SoftwareHsm
from keys.software.key import TDES
from keys.vault import Vault
from keys.zone_keys import StoredZoneKey
from switch.flows.issuer import Issuer, PinZone, ZoneKey
from switch.flows.verify import verify
from switch.flows.zone_keys import ZoneKeyring
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.ledger import Ledger
from switch.ledger.zone_keys import Place, ZoneKeyRow, ZoneKeys
from tests.flows.support import DataKeys, Events, ScriptedHsm, noting
from tests.ledger.support import ledger_on
from tests.process import eventually
from tests.rules.support import PAN, case
from tests.traffic import KEYS

pytest_plugins = ["tests.ledger.fixtures"]

KBPK = Kbpk(bytes(range(32)))
MATCH, MISMATCH, UNREADABLE = Verdict
PIN_FIELDS = {52: "00" * 8, 55: None, 22: "021"}


def key_of(clear: str) -> Key:
    """A zone PIN key."""
    return Key(bytes.fromhex(clear), usage="P0", algorithm=TDES, mode_of_use="B")


FILE, NEXT, THIRD = (
    key_of("5B37C8D9E0A4F2168C73DA29B5E60E4A"),
    key_of("1F2E3D4C5B6A798897A8B9CADBECFD0E"),
    key_of("0123456789ABCDEFFEDCBA9876543210"),
)
PVK = KEYS["pvk"]
FILE_REF = KeyRef("zpk", FILE.kcv)


def place(link: str = "demo", overlap_s: int = 600) -> Place:
    """The zone PIN key of a link."""
    return Place(link, "zpk", "P0", "software", FILE.kcv, overlap_s)


class KeyedHsm(ScriptedHsm):
    """Says of a PIN block what the script has for each key, and notes which keys were tried."""

    def __init__(self, says: dict[str, Verdict | Exception]) -> None:
        super().__init__()
        self.says = says
        self.tried: list[str] = []

    async def verify_pin(self, _: object, **about: object) -> Verdict:
        name = cast(KeyRef, about["zone_key"]).name
        self.tried.append(name)
        said = self.says[name]
        if isinstance(said, Exception):
            raise said
        return said


def issuer_of(hsm: object, zone: PinZone) -> Issuer:
    """An issuer of one link, as far as verifying needs it."""
    return Issuer(
        ledger=cast(Ledger, None),
        hsm=cast(Hsm, hsm),
        vault=Vault(DataKeys()),
        programs={},
        pin_zones={"demo": zone},
        hsm_budget=1.0,
    )


def zone_of(*keys: ZoneKey) -> PinZone:
    """A zone with these keys."""
    zone = PinZone(FILE_REF, PinBlockFormat.ISO_0)
    if keys:
        zone.keys = keys
    return zone


#: what the HSM says under the newest, the one before, and one that ended; the verdict; the tried
TABLE = [
    (MATCH, MATCH, MATCH, ["new"]),
    (UNREADABLE, MATCH, MATCH, ["new", "old"]),
    (UNREADABLE, MISMATCH, MISMATCH, ["new", "old"]),
    (UNREADABLE, UNREADABLE, UNREADABLE, ["new", "old"]),
    # an HSM that does not tell a block that is none from a wrong PIN
    (MISMATCH, MATCH, MATCH, ["new", "old"]),
    (MISMATCH, UNREADABLE, MISMATCH, ["new", "old"]),
    (MISMATCH, MISMATCH, MISMATCH, ["new", "old"]),
]


@pytest.mark.parametrize("is_inline", [False, True])
@pytest.mark.parametrize(("under_new", "under_old", "verdict", "tried"), TABLE)
async def test_which_keys_are_tried(
    under_new: Verdict, under_old: Verdict, verdict: Verdict, tried: list[str], is_inline: bool
) -> None:
    """The newest key first, then the one before while it is good; never one that ended."""
    hsm = KeyedHsm({"new": under_new, "old": under_old})
    hsm.is_inline = is_inline  # type: ignore[misc]
    now = time.monotonic()
    zone = zone_of(
        ZoneKey(KeyRef("new", "")),
        ZoneKey(KeyRef("old", ""), now + 600),
        ZoneKey(KeyRef("ended", ""), now - 1),
    )
    verdicts = await verify(case(PIN_FIELDS), issuer_of(hsm, zone))
    assert (verdict, tried) == (verdicts.pin, hsm.tried)
    assert not verdicts.hsm_fault


async def test_an_outage_is_never_a_wrong_pin() -> None:
    """Where the HSM fails under the second key there is no verdict."""
    hsm = KeyedHsm({"new": MISMATCH, "old": HsmUnavailable()})
    zone = zone_of(ZoneKey(KeyRef("new", "")), ZoneKey(KeyRef("old", "")))
    verdicts = await verify(case(PIN_FIELDS), issuer_of(hsm, zone))
    assert (None, True) == (verdicts.pin, verdicts.hsm_fault)


async def test_a_key_that_comes_is_tried_at_once() -> None:
    """A block that is unreadable under all keys is tried under those that came, and those alone."""
    hsm = KeyedHsm({"zpk": UNREADABLE, "new": MATCH})
    zone, looks = zone_of(), 0

    async def look_again(_: PinZone, seen: Any, until: float) -> bool:
        nonlocal looks
        looks += 1
        assert (zone.keys, True) == (seen, until > time.monotonic())
        zone.keys = (ZoneKey(KeyRef("new", "")), *zone.keys)
        return True

    zone.look_again = look_again
    verdicts = await verify(case(PIN_FIELDS), issuer_of(hsm, zone))
    assert (MATCH, ["zpk", "new"], 1) == (verdicts.pin, hsm.tried, looks)
    hsm.says["new"] = MISMATCH
    await verify(case(PIN_FIELDS), issuer_of(hsm, zone))
    assert 1 == looks


class Rows(ZoneKeys):
    """Rows that the test says."""

    def __init__(self, *rows: ZoneKeyRow) -> None:
        self.rows = list(rows)
        self.reads = 0
        self.is_down = False

    async def of(self, links: Any) -> list[ZoneKeyRow]:
        self.reads += 1
        if self.is_down:
            raise LedgerUnavailable
        return list(self.rows)


def row(number: int, key: Key, **changes: Any) -> ZoneKeyRow:
    """A row of the demo link."""
    own: dict[str, Any] = {
        "zone_key_id": number, "link": "demo", "name": "zpk", "backend": "software",
        "stored": zones.stored(key, KBPK).stored, "kcv": key.kcv, "source": "operator",
        "is_agreed": True, "seconds_left": None,
    }  # fmt: skip
    return ZoneKeyRow(**own | changes)


def file_row(seconds_left: float | None) -> ZoneKeyRow:
    """The row of the key file's own key."""
    return row(1, FILE, source="file", stored="", seconds_left=seconds_left)


#: the rows that the ledger gives, and the keys of the link after
LISTS = [
    pytest.param([], ["zpk"], id="none"),
    pytest.param([row(2, NEXT), file_row(60.0)], ["zpk#2", "zpk"], id="overlap"),
    pytest.param([row(2, NEXT), file_row(-1.0)], ["zpk#2"], id="over"),
    pytest.param(
        [row(2, NEXT), file_row(60.0), row(3, THIRD, is_agreed=False)], ["zpk#2", "zpk", "zpk#3"],
        id="offered",
    ),
    pytest.param([file_row(None), row(3, THIRD, is_agreed=False)], ["zpk", "zpk#3"], id="first"),
    # an operator put another key in the file
    pytest.param([row(2, NEXT), row(1, THIRD, source="file", stored="", seconds_left=-1.0)],
                 ["zpk#2", "zpk"], id="another file"),
    pytest.param([row(2, FILE)], ["zpk#2"], id="the file's own, as an operator's"),
    pytest.param([row(2, NEXT, link="other")], ["zpk"], id="another link"),
    pytest.param([row(2, NEXT, name="zpk_b")], ["zpk"], id="another key"),
    pytest.param([row(2, NEXT, backend="aws"), file_row(60.0)], ["zpk"], id="another backend"),
    pytest.param([row(2, NEXT, kcv="000000"), file_row(60.0)], ["zpk"], id="another check value"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "names"), LISTS)
async def test_the_keys_of_a_list(rows: list[ZoneKeyRow], names: list[str]) -> None:
    """What the ledger lists is what is tried, in its order; what cannot be used is told once."""
    told: Events = []
    zone, hsm = zone_of(), SoftwareHsm({"zpk": FILE, "pvk": PVK}, kbpk=KBPK)
    keyring = ZoneKeyring(Rows(*rows), hsm, {"demo": zone}, on_event=noting(told))
    await keyring.refresh()
    await keyring.refresh()
    assert names == [key.ref.name for key in zone.keys]
    useless = [about for name, about in told if name == "zone_key_unusable"]
    assert len(useless) == any(r.backend == "aws" or r.kcv == "000000" for r in rows)
    assert not [r.stored for r in rows if r.stored and r.stored in repr(told)]


async def test_a_database_that_is_away_changes_nothing() -> None:
    """Where the list cannot be read the keys stay, and unreadable blocks ask no more often."""
    rows, zone = Rows(row(2, NEXT)), zone_of()
    hsm = SoftwareHsm({"zpk": FILE}, kbpk=KBPK)
    keyring = ZoneKeyring(rows, hsm, {"demo": zone}, on_event=noting([]), pause_seconds=0.0)
    await keyring.refresh()
    keys = zone.keys
    rows.is_down = True
    assert not await zone.look_again(zone, keys, time.monotonic() + 5)
    assert keys is zone.keys
    await keyring.close()


async def test_unreadable_blocks_do_not_make_the_database_busy() -> None:
    """However many blocks are unreadable, the list is read at most once in a pause."""
    rows, zone = Rows(), zone_of()
    keyring = ZoneKeyring(
        rows, SoftwareHsm({}, kbpk=KBPK), {"demo": zone}, on_event=noting([]), pause_seconds=3600.0
    )
    for _ in range(50):
        assert not await zone.look_again(zone, zone.keys, time.monotonic() + 5)
    assert 1 == rows.reads
    await keyring.close()


@dataclass
class Process:
    """One process of a switch: its own HSM and keys over the shared database."""

    hsm: SoftwareHsm
    zone: PinZone
    keyring: ZoneKeyring
    rows: ZoneKeys
    told: Events

    async def verdict(self, zone: Key, pin: str = "1234") -> Verdict | None:
        """What it says of a card's PIN in a block under a key."""
        block = issuing.pin_block(zone, pin_block_format=PinBlockFormat.ISO_0, pin=pin, pan=PAN)
        pvv = issuing.visa_pvv(PVK, pan=PAN, pvki="1", pin="1234")
        card = {"pin_method": "visa_pvv", "pin_reference": f"1{pvv}"}
        asked = case({**PIN_FIELDS, 52: block.hex().upper()}, card)
        return (await verify(asked, issuer_of(self.hsm, self.zone))).pin


@asynccontextmanager
async def process(url: str, folder: Path, *, poll_seconds: float) -> AsyncIterator[Process]:
    """Start one."""
    told: Events = []
    zone, hsm = zone_of(), SoftwareHsm({"zpk": FILE, "pvk": PVK}, kbpk=KBPK)
    async with ledger_on(url, folder) as ledger:
        keyring = ZoneKeyring(
            ledger.zone_keys, hsm, {"demo": zone}, on_event=noting(told),
            poll_seconds=poll_seconds, pause_seconds=0.0,
        )  # fmt: skip
        await keyring.start()
        try:
            yield Process(hsm, zone, keyring, ledger.zone_keys, told)
        finally:
            await keyring.close()


async def test_two_processes_learn_of_one_key(database: str, quick_path: Path) -> None:
    """A key that one process stores the other reads: by its poll, or at an unreadable block."""
    stored: StoredZoneKey = zones.stored(NEXT, KBPK)
    third = zones.stored(THIRD, KBPK)
    async with (
        process(database, quick_path / "a", poll_seconds=0.02) as polling,
        process(database, quick_path / "b", poll_seconds=3600.0) as asking,
    ):
        assert (MATCH, UNREADABLE) == (
            await asking.verdict(FILE), await polling.verdict(NEXT)
        )  # fmt: skip
        await asking.rows.take(place(), stored, source="operator")
        assert MATCH is await asking.verdict(NEXT)  # nobody told it: it looked
        assert MATCH is await asking.verdict(FILE)  # the overlap

        async def has_polled() -> bool:
            return polling.zone.key.kcv == NEXT.kcv

        await eventually(has_polled)
        assert (MATCH, MISMATCH) == (
            await polling.verdict(FILE), await polling.verdict(NEXT, "4321")
        )  # fmt: skip
        assert ("zone_key_changed", NEXT.kcv) == (polling.told[-1][0], polling.told[-1][1]["kcv"])

        await asking.rows.take(place(overlap_s=0), third, source="operator")
        assert MATCH is await asking.verdict(THIRD)
        assert UNREADABLE is await asking.verdict(NEXT)
        assert UNREADABLE is await asking.verdict(FILE)
    async with process(database, quick_path / "c", poll_seconds=3600.0) as later:
        assert [THIRD.kcv] == [key.ref.kcv for key in later.zone.keys]
        assert MATCH is await later.verdict(THIRD)
