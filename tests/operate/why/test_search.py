"""A message is found by what people have of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from switch.ledger import history
from switch.operate.why import Found, QueryError, explain, search
from switch.operate.why.checks import NOT_ASKED, PASSED, REFUSED
from switch.operate.why.page import page, table
from tests.flows.day import Day, suspense_account, unknown_card
from tests.flows.later import advice
from tests.flows.support import House

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def found(house: House, query: str, since: datetime = LONG_AGO, **how: str) -> list[Found]:
    """What is found, at most nine."""
    return await search(house.books.connection, query, since, 9, **how)


async def test_each_clue_finds_it(one_house: House) -> None:
    """RRN, STAN, the STAN without its zeros, the code; and each says what it answered to."""
    day = await Day.begin(one_house)
    message = day.asks()
    code = (await day.send(message)).authorization_code
    rrn, stan = message.fields[37], message.fields[11]
    for query, matched in (
        (rrn, "rrn"), (f" {rrn} ", "rrn"), (rrn.lstrip("0").zfill(7), "rrn"), (stan, "stan"),
        (stan.lstrip("0").zfill(5), "stan"), (code, "authorization_code"),
    ):  # fmt: skip
        one = next(one for one in await found(one_house, query) if one.rrn == rrn)
        assert (matched, "0012", code, None) == (
            one.matched, one.last_four, one.authorization_code, one.reason,
        )  # fmt: skip
        assert "journal" == one.kind
        assert "approved" == (await explain(one_house.books.connection, one.place)).verdict


async def test_the_newest_come_first(one_house: House) -> None:
    """Of several the newest is the first, and no more are given than asked for."""
    day = await Day.begin(one_house)
    rrn = day.asks().fields[37]
    for minor in (100, 200, 300):
        await day.approved(minor, _37=rrn)
    amounts = [one.transaction_minor for one in await found(one_house, rrn)]
    assert [300, 200, 100] == amounts
    two = await search(one_house.books.connection, rrn, LONG_AGO, 2)
    assert [300, 200] == [one.transaction_minor for one in two]
    assert [] == await found(one_house, rrn, datetime.now(UTC) + timedelta(minutes=1))
    assert 3 == len(list(table(await found(one_house, rrn))))


async def test_by_the_card(one_house: House) -> None:
    """Four digits find the messages of all cards that end so; with another clue they choose."""
    day = await Day.begin(one_house)
    await day.change(pan_last_four="7788")
    for _ in range(3):
        await day.approved()
    message = await day.approved()
    assert ["last_four"] * 4 == [one.matched for one in await found(one_house, "7788")]
    rrn = message.fields[37]
    assert 1 == len(await found(one_house, rrn, last_four="7788"))
    assert [] == await found(one_house, rrn, last_four="7789")


async def test_an_old_one_is_found_step_by_step(one_house: House) -> None:
    """A STAN of weeks ago is found where the search may look that far, and only there."""
    day = await Day.begin(one_house)
    message = await day.approved()
    await day.passes(days=40)
    stan = message.fields[11]
    assert message.fields[37] in [one.rrn for one in await found(one_house, stan)]
    lately = await found(one_house, stan, datetime.now(UTC) - timedelta(days=39))
    assert message.fields[37] not in [one.rrn for one in lately]


async def test_a_card_that_is_not_ours(one_house: House) -> None:
    """A request for an unknown card is found and explained: nobody else was asked."""
    day = unknown_card(one_house)
    message = day.asks()
    await day.send(message)
    for query in (message.fields[37], message.fields[11]):
        (one,) = await found(one_house, query)
        assert ("refused", "no_card_record", None) == (one.kind, one.reason, one.last_four)
        told = await explain(one_house.books.connection, one.place)
        assert ("refused", "card", [PASSED, REFUSED]) == (
            told.verdict, told.refusing and told.refusing.name,
            [check.verdict for check in told.checks],
        )  # fmt: skip
        assert day.pan[-4:] not in "\n".join(page(told))
    strange = day.asks(_3="990000")
    await day.send(strange)
    (one,) = await found(one_house, strange.fields[37])
    told = await explain(one_house.books.connection, one.place)
    assert [REFUSED, NOT_ASKED] == [check.verdict for check in told.checks]


async def test_in_suspense(one_house: House) -> None:
    """An advice for an unknown card is found on the suspense account that took it."""
    message = advice(unknown_card(one_house).asks(1_500))
    await unknown_card(one_house).send(message)
    (one,) = await found(one_house, message.fields[37])
    assert ("suspense", suspense_account("978")) == (one.kind, one.place.account_id)
    told = await explain(one_house.books.connection, one.place)
    assert ("booked", None) == (told.verdict, told.card)
    assert told.account is not None
    assert "suspense" == told.account["kind"]


@pytest.mark.parametrize(
    "query", ["", "   ", "4761739000000012", "47617390 0000", "%", "632608-00000", "a" * 13]
)
async def test_what_cannot_be_looked_for(one_house: House, query: str) -> None:
    """A PAN is no clue, nor is anything else; the refusal does not repeat it."""
    with pytest.raises(QueryError) as refused:
        await found(one_house, query)
    assert not query.strip() or query not in str(refused.value)


async def test_it_only_reads_and_ends(one_house: House) -> None:
    """Within it nothing can be written, and a statement that takes too long is ended."""
    connection = one_house.books.connection
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        async with history.reading(connection):
            await connection.execute("UPDATE accounts SET status = status")
    async with history.reading(connection):
        seconds = history.STATEMENT_SECONDS
        assert f"{seconds:.0f}s" == await connection.fetchval("SHOW statement_timeout")
    assert "0" == await connection.fetchval("SHOW statement_timeout")


async def test_it_waits_for_nobody_long(
    one_house: House, shared_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a lock it gives up by itself, and leaves a connection that can be used."""
    monkeypatch.setattr(history, "STATEMENT_SECONDS", 0.2)
    asker, locker = [await asyncpg.connect(shared_database) for _ in range(2)]
    try:
        async with locker.transaction():
            await locker.execute("LOCK TABLE authorizations")
            for query in ("632600000001", "000001", "0012"):
                with pytest.raises(asyncpg.QueryCanceledError):
                    await search(asker, query, LONG_AGO, 9)
        assert [] == await search(asker, "632600000001", LONG_AGO, 9)
    finally:
        await asker.close()
        await locker.close()
