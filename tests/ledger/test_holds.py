"""Holds that end: taken back by unwinding, released when their time is over."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from switch.ledger import ledger as ledger_module
from switch.ledger.queries import QUERIES
from tests.ledger.disk import until
from tests.ledger.support import Books, ask, ledger_on

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

PERIODS = ("day", "week", "month")


async def limited(books: Books) -> int:
    """An account whose card has an amount limit in every period."""
    account_id = await books.account()
    for period in PERIODS:
        await books.limit(account_id, "all", period, amount_minor=50_000)
        await books.limit(account_id, "cash", period, amount_minor=50_000)
    return account_id


def used(amount: int, count: int, *scopes: str) -> dict[tuple[str, str], tuple[int, int]]:
    return {(scope, period): (amount, count) for scope in scopes for period in PERIODS}


# ---- unwinding --------------------------------------------------------------------------------


async def test_unwound(books: Books) -> None:
    """Taking back an approval gives back its hold and what it used of limits, once."""
    account_id = await limited(books)
    stays, goes = ask(account_id, 2_000), ask(account_id, 3_000, "cash")
    await books.decide(stays, goes)
    assert used(5_000, 2, "all") | used(3_000, 1, "cash") == await books.usage(account_id)
    assert "unwound" == await books.unwind(goes)
    assert 2_000 == await books.held(account_id)
    assert ["open", "unwound"] == await books.holds(account_id)
    assert used(2_000, 1, "all") | used(0, 0, "cash") == await books.usage(account_id)
    assert "nothing" == await books.unwind(goes)
    assert 2_000 == await books.held(account_id)


async def test_unwound_in_its_own_period(books: Books) -> None:
    """What is given back is given back to the period of the original, not to this one."""
    account_id = await books.account()
    await books.limit(account_id, amount_minor=50_000)
    old, new = ask(account_id, 2_000), ask(account_id, 3_000)
    await books.decide(old)
    await books.connection.execute(
        "CREATE TABLE long_ago PARTITION OF authorizations"
        " FOR VALUES FROM ('2020-01-01Z') TO ('2020-02-01Z')"
    )
    for statement in (
        "UPDATE authorizations SET received_at = '2020-01-15 12:00Z'",
        "UPDATE holds SET received_at = '2020-01-15 12:00Z'",
        "UPDATE message_keys SET received_at = '2020-01-15 12:00Z'",
        "UPDATE limit_usage SET period_start = '2020-01-15', counted_from = '2020-01-15Z'",
    ):
        await books.connection.execute(f"{statement} WHERE account_id = $1", account_id)
    await books.decide(new)
    assert "unwound" == await books.unwind(old)
    rows = await books.connection.fetch(
        "SELECT amount_minor, count FROM limit_usage WHERE account_id = $1 ORDER BY period_start",
        account_id,
    )
    assert [(0, 0), (3_000, 1)] == [tuple(row) for row in rows]


async def test_older_than_the_limit(books: Books) -> None:
    """A debit from before its limit was set is not in the usage, so nothing of it is given back."""
    account_id = await books.account()
    older, newer = ask(account_id, 3_000), ask(account_id, 2_000)
    await books.decide(older)
    await books.limit(account_id, amount_minor=50_000)
    await books.decide(newer)
    assert "unwound" == await books.unwind(older)
    used = await books.connection.fetchrow(
        "SELECT amount_minor, count FROM limit_usage WHERE account_id = $1", account_id
    )
    assert used is not None
    assert (2_000, 1) == tuple(used)


async def test_told_to_a_copy(books: Books) -> None:
    """An approval that a copy was told of stays, until the copy's own answer proves late too."""
    call = ask(await books.account())
    copy = call._replace(mti="0101", authorization_code="COPY01")
    await books.decide(call)
    assert "repeated" == await books.reason(copy)
    assert "told" == await books.unwind(call)
    assert 1_000 == await books.held(call.account_id)
    assert "unwound" == await books.unwind(copy)
    assert 0 == await books.held(call.account_id)
    assert "reversed" == await books.reason(copy)


async def test_late_copy_of_a_told_approval(books: Books) -> None:
    """A copy whose answer is late takes nothing from an original that was answered in time."""
    call = ask(await books.account())
    copy = call._replace(mti="0101", authorization_code="COPY01")
    await books.decide(call, copy)
    assert "nothing" == await books.unwind(copy)
    assert 1_000 == await books.held(call.account_id)


async def test_marked(books: Books) -> None:
    """Taking back what is not there leaves a mark, so that it is declined when it comes late."""
    call = ask(await books.account(), pin_verdict="mismatch")
    assert ["marked", "marked"] == [await books.unwind(call) for _ in range(2)]
    assert "reversed_before_original" == await books.reason(call)
    assert (0, 0) == (await books.held(call.account_id), await books.pin_tries(call.account_id))
    assert "nothing" == await books.unwind(call)
    assert "reversed_before_original" == await books.reason(call)


async def test_declined_is_nothing(books: Books) -> None:
    """Of a decline there is nothing to take back, and its repeat is answered as before."""
    call = ask(await books.account(posted_minor=0))
    await books.decide(call)
    assert "nothing" == await books.unwind(call)
    assert "insufficient_funds" == await books.reason(call)


async def test_attempt_of_another(books: Books) -> None:
    """A repeat whose fate is unknown does not take back the approval that an earlier one got."""
    call = ask(await books.account())
    await books.decide(call)
    code = "111111" if call.authorization_code != "111111" else "222222"
    assert "nothing" == await books.unwind(call._replace(authorization_code=code))
    assert 1_000 == await books.held(call.account_id)
    assert "approved" == (await books.reason(call)).replace("repeated", "approved")


async def test_commits_late(books: Books, shared_database: str) -> None:
    """Taking back waits for a backend that is still at it, and takes back what that commits."""
    call = ask(await books.account())
    late = await asyncpg.connect(shared_database)
    transaction = late.transaction()
    await transaction.start()
    (answer,) = await Books(late).decide(call)
    assert answer.reason is None
    unwinding = asyncio.create_task(books.unwind(call))
    done, _ = await asyncio.wait([unwinding], timeout=0.1)
    assert not done
    await transaction.commit()
    assert "unwound" == await unwinding
    assert 0 == await books.held(call.account_id)
    await late.close()


async def test_rolled_back_late(books: Books, shared_database: str) -> None:
    """Where that backend rolls back after all, the mark is there for a copy that comes later."""
    call = ask(await books.account())
    late = await asyncpg.connect(shared_database)
    transaction = late.transaction()
    await transaction.start()
    await Books(late).decide(call)
    unwinding = asyncio.create_task(books.unwind(call))
    await asyncio.wait([unwinding], timeout=0.1)
    await transaction.rollback()
    assert "marked" == await unwinding
    assert "reversed_before_original" == await books.reason(call)
    assert 0 == await books.held(call.account_id)
    await late.close()


@pytest.mark.parametrize("kind", ["refund", "inquiry", "verification"])
async def test_unwound_without_a_hold(books: Books, kind: str) -> None:
    """An approval that held nothing is taken back too: its repeat is declined."""
    call = ask(await books.account(), 0, kind)
    await books.decide(call)
    assert "unwound" == await books.unwind(call)
    assert "reversed" == await books.reason(call)


# ---- expiry -----------------------------------------------------------------------------------


async def overdue(books: Books, *account_ids: int) -> None:
    """Let the time of all holds of these accounts be over."""
    await books.connection.execute(
        "UPDATE holds SET expires_at = now() WHERE account_id = ANY ($1)", list(account_ids)
    )


async def test_held_for_the_program_s_days(books: Books) -> None:
    """A hold ends as many days after its authorization as the program says."""
    account_id = await books.account()
    await books.decide(ask(account_id))
    assert await books.connection.fetchval(
        "SELECT expires_at - received_at = '7 days' FROM holds WHERE account_id = $1", account_id
    )


async def test_expired(books: Books) -> None:
    """An expired hold is released, and its use of limits given back; one in time stays."""
    account_id = await limited(books)
    await books.decide(ask(account_id, 2_000), ask(account_id, 3_000, "cash"))
    await overdue(books, account_id)
    stays = ask(account_id, 500)
    await books.decide(stays)
    assert 2 == await books.connection.fetchval(QUERIES["expire_holds"], 100)
    assert 500 == await books.held(account_id)
    assert ["expired", "expired", "open"] == await books.holds(account_id)
    assert used(500, 1, "all") | used(0, 0, "cash") == await books.usage(account_id)
    assert 0 == await books.connection.fetchval(QUERIES["expire_holds"], 100)


async def test_unwound_after_expiry(books: Books) -> None:
    """A hold that expired is not given back a second time, and its message is taken back."""
    account_id = await limited(books)
    call = ask(account_id)
    await books.decide(call)
    await overdue(books, account_id)
    await books.connection.fetchval(QUERIES["expire_holds"], 100)
    assert "unwound" == await books.unwind(call)
    assert 0 == await books.held(account_id)
    assert used(0, 0, "all") == await books.usage(account_id)
    assert "reversed" == await books.reason(call)


async def test_two_sweepers(books: Books, shared_database: str) -> None:
    """Several sweepers at once release each hold exactly once, and nothing stays held."""
    accounts = [await limited(books) for _ in range(30)]
    calls = [ask(account_id, amount) for account_id in accounts for amount in (100, 200, 300)]
    await books.decide(*calls)
    await overdue(books, *accounts)
    sweepers = [await asyncpg.connect(shared_database) for _ in range(3)]

    async def sweep(connection: asyncpg.Connection[asyncpg.Record]) -> int:
        return sum([await connection.fetchval(QUERIES["expire_holds"], 7) for _ in range(40)])

    released = await asyncio.gather(*map(sweep, sweepers))
    assert len(calls) == sum(released)
    for account_id in accounts:
        assert 0 == await books.held(account_id)
        assert used(0, 0, "all") == await books.usage(account_id)
    assert [] == await books.wrong_balances()
    for connection in sweepers:
        await connection.close()


async def test_locked_for_the_next_sweep(books: Books, shared_database: str) -> None:
    """A sweep leaves an account that another process works on, and does not wait for it."""
    busy, free = await books.account(), await books.account()
    await books.decide(ask(busy), ask(free))
    await overdue(books, busy, free)
    stranger = await asyncpg.connect(shared_database)
    async with stranger.transaction():
        await stranger.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", busy)
        async with asyncio.timeout(2.0):
            assert 1 == await books.connection.fetchval(QUERIES["expire_holds"], 100)
    assert (1_000, 0) == (await books.held(busy), await books.held(free))
    assert 1 == await books.connection.fetchval(QUERIES["expire_holds"], 100)
    assert 0 == await books.held(busy)
    await stranger.close()


async def test_swept_by_the_ledger(
    books: Books, shared_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open ledger releases holds by itself, batch after batch, and tells how many."""
    monkeypatch.setattr(ledger_module, "SWEEP_SECONDS", 0.02)
    monkeypatch.setattr(ledger_module, "SWEEP_MOST", 4)
    accounts = [await books.account() for _ in range(10)]
    await books.decide(*map(ask, accounts))
    await overdue(books, *accounts)
    counts: list[int] = []

    def told(event: str, **about: int) -> None:
        if event == "holds_expired":
            counts.append(about["count"])

    async with ledger_on(shared_database, tmp_path / "journal", on_event=told):
        await until(lambda: sum(counts) == len(accounts))
    assert [4, 4, 2] == counts
    assert [0] * 10 == [await books.held(account_id) for account_id in accounts]
