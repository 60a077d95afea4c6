"""What tests of maintenance share: a past, a run, and what is right afterwards."""

from __future__ import annotations

from switch.ledger.maintain import Keep, maintain
from switch.operate.audit import audit
from tests.ledger import by_hand
from tests.ledger.support import Books

KEEP = Keep(months=3, days=60, event_days=7, is_published=False)


async def maintained(url: str, keep: Keep = KEEP) -> list[str]:
    """What a run says that it did, but for the months ahead."""
    said: list[str] = []
    await maintain(url, keep, said.append)
    return [line for line in said if not line.startswith("made ")]


async def assert_right(url: str) -> None:
    """The audit finds nothing."""
    assert [] == [str(finding) for finding in await audit(url) if finding.wrong]


async def tables(books: Books, pattern: str = "%") -> dict[str, bool]:
    """The months of journal and postings by name, and whether each is attached."""
    rows = await books.connection.fetch(
        "SELECT relname, relispartition FROM pg_class WHERE relkind = 'r'"
        " AND relname ~ '^(authorizations|postings)_' AND relname LIKE $1 ORDER BY relname",
        pattern,
    )
    return {row["relname"]: row["relispartition"] for row in rows}


async def with_history(books: Books, months_ago: int) -> int:
    """An account that bought, was refunded and completed in a past month, and buys today."""
    account = await books.account(posted_minor=0)
    then = await by_hand.month(books, months_ago)
    await by_hand.insert(
        books, "postings", account_id=account, posting_id=-account, posted_at=then,
        contra="opening", amount_minor=100_000, currency="978",
    )  # fmt: skip
    await books.connection.execute(
        "UPDATE accounts SET posted_minor = 100000 WHERE account_id = $1", account
    )
    await by_hand.completed(books, account, 500, 620, received_at=then)
    await by_hand.posted(books, account, 90, kind="refund", received_at=then)
    await by_hand.authorized(books, account, 77, state="expired", received_at=then)
    await by_hand.authorized(books, account, 1_000)
    await by_hand.posted(books, account, 400)
    return account
