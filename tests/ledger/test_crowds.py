"""Many at once over several switches: copies cost once, nobody overspends, nothing stays held."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from switch.ledger.calls import AuthorizationCall
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.ledger import Ledger
from switch.rules.decision import Approved, Declined
from switch.rules.reason import Reason
from tests.ledger.support import Books, ask, authorize, ledger_on, number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ledgers(stack: AsyncExitStack, url: str, folder: Path, count: int) -> list[Ledger]:
    """Several switches on one database."""
    return [
        await stack.enter_async_context(ledger_on(url, folder / f"journal-{i}"))
        for i in range(count)
    ]


def attempt(call: AuthorizationCall) -> AuthorizationCall:
    """A copy of a message, which has a code of its own to give."""
    return call._replace(authorization_code=f"{number() % 1_000_000:06d}")


async def test_copies(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Copies of a message over several switches at once give one hold and one answer."""
    async with AsyncExitStack() as stack:
        several = await ledgers(stack, shared_database, tmp_path, 3)
        for _ in range(5):
            call = ask(await books.account())
            answers = await asyncio.gather(
                *(authorize(ledger, attempt(call)) for ledger in several for _ in range(8))
            )
            told = {
                (answer.authorization_code, answer.available_minor)
                for answer in answers
                if isinstance(answer, Approved)
            }
            assert [99_000] == [available for _, available in told]
            assert {True: 23, False: 1} == Counter(answer.is_repeat for answer in answers)
            assert (1_000, 1) == (
                await books.held(call.account_id),
                await books.recorded(call.account_id),
            )


async def test_spenders(books: Books, shared_database: str, tmp_path: Path) -> None:
    """A crowd over two switches spends an account to the last unit that it can, and no further."""
    account_id = await books.account(posted_minor=10_000)
    bystander = await books.account()
    async with AsyncExitStack() as stack:
        several = await ledgers(stack, shared_database, tmp_path, 2)
        answers = await asyncio.gather(
            *(
                authorize(several[i % 2], ask(bystander if i % 5 == 0 else account_id, 700))
                for i in range(100)
            )
        )
    kinds = Counter(
        "approved" if isinstance(answer, Approved) else answer.reason for answer in answers
    )
    assert {"approved": 20 + 10_000 // 700, Reason.INSUFFICIENT_FUNDS: 80 - 10_000 // 700} == kinds
    assert 10_000 // 700 * 700 == await books.held(account_id)
    assert [] == await books.wrong_balances()


async def test_limited_spenders(books: Books, shared_database: str, tmp_path: Path) -> None:
    """A crowd over two switches never passes a limit, by amount or by count."""
    by_amount, by_count = await books.account(), await books.account()
    await books.limit(by_amount, amount_minor=5_000)
    await books.limit(by_count, "purchase", "month", count=7)
    async with AsyncExitStack() as stack:
        several = await ledgers(stack, shared_database, tmp_path, 2)
        answers = await asyncio.gather(
            *(
                authorize(several[i % 2], ask(account_id, 600))
                for i in range(30)
                for account_id in (by_amount, by_count)
            )
        )
    reasons = Counter(answer.reason for answer in answers if isinstance(answer, Declined))
    assert {Reason.LIMIT_AMOUNT: 22, Reason.LIMIT_COUNT: 23} == reasons
    assert {("all", "day"): (4_800, 8)} == await books.usage(by_amount)
    assert {("purchase", "month"): (4_200, 7)} == await books.usage(by_count)


async def test_wrong_pins(books: Books, shared_database: str, tmp_path: Path) -> None:
    """A crowd of wrong PINs has as many tries as one caller has."""
    account_id = await books.account()
    async with AsyncExitStack() as stack:
        several = await ledgers(stack, shared_database, tmp_path, 2)
        answers = await asyncio.gather(
            *(authorize(several[i % 2], ask(account_id, pin_verdict="mismatch")) for i in range(20))
        )
    reasons = Counter(answer.reason for answer in answers if isinstance(answer, Declined))
    assert {Reason.PIN_MISMATCH: 2, Reason.PIN_TRIES_EXCEEDED: 18} == reasons
    assert 3 == await books.pin_tries(account_id)


async def test_impatient_crowd(books: Books, shared_database: str, tmp_path: Path) -> None:
    """Whoever got no answer in time has nothing held in the end; who was approved has it all."""
    accounts = [await books.account() for _ in range(8)]
    calls = [ask(account_id, 100) for account_id in accounts for _ in range(25)]
    async with AsyncExitStack() as stack:
        several = await ledgers(stack, shared_database, tmp_path, 2)
        outcomes = await asyncio.gather(
            *(
                authorize(several[i % 2], call, seconds=0.001 * (i % 40))
                for i, call in enumerate(calls)
            ),
            return_exceptions=True,
        )
    unknown = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(outcome, LedgerUnavailable) for outcome in unknown)
    for account_id in accounts:
        told = sum(
            isinstance(outcome, Approved)
            for call, outcome in zip(calls, outcomes, strict=True)
            if call.account_id == account_id
        )
        assert told * 100 == await books.held(account_id)
    assert [] == await books.wrong_balances()


async def test_copy_of_what_is_taken_back(
    books: Books, shared_database: str, tmp_path: Path
) -> None:
    """A copy that waits behind its original, whose answer is late, is not told an approval
    that is then taken back."""
    call = ask(await books.account(), rrn="SLOW00000000")
    await books.connection.execute(
        "CREATE OR REPLACE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(0.3); RETURN NEW; END'"
    )
    await books.connection.execute(
        "CREATE TRIGGER slow BEFORE INSERT ON authorizations FOR EACH ROW"
        " WHEN (NEW.rrn = 'SLOW00000000') EXECUTE FUNCTION slow()"
    )
    busy = ask(await books.account())
    stranger = await asyncpg.connect(shared_database)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:  # noqa: SIM117
        async with stranger.transaction():
            # What is taken back waits here, so that the copy is decided before it.
            await stranger.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", busy.account_id
            )
            await ledger.take_back(busy)
            original = asyncio.create_task(authorize(ledger, call, seconds=0.1))
            await asyncio.sleep(0.02)
            copy = asyncio.create_task(authorize(ledger, attempt(call), seconds=5.0))
            with pytest.raises(LedgerUnavailable):
                await original
            (told,) = await asyncio.gather(copy, return_exceptions=True)
    await stranger.close()
    assert (1_000 if isinstance(told, Approved) else 0) == await books.held(call.account_id)


async def test_process_that_stops(books: Books, shared_database: str, tmp_path: Path) -> None:
    """A switch whose connections are cut answers nobody twice, and takes back what it can."""
    calls = [ask(await books.account(), 100) for _ in range(20)]
    cutter = await asyncpg.connect(shared_database)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        work = [
            asyncio.create_task(authorize(ledger, attempt(call), seconds=0.5)) for call in calls * 3
        ]
        await asyncio.sleep(0.005)
        await cutter.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'switch' AND pid <> pg_backend_pid()"
            " AND query LIKE '%authorize_v5%'"
            " AND pid <> $1",
            books.connection.get_server_pid(),
        )
        outcomes = await asyncio.gather(*work, return_exceptions=True)
    await cutter.close()
    for place, call in enumerate(calls):
        approvals = sum(isinstance(one, Approved) for one in outcomes[place :: len(calls)])
        assert (100 if approvals else 0) == await books.held(call.account_id)
