"""Rows of a ledger made by hand, as the functions would leave them: what audits are tried on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.ledger.support import Books, number

#: What a journal row has where nothing else is said: a declined authorization.
_ROW: dict[str, Any] = {
    "link": "demo", "scheme": "demo", "mti": "0100", "stan": "000001",
    "transmission_datetime": "1123120000",
    "acquirer": "476173", "terminal": "TERM0001", "processing_code": "000000",
    "kind": "purchase", "channel": "chip", "transaction_minor": 0, "transaction_currency": "978",
    "amount_minor": 0, "cash_minor": 0, "available_minor": 0,
}  # fmt: skip


def noon() -> datetime:
    """A moment of today, in whose day, week and month tests receive."""
    return datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


async def insert(books: Books, table: str, **values: Any) -> None:
    """Insert one row."""
    places = ", ".join(f"${place}" for place in range(1, len(values) + 1))
    await books.connection.execute(
        f"INSERT INTO {table} ({', '.join(values)}) VALUES ({places})", *values.values()
    )


async def month(books: Books, months_ago: int) -> datetime:
    """The middle of a past month, for which there are partitions then."""
    moment: datetime = await books.connection.fetchval(
        "SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $1)"
        " + interval '14 days') AT TIME ZONE 'UTC'",
        months_ago,
    )
    for table in ("authorizations", "postings"):
        await books.connection.execute(
            "SELECT make_partition_v1($1, date_trunc('month', $2::timestamptz)::date)",
            table, moment,
        )  # fmt: skip
    return moment


async def row(books: Books, account_id: int, **values: Any) -> int:
    """A journal row with its message key; gives its number."""
    one = number()
    values = _ROW | {"received_at": noon(), "card_id": account_id, "rrn": f"{one:012d}"} | values
    key = one.to_bytes(16)
    await insert(
        books, "authorizations", account_id=account_id, authorization_id=one, message_key=key,
        **values,
    )  # fmt: skip
    await insert(
        books, "message_keys", account_id=account_id, message_key=key, authorization_id=one,
        received_at=values["received_at"],
    )  # fmt: skip
    return one


async def hold(
    books: Books, account_id: int, authorization_id: int, minor: int, **values: Any
) -> None:
    """A hold; what is open is held of its account."""
    values = {
        "purchase_id": authorization_id, "state": "open", "received_at": noon(),
        "expires_at": datetime.now(UTC) + timedelta(days=7),
    } | values  # fmt: skip
    await insert(
        books, "holds", account_id=account_id, authorization_id=authorization_id,
        amount_minor=minor, **values,
    )  # fmt: skip
    if values["state"] == "open":
        await books.connection.execute(
            "UPDATE accounts SET held_minor = held_minor + $2 WHERE account_id = $1",
            account_id, minor,
        )  # fmt: skip


async def posting(
    books: Books, account_id: int, booking_id: int, minor: int, **values: Any
) -> None:
    """A posting with the scheme."""
    values = {"posted_at": noon(), "contra": "settlement", "currency": "978"} | values
    await insert(
        books, "postings", account_id=account_id, posting_id=number(), booking_id=booking_id,
        amount_minor=minor, authorization_id=booking_id, scheme="demo", **values,
    )  # fmt: skip
    await books.connection.execute(
        "UPDATE accounts SET posted_minor = posted_minor + $2 WHERE account_id = $1",
        account_id, minor,
    )  # fmt: skip


async def authorized(
    books: Books, account_id: int, minor: int, *, state: str = "open", **values: Any
) -> int:
    """An approved 0100 with its hold; an open one stands, and uses limits."""
    stands = minor if state == "open" else 0
    received_at = values.get("received_at", noon())
    one = await row(
        books, account_id, amount_minor=minor,
        **{"standing_minor": stands, "using_minor": stands} | values,
    )  # fmt: skip
    await hold(books, account_id, one, minor, state=state, received_at=received_at)
    return one


async def completed(
    books: Books, account_id: int, held: int, minor: int, received_at: datetime | None = None
) -> tuple[int, int]:
    """An 0100 and its completion for another amount: the numbers of both."""
    at = received_at or noon()
    root = await authorized(
        books, account_id, held, state="completed", standing_minor=minor,
        using_minor=min(held, minor), received_at=at,
    )  # fmt: skip
    completion = await row(
        books, account_id, mti="0220", amount_minor=minor, posted_minor=minor, purchase_id=root,
        purchase_received_at=at, received_at=at,
    )  # fmt: skip
    await posting(books, account_id, completion, -minor, posted_at=at)
    return root, completion


async def posted(books: Books, account_id: int, minor: int, **values: Any) -> int:
    """An approved 0200, with its posting; a credit uses no limits."""
    is_credit = values.get("kind") == "refund"
    one = await row(
        books, account_id, mti="0200", amount_minor=minor, standing_minor=minor,
        posted_minor=minor, using_minor=0 if is_credit else minor, **values,
    )  # fmt: skip
    at = values.get("received_at", noon())
    await posting(books, account_id, one, minor if is_credit else -minor, posted_at=at)
    return one


async def everything(books: Books) -> Mapping[str, int]:
    """One account with one of everything, as the functions would leave it; its numbers by name."""
    account = await books.account(posted_minor=1_000_000)
    open_one = await authorized(books, account, 1_000)
    cash = await authorized(books, account, 700, kind="cash", cash_minor=700, using_cash_minor=700)
    reversed_one = await authorized(books, account, 300, state="reversed")
    root, completion = await completed(books, account, 500, 620)
    increment = await row(
        books, account, amount_minor=50, using_minor=50, purchase_id=open_one,
        purchase_received_at=noon(),
    )  # fmt: skip
    await hold(books, account, increment, 50, purchase_id=open_one)
    await books.connection.execute(
        "UPDATE authorizations SET standing_minor = 1050 WHERE authorization_id = $1", open_one
    )
    sale = await posted(books, account, 400)
    refund = await posted(books, account, 90, kind="refund")
    declined = await row(books, account, amount_minor=5, reason="insufficient_funds")
    await books.connection.execute(
        "INSERT INTO limit_usage (account_id, card_id, scope, period, period_start, amount_minor,"
        " count, counted_from) SELECT $1, $1, scope, period,"
        " period_start_v1(period, $2, 'UTC', 1::smallint), minor, used, $2"
        " FROM (VALUES ('all', 2650, 5), ('cash', 700, 1)) AS u(scope, minor, used),"
        " (VALUES ('day'), ('week'), ('month')) AS p(period)",
        account, noon(),
    )  # fmt: skip
    return {
        "account": account, "open": open_one, "cash": cash, "reversed": reversed_one,
        "root": root, "completion": completion, "increment": increment, "sale": sale,
        "refund": refund, "declined": declined,
    }  # fmt: skip
