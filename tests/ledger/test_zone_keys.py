"""Zone keys in the ledger: which takes whose place, how long both are good, what is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from keys.zone_keys import StoredZoneKey
from switch.ledger.queries import QUERIES
from switch.ledger.zone_keys import Place, ZoneKeyRow, ZoneKeys

FILE_KCV = "5CA55B"
PAUSES = [60.0]
Connection = Any


def key(number: int) -> StoredZoneKey:
    """A key that is enciphered, whatever it is."""
    return StoredZoneKey(f"block {number}", f"{number:06X}")


def place(link: str = "demo", overlap_s: int = 600) -> Place:
    """The zone PIN key of a link."""
    return Place(link, "zpk", "P0", "software", FILE_KCV, overlap_s)


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """A database of the test's own."""
    one = await asyncpg.connect(database)
    yield one
    await one.close()


@pytest.fixture
def rows(connection: Connection) -> ZoneKeys:
    """Its zone keys."""
    return rows_of(connection)


def rows_of(connection: Connection) -> ZoneKeys:
    """The zone keys over a connection."""

    async def chore(name: str, *parameters: Any) -> list[Any]:
        found: list[Any] = await connection.fetch(QUERIES[name], *parameters)
        return found

    return ZoneKeys(chore)


def seen(found: list[ZoneKeyRow]) -> list[tuple[str, str, bool, bool]]:
    """Check value, source, whether it was agreed on, whether it ends."""
    return [(r.kcv, r.source, r.is_agreed, r.seconds_left is not None) for r in found]


async def test_a_new_key_comes_first(rows: ZoneKeys) -> None:
    """The newest key is good without end, the ones before it until their overlap is over."""
    assert [] == await rows.of(["demo"])
    assert "taken" == await rows.take(place(), key(1), source="operator")
    assert [("000001", "operator", True, False), (FILE_KCV, "file", True, True)] == seen(
        await rows.of(["demo"])
    )
    assert "taken" == await rows.take(place(overlap_s=0), key(2), source="scheme")
    two, file = await rows.of(["demo"])
    assert ("000002", None, "block 2") == (two.kcv, two.seconds_left, two.stored)
    assert (FILE_KCV, "") == (file.kcv, file.stored)
    assert file.seconds_left is not None
    assert file.seconds_left <= 0
    assert "block 2" not in repr(two)


async def test_a_key_is_as_old_as_its_agreement(rows: ZoneKeys, connection: Connection) -> None:
    """A key that took another's place says since when; that of the key file does not know."""
    before = await connection.fetchval("SELECT extract(epoch FROM clock_timestamp())::float8")
    await rows.take(place(), key(1), source="operator")
    taken, file = await rows.of(["demo"])
    assert taken.since is not None
    assert before <= taken.since <= before + 60
    assert file.since is None


async def test_an_end_never_moves_away(rows: ZoneKeys) -> None:
    """A key that ends soon does not get a longer life from the next rotation."""
    await rows.take(place(overlap_s=5), key(1), source="operator")
    await rows.take(place(overlap_s=600), key(2), source="operator")
    left = {row.kcv: row.seconds_left or 0 for row in await rows.of(["demo"])}
    assert 0 < left[FILE_KCV] <= 5 < left["000001"] <= 600


async def test_links_have_keys_of_their_own(rows: ZoneKeys) -> None:
    """A key of one link is none of another's."""
    await rows.take(place("one"), key(1), source="operator")
    assert [] == await rows.of(["other"])
    assert {"one"} == {row.link for row in await rows.of(["one", "other"])}


#: who brings which keys in turn, with which message, and what becomes of each
STORIES = [
    pytest.param([("scheme", 1, "A", "taken"), ("scheme", 1, "A", "unchanged")], id="a copy"),
    pytest.param([("scheme", 1, "A", "taken"), ("scheme", 1, "B", "unchanged")], id="anew"),
    pytest.param(
        [("scheme", 1, "A", "taken"), ("scheme", 2, "B", "taken"), ("scheme", 1, "A", "repeated")],
        id="a late copy",
    ),
    pytest.param(
        [("scheme", 1, "A", "taken"), ("scheme", 2, "B", "taken"),
         ("scheme", 1, "C", "used_before"), ("scheme", 2, "D", "unchanged")],
        id="played back",
    ),
    pytest.param(
        [("scheme", 0x5CA55B, "A", "unchanged"), ("scheme", 1, "B", "taken"),
         ("scheme", 0x5CA55B, "C", "used_before")],
        id="the key file's own",
    ),
    pytest.param(
        [("operator", 1, "", "taken"), ("operator", 2, "", "taken"), ("operator", 1, "", "taken"),
         ("operator", 1, "", "unchanged")],
        id="an operator goes back",
    ),
]  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
async def test_what_becomes_of_a_key(
    rows: ZoneKeys, story: list[tuple[str, int, str, str]]
) -> None:
    """Copies change nothing, and a scheme's key never becomes good a second time."""
    for source, number, message, outcome in story:
        sent = (message, "1122120000") if message else None
        assert outcome == await rows.take(place(), key(number), source=source, message=sent)


async def test_two_processes_at_once(database: str, rows: ZoneKeys) -> None:
    """However many bring one key at once, it is taken once; of several one is the last."""
    others = [await asyncpg.connect(database) for _ in range(4)]
    try:
        both = await asyncio.gather(
            *(rows_of(one).take(place(), key(1), source="scheme", message=("1", "2"))
              for one in others)
        )  # fmt: skip
        assert ["taken", "unchanged", "unchanged", "unchanged"] == sorted(both)
        await asyncio.gather(
            *(rows_of(one).take(place(), key(number), source="scheme", message=("1", f"{number}"))
              for number, one in enumerate(others, start=2))
        )  # fmt: skip
    finally:
        for one in others:
            await one.close()
    found = await rows.of(["demo"])
    assert 6 == len(found)
    assert 1 == len([row for row in found if row.seconds_left is None])


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM zone_keys",
        "UPDATE zone_keys SET stored = 'another'",
        "UPDATE zone_keys SET kcv = '000000'",
        "UPDATE zone_keys SET valid_from = clock_timestamp()",
    ],
)
async def test_keys_stay(rows: ZoneKeys, connection: Connection, statement: str) -> None:
    """No key is changed or deleted; its end may be set."""
    await rows.take(place(), key(1), source="operator")
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await connection.execute(statement)
    await connection.execute("UPDATE zone_keys SET valid_until = clock_timestamp()")


async def test_an_exchange_from_its_beginning_to_its_end(rows: ZoneKeys) -> None:
    """A key that is offered is read last; accepted it is the newest, and that is final."""
    assert await rows.ask_exchange("demo", "operator")
    assert not await rows.ask_exchange("demo", "scheme")
    assert await rows.ask_exchange("other", "scheme")
    offer = await rows.claim("demo", PAUSES)
    assert offer is not None
    assert (1, False, None, None) == (offer.attempts, offer.is_repeat, offer.key_data, offer.kcv)
    assert await rows.claim("demo", PAUSES) is None
    assert await rows.offer(offer, place(), key(1), "wrapped")
    assert not await rows.offer(offer, place(), key(2), "wrapped")
    await rows.take(place(), key(9), source="operator")
    assert ["000009", FILE_KCV, "000001"] == [row.kcv for row in await rows.of(["demo"])]
    assert [True, True, False] == [row.is_agreed for row in await rows.of(["demo"])]
    assert await rows.settle(offer, place(), "accepted", "00")
    assert not await rows.settle(offer, place(), "refused", "05")
    assert ("000001", "switch", True, False) == seen(await rows.of(["demo"]))[0]
    assert await rows.ask_exchange("demo", "operator")


async def test_a_repeat_carries_the_same(rows: ZoneKeys, connection: Connection) -> None:
    """What was not answered is due again with its STAN, its DE7 and the same key."""
    await rows.ask_exchange("demo", "operator")
    first = await rows.claim("demo", [0.0])
    assert first is not None
    await rows.offer(first, place(), key(1), "wrapped")
    again = await rows.claim("demo", PAUSES)
    assert again is not None
    assert (2, True, "wrapped", "000001") == (
        again.attempts, again.is_repeat, again.key_data, again.kcv
    )  # fmt: skip
    assert (first.stan, first.transmission_datetime) == (again.stan, again.transmission_datetime)
    assert "wrapped" not in repr(again)
    assert await rows.settle(again, place(), "refused", "05")
    assert [FILE_KCV] == [row.kcv for row in await rows.of(["demo"])]
    assert 0 == await connection.fetchval("SELECT count(key_data) FROM key_exchanges")
