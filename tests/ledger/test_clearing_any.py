"""Whatever order presentments come in, and however often: they come to the same money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.ledger.calls import AuthorizationCall
from switch.ledger.clearing_record import ClearingRecord
from switch.operate.audit import audit
from switch.wire.requests import Money
from tests.ledger.presentments import (
    book,
    clear,
    file_of,
    issue,
    money,
    presented,
    reversal,
)
from tests.ledger.support import Books, ask, number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Where what cannot be converted goes.
YEN, SUSPENSE = "392", -1_392


class Stopped(Exception):
    """An import was stopped."""


@dataclass(frozen=True)
class Bought:
    """Something that was bought online."""

    how: str
    minor: int
    code: str  #: of two purchases it may be the same


@dataclass(frozen=True)
class Cleared:
    """A record, by what it is about."""

    reference: int
    bought: int
    clue: str
    minor: int
    sequence: str
    kind: str
    currency: str
    reversed_minor: int  #: beside it stands its reversal, of so much; zero: none


purchases = st.builds(
    Bought,
    st.sampled_from(["held", "posted", "completed", "completed in part", "declined", "reversed"]),
    st.sampled_from([300, 1_000]),
    st.sampled_from(["CODE01", "CODE02"]),
)
records = st.builds(
    Cleared,
    st.integers(1, 9),
    st.integers(0, 2),
    st.sampled_from(["scheme", "code", "rrn", "none"]),
    st.sampled_from([200, 350, 1_000, 1_100]),
    st.sampled_from(["", "", "0102", "0202", "0103"]),
    st.sampled_from(["presentment", "presentment", "presentment", "second_presentment"]),
    st.sampled_from(["978", "978", "978", YEN]),
    st.sampled_from([0, 0, 150, 1_100]),
)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    bought=st.lists(purchases, min_size=1, max_size=3),
    cleared=st.lists(records, min_size=1, max_size=6, unique_by=lambda one: one.reference),
    cut=st.integers(0, 12),
    stop_after=st.integers(1, 4),
    data=st.data(),
)
async def test_any_order_comes_to_the_same(
    books: Books,
    bought: list[Bought],
    cleared: list[Cleared],
    cut: int,
    stop_after: int,
    data: st.DataObject,
) -> None:
    """Two files in any order, a line twice, one stopped and one imported again: as one file."""
    suspense = await money(books, SUSPENSE)
    account_id, token, calls = await buy(books, bought)
    await clear(books, *all_records(cleared, calls, token))
    expected = await money(books, account_id)
    moved = (await money(books, SUSPENSE))[0] - suspense[0]

    suspense = await money(books, SUSPENSE)
    account_id, token, calls = await buy(books, bought)
    shuffled = all_records(cleared, calls, token)
    shuffled = data.draw(st.permutations([*shuffled, shuffled[0]]))
    files = [file_of(shuffled[:cut]), file_of(shuffled[cut:])]
    with suppress(Stopped):  # the file may be shorter than that
        await clear(books, file=files[cut % 2], batch=1, progress=stopping_at(stop_after))
    for file in (*files, files[0]):
        await clear(books, file=file, batch=2)
    assert expected == await money(books, account_id)
    assert moved == (await money(books, SUSPENSE))[0] - suspense[0]


async def test_the_books_are_right(books: Books, shared_database: str) -> None:
    """After all that was done on this page every rule of the audit holds."""
    assert [] == [str(finding) for finding in await audit(shared_database) if finding.wrong]


def stopping_at(count: int) -> Callable[[int], None]:
    """A progress that ends an import once so many records are settled."""

    def progress(settled: int) -> None:
        if settled >= count:
            raise Stopped

    return progress


async def buy(books: Books, bought: Sequence[Bought]) -> tuple[int, bytes, list[AuthorizationCall]]:
    """An account and its card's token, with all this bought."""
    account_id, token = await issue(books, posted_minor=10_000)
    calls = []
    for place, one in enumerate(bought):
        is_single = one.how in ("posted", "reversed")
        call = ask(
            account_id, 90_000 if one.how == "declined" else one.minor,
            mti="0200" if is_single else "0100", books="posting" if is_single else "hold",
            authorization_code=one.code, scheme_transaction_id=f"{number()}-{place}",
        )  # fmt: skip
        await books.decide(call)
        if one.how.startswith("completed"):
            is_final = one.how == "completed"
            await book(books, call, "complete", one.minor - 50, is_final=is_final)
        if one.how == "reversed":
            await book(books, call, "reverse", one.minor)
        calls.append(call)
    return account_id, token, calls


def all_records(
    cleared: Sequence[Cleared], calls: Sequence[AuthorizationCall], token: bytes
) -> list[ClearingRecord]:
    """The records and their reversals, each beside its own."""
    found = []
    for one in cleared:
        call = calls[one.bought % len(calls)]
        clues: dict[str, dict[str, Any]] = {
            "scheme": {"scheme_transaction_id": call.scheme_transaction_id},
            "code": {},
            "rrn": {"rrn": call.rrn},
            "none": {"authorization_code": None},
        }
        record = replace(
            presented(call, token, **clues[one.clue]),
            reference=f"{one.reference:023d}",
            kind=one.kind,
            transaction=Money(one.minor, one.currency),
            sequence=one.sequence,
        )
        found.append(record)
        if one.reversed_minor:
            found.append(reversal(record, one.reversed_minor))
    return found
