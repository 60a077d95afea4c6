"""What the bench puts into a database is what the switch would: the audit finds it right."""

from __future__ import annotations

import asyncpg

from benchmarks import history
from benchmarks.rig import run
from benchmarks.yardstick import SETUP
from switch.ledger.queries import QUERIES
from switch.operate.audit import audit
from tests.conftest import PostgresServer
from tests.ledger.support import PROGRAM, Books
from tests.process import as_setting

CARDS = 7


async def load_cards(books: Books) -> None:
    """Cards as load tests have them."""
    numbers = range(1_000_001, 1_000_001 + CARDS)
    for number in numbers:
        await books.connection.execute(
            "INSERT INTO accounts (account_id, reference, program_id, currency)"
            " VALUES ($1, $2, $3, '978')",
            number, f"load-{number}", PROGRAM,
        )  # fmt: skip
        await books.card(number, number)
    await books.connection.execute(
        QUERIES["open_accounts"], list(numbers), [100_000_000] * len(numbers)
    )


async def findings(url: str) -> dict[str, int]:
    """What an audit checked; it finds nothing wrong."""
    found = await audit(url)
    assert [] == [str(finding) for finding in found if finding.wrong]
    return {finding.rule: finding.checked for finding in found}


async def test_a_history_is_right(database: str, postgres_server: PostgresServer) -> None:
    """Half its messages are authorizations, half their completions, over all its months."""
    books = await Books.open(database)
    await load_cards(books)
    await history.fill(postgres_server.embedded, messages=600, url=as_setting(database))
    checked = await findings(database)
    assert (600, 300, 300) == (checked["keys"], checked["decisions"], checked["purchases"])
    months = await books.connection.fetchval(
        "SELECT count(DISTINCT date_trunc('month', received_at AT TIME ZONE 'UTC'))"
        " FROM authorizations"
    )
    assert months >= history.MONTHS
    await books.connection.close()


async def test_the_yardstick_is_right(database: str, postgres_server: PostgresServer) -> None:
    """What pgbench decides is held, counted and answered again as the switch would."""
    books = await Books.open(database)
    await load_cards(books)
    await run(
        postgres_server.embedded.bin_dir / "psql", "--no-psqlrc", "--quiet",
        "--set=ON_ERROR_STOP=1", f"--file={SETUP}", as_setting(database),
    )  # fmt: skip

    async def ask(card: int, key: int, minor: int, expiry: str = "9912") -> list[object]:
        row = await books.connection.fetchrow(
            "SELECT * FROM bench_authorize_one(bench_token($1), int8send($2), int8send($2),"
            " now() + interval '1 hour', $4, 60, NULL, NULL, 'purchase', 'stripe', $3, 0, $3,"
            " '978', '000000', '0100', '1', '1231235959', '1', '476173', 'T', 'M', 'S', '5411',"
            " '276', '901', 'pgbench', '123456')",
            card, key, minor, expiry,
        )  # fmt: skip
        assert isinstance(row, asyncpg.Record)
        return list(row.values())

    plain, limited = 1_000_001, 1_000_002
    await books.limit(limited, amount_minor=1_000)
    assert ["decided", None, "123456", 99_999_000] == await ask(plain, 1, 1_000)
    assert ["repeated", None, "123456", 99_999_000] == await ask(plain, 1, 1_000)
    assert ["decided", None, "123456", 99_999_100] == await ask(limited, 2, 900)
    assert ["decided", "limit_amount", None, 99_999_100] == await ask(limited, 3, 900)
    assert ["decided", "insufficient_funds", None, 99_999_000] == await ask(plain, 4, 99_999_001)
    assert ["decided", "card_expired", None, 99_999_000] == await ask(plain, 5, 10, "9901")
    checked = await findings(database)
    assert (5, 2, 1) == (checked["keys"], checked["decisions"], checked["usage"])
    await books.connection.close()
