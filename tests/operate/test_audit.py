"""`switch audit`: clean on right books, and it names what is wrong on others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from switch.operate.audit import RULES, AuditError, audit
from tests.ledger import by_hand
from tests.ledger.support import Books, ask, authorize, ledger_on
from tests.process import as_setting, running
from tests.typed import typed


@pytest_asyncio.fixture
async def books(database: str) -> AsyncIterator[Books]:
    """Books of their own, for an audit looks at all accounts."""
    books = await Books.open(database)
    yield books
    await books.connection.close()


async def broken(url: str, batch: int = 1_000) -> dict[str, list[str]]:
    """The rules that an audit finds broken, and what each names."""
    return {
        finding.rule: finding.named for finding in await audit(url, batch=batch) if finding.wrong
    }


@pytest.mark.parametrize("batch", [1, 2, 1_000])
async def test_right_books_are_found_right(books: Books, database: str, batch: int) -> None:
    """One of everything is right in every rule, whatever the batch, and all is checked."""
    for _ in range(3):
        await by_hand.everything(books)
    findings = await audit(database, batch=batch)
    assert RULES == tuple(finding.rule for finding in findings)
    assert [] == [str(finding) for finding in findings if finding.wrong]
    assert {
        "posted": 3, "held": 3, "entries": 3 * 4, "bookings": 3 * 9, "decisions": 3 * 6,
        "purchases": 3 * 7, "undone": 3 * 1,
            "uses": 3 * 7, "usage": 3 * 6, "keys": 3 * 9, "expiry": 3 * 3,
    } == {finding.rule: finding.checked for finding in findings}  # fmt: skip


TODAY = "period = 'day' AND scope = 'all'"

BREAKS = [
    ("a balance", "UPDATE accounts SET posted_minor = posted_minor + 1",
     {"posted": ["{account}"]}),
    ("what is held", "UPDATE accounts SET held_minor = held_minor - 1",
     {"held": ["{account}"]}),
    ("an account that is gone", "DELETE FROM accounts",
     {"posted": ["{account}"], "held": ["{account}"],
      "entries": ["{account}", "{account}/{completion}", "{account}/{sale}",
                  "{account}/{refund}"]}),
    ("a posting that is gone", "DELETE FROM postings WHERE booking_id = {sale}",
     {"posted": ["{account}"], "bookings": ["{account}/{sale}"],
      "decisions": ["{account}/{sale}"]}),
    ("a posting's currency", "UPDATE postings SET currency = '840' WHERE booking_id = {sale}",
     {"entries": ["{account}/{sale}"]}),
    ("a posting of no message", "UPDATE postings SET booking_id = NULL WHERE booking_id = {sale}",
     {"entries": ["{account}"], "bookings": ["{account}/{sale}"],
      "decisions": ["{account}/{sale}"]}),
    ("a posting of another message", "UPDATE postings SET booking_id = 1 WHERE booking_id = {sale}",
     {"entries": ["{account}/1"], "bookings": ["{account}/{sale}"],
      "decisions": ["{account}/{sale}"]}),
    ("a debit posted as a credit",
     "UPDATE postings SET amount_minor = -amount_minor WHERE booking_id IN ({sale}, {refund})",
     {"posted": ["{account}"], "bookings": ["{account}/{sale}", "{account}/{refund}"]}),
    ("what a message posted", "UPDATE authorizations SET posted_minor = 619"
     " WHERE authorization_id = {completion}",
     {"bookings": ["{account}/{completion}"], "purchases": ["{account}/{root}"]}),
    ("an approval without its hold", "DELETE FROM holds WHERE state = 'reversed'",
     {"decisions": ["{account}/{reversed}"]}),
    ("what stands", "UPDATE authorizations SET standing_minor = 1051"
     " WHERE authorization_id = {open}",
     {"purchases": ["{account}/{open}"]}),
    ("what stands on another row", "UPDATE authorizations SET standing_minor ="
     " CASE authorization_id WHEN {increment} THEN 50 ELSE 1000 END"
     " WHERE authorization_id IN ({open}, {increment})",
     {"purchases": ["{account}/{open}"]}),
    ("a root that is gone", "DELETE FROM authorizations WHERE authorization_id = {root}",
     {"purchases": ["{account}/{root}"], "usage": ["{account}/{account} all day {day}",
      "{account}/{account} all month {month}", "{account}/{account} all week {week}"],
      "keys": ["{account}/{root}"]}),
    ("more use than stands", "UPDATE authorizations SET using_minor = 1"
     " WHERE authorization_id = {refund}; UPDATE authorizations SET standing_minor = 0"
     " WHERE authorization_id = {refund}",
     {"purchases": ["{account}/{refund}"], "uses": ["{account}/{refund}"],
      "usage": ["{account}/{account} all day {day}", "{account}/{account} all month {month}",
                "{account}/{account} all week {week}"]}),
    ("more cash than use", "UPDATE authorizations SET using_cash_minor = 1"
     " WHERE authorization_id = {declined}",
     {"uses": ["{account}/{declined}"]}),
    ("what is used", f"UPDATE limit_usage SET amount_minor = amount_minor + 1 WHERE {TODAY}",
     {"usage": ["{account}/{account} all day {day}"]}),
    ("how often it is used", f"UPDATE limit_usage SET count = count - 1 WHERE {TODAY}",
     {"usage": ["{account}/{account} all day {day}"]}),
    ("a key that is gone", "DELETE FROM message_keys WHERE authorization_id = {declined}",
     {"keys": ["{account}/{declined}"]}),
    ("a row twice", "UPDATE authorizations AS z SET message_key = o.message_key"
     " FROM authorizations AS o WHERE z.authorization_id = {declined}"
     " AND o.authorization_id = {sale};"
     " DELETE FROM message_keys WHERE authorization_id = {declined}",
     {"keys": ["{account}/{declined}"]}),
    ("a hold that was unwound", "UPDATE authorizations SET unwound_at = now()"
     " WHERE authorization_id = {cash}",
     {"undone": ["{account}/{cash}"]}),
    ("a hold beyond its time", "UPDATE holds SET expires_at = now() - interval '2 minutes'"
     " WHERE authorization_id = {cash}",
     {"expiry": ["{account}/{cash}"]}),
]  # fmt: skip


@pytest.mark.parametrize(("what", "sql", "expected"), BREAKS, ids=[what for what, *_ in BREAKS])
async def test_what_is_wrong_is_named(
    books: Books, database: str, what: str, sql: str, expected: dict[str, list[str]]
) -> None:
    """Whatever is broken by hand breaks the rules about it, which name it, and no other rule."""
    named = await by_hand.everything(books)
    starts = {
        period: str(await books.connection.fetchval(
            "SELECT period_start_v1($1, $2, 'UTC', 1::smallint)", period, by_hand.noon()
        ))
        for period in ("day", "week", "month")
    }  # fmt: skip
    await books.connection.execute(sql.format(**named))
    wanted = {rule: [name.format(**named, **starts) for name in names]
              for rule, names in expected.items()}  # fmt: skip
    found = await broken(database)
    assert {rule: sorted(names) for rule, names in wanted.items()} == {
        rule: sorted(names) for rule, names in found.items()
    }


async def test_a_hold_is_not_late_at_once(books: Books, database: str) -> None:
    """A hold that the sweeper has had no minute for is no finding."""
    named = await by_hand.everything(books)
    await books.connection.execute(
        "UPDATE holds SET expires_at = now() - interval '5 seconds' WHERE authorization_id = $1",
        named["cash"],
    )
    assert {} == await broken(database)


async def test_only_so_many_are_named(books: Books, database: str) -> None:
    """A rule counts everything that is wrong, and names twenty of it over all batches."""
    for _ in range(30):
        await books.account()
    await books.connection.execute("UPDATE accounts SET posted_minor = posted_minor + 1")
    finding = (await audit(database, batch=7))[0]
    assert (30, 30, 20) == (finding.checked, finding.wrong, len(finding.named))
    assert "30 wrong: " in str(finding)
    assert " and 10 more — " in str(finding)


async def test_usage_before_its_limit_is_not_counted(books: Books, database: str) -> None:
    """A limit that is younger than a purchase of its period does not count that."""
    account = await books.account()
    await by_hand.authorized(books, account, 10, received_at=by_hand.noon())
    await by_hand.authorized(books, account, 20, received_at=by_hand.noon() + timedelta(hours=2))
    await by_hand.insert(
        books, "limit_usage", account_id=account, card_id=account, scope="all", period="day",
        period_start=by_hand.noon().date(), amount_minor=20, count=1,
        counted_from=by_hand.noon() + timedelta(hours=1),
    )  # fmt: skip
    assert {} == await broken(database)


async def test_a_day_is_the_programs_own(books: Books, database: str) -> None:
    """What was bought at 22:30 UTC is of the next day for a program in Berlin, in winter too."""
    program = await books.program(7, time_zone="Europe/Berlin")
    account = await books.account(program_id=program)
    late = by_hand.noon().replace(hour=23, minute=30)
    await by_hand.authorized(books, account, 10, received_at=late)
    for day, minor in ((late.date(), 0), (late.date() + timedelta(days=1), 10)):
        await by_hand.insert(
            books, "limit_usage", account_id=account, card_id=account, scope="all", period="day",
            period_start=day, amount_minor=minor, count=minor // 10,
            counted_from=late - timedelta(days=2),
        )  # fmt: skip
    assert {} == await broken(database)


async def test_a_right_to_read_is_enough(books: Books, database: str) -> None:
    """The audit changes nothing: a role that may only read can make it."""
    await by_hand.everything(books)
    await books.connection.execute(
        "CREATE ROLE auditor LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO auditor"
    )
    try:
        assert {} == await broken(database.replace("user=switch", "user=auditor"))
    finally:
        await books.connection.execute("DROP OWNED BY auditor; DROP ROLE auditor")


async def test_beside_decisions(books: Books, database: str, tmp_path: Path) -> None:
    """While accounts are spent from all the time, every audit finds every batch right."""
    accounts = [await books.account(posted_minor=10**9) for _ in range(4)]
    for account in accounts:
        await books.limit(account, amount_minor=10**9)
    audited = asyncio.Event()
    async with ledger_on(database, tmp_path / "unwinds") as ledger:

        async def spend(account: int) -> int:
            spent = 0
            while not audited.is_set():
                await authorize(ledger, ask(account))
                spent += 1
            return spent

        spenders = [asyncio.create_task(spend(account)) for account in accounts]
        try:
            for batch in (1, 2, 3, 1_000):
                assert {} == await broken(database, batch)
        finally:
            audited.set()
            spent = await asyncio.gather(*spenders)
    assert min(spent) > 0
    assert {} == await broken(database)


async def test_without_a_database() -> None:
    """Where nothing answers there is one line, which says why."""
    with pytest.raises(AuditError, match="does not answer the audit: "):
        await audit("postgresql://switch@127.0.0.1:1/switch")


# The command.


async def test_the_command_says_what_is_wrong(books: Books, database: str) -> None:
    """One line a rule; the exit code is 0, and 1 where one is broken."""
    named = await by_hand.everything(books)
    settings = {"database__url": as_setting(database)}
    said = await asyncio.to_thread(typed, "audit", settings=settings)
    assert (0, "") == (said.exit_code, said.stderr)
    assert list(RULES) == [line.split()[1] for line in said.stdout.splitlines()]
    await books.connection.execute("UPDATE accounts SET held_minor = held_minor + 1")
    said = await asyncio.to_thread(typed, "audit", "--batch", "1", settings=settings)
    assert 1 == said.exit_code
    (line,) = [line for line in said.stdout.splitlines() if line.startswith("BROKEN")]
    assert ["BROKEN", "held", "1", "1", "wrong:", str(named["account"])] == line.split()[:6]


def test_the_command_helps_with_an_example() -> None:
    """Help says what it does, and shows how it is typed."""
    said = typed("audit", "--help")
    assert (0, "") == (said.exit_code, said.stderr)
    assert "switch audit" in said.stdout.partition("Example: ")[2]


def test_the_command_does_not_migrate(raw_database: str) -> None:
    """A database that is behind is refused with one line, and left as it is."""
    settings = {"database__url": as_setting(raw_database)}
    for _ in range(2):
        said = typed("audit", settings=settings)
        assert (1, "") == (said.exit_code, said.stdout)
        assert "run `switch migrate` first" in said.stderr
        assert 1 == said.stderr.count("\n")


async def test_the_command_beside_a_running_switch(quick_path: Path) -> None:
    """The embedded database of a running switch is audited, and left running."""
    with running(quick_path) as switch:
        postmaster = switch.postmaster()
        settings = switch.settings | {"database__data_dir": switch.data_dir}
        said = await asyncio.to_thread(typed, "audit", settings=settings)
        assert (0, "") == (said.exit_code, said.stderr)
        assert postmaster == switch.postmaster()
        connection = await asyncpg.connect(switch.database_url)
        await connection.close()
