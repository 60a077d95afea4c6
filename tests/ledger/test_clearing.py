"""What presentments do to money: the rules of docs/clearing.md, one by one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from switch.operate.audit import audit
from switch.wire.requests import Money
from tests.ledger.presentments import (
    book,
    clear,
    file_of,
    held,
    issue,
    money,
    posted,
    presented,
    presentment,
    reversal,
)
from tests.ledger.support import Books, ask

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

HAD = 100_000


# ---- what is found ----------------------------------------------------------------------------


async def test_a_presentment_completes_its_hold(books: Books) -> None:
    """The amount is posted in full and the hold is closed, for more and for less than held."""
    for minor in (1_000, 1_150, 400):
        account_id, token = await issue(books)
        call = await held(books, account_id)
        record = presented(call, token, transaction=Money(minor, "978"))
        assert ["matched"] == await clear(books, record)
        assert (HAD - minor, 0) == await money(books, account_id)
        assert ["completed"] == await books.holds(account_id)


async def test_what_it_is_found_by(books: Books) -> None:
    """Scheme id; RRN with the code or the acquirer; the code alone: each of these finds it."""
    clues: list[dict[str, Any]] = [
        {"scheme_transaction_id": "SCHEME1", "transaction": Money(9_000, "978")},
        {"rrn": "000000000007", "authorization_code": "COD123", "transaction": Money(9_000, "978")},
        {"rrn": "000000000007", "acquirer": "0476173"},
        {"authorization_code": "COD123"},
    ]
    for clue in clues:
        account_id, token = await issue(books)
        await held(
            books, account_id, rrn="000000000007", scheme_transaction_id="SCHEME1",
            authorization_code="COD123",
        )  # fmt: skip
        assert ["matched"] == await clear(books, presentment(token, **clue)), clue
        assert 0 == (await money(books, account_id))[1]


async def test_what_it_is_not_found_by(books: Books) -> None:
    """Another code, acquirer or card, too large an amount, a credit: posted all the same."""
    account_id, token = await issue(books)
    call = await held(books, account_id, rrn="000000000008")
    others: list[dict[str, Any]] = [
        {"authorization_code": "NOT IT"},
        {"authorization_code": None, "rrn": "000000000008", "acquirer": "1"},
        {"transaction": Money(1_201, "978")},
        {"purchase_kind": "refund"},
    ]
    for other in others:
        assert ["unmatched"] == await clear(books, presented(call, token, **other)), other
    await books.card(account_id, 7)
    other_token = bytes(31) + b"\x07"
    await books.connection.execute(
        "INSERT INTO pan_tokens VALUES ($1, 0, $2, 7)", other_token, account_id
    )
    assert ["unmatched"] == await clear(books, presented(call, other_token))
    assert (HAD - 1_000 - 1_000 - 1_201 + 1_000 - 1_000, 1_000) == await money(books, account_id)


async def test_the_tolerance_is_the_program_s(books: Books) -> None:
    """Its `clearing_tolerance_percent` says how much more than authorized the code still finds."""
    settings = '{"clearing_tolerance_percent": 50}'
    program = await books.program(77, settings=settings)
    account_id, token = await issue(books, program_id=program)
    call = await held(books, account_id)
    assert ["matched"] == await clear(
        books, presented(call, token, transaction=Money(1_500, "978"))
    )
    assert ["unmatched"] == await clear(
        books, presented(call, token, transaction=Money(1_501, "978"))
    )


async def test_an_increment_counts_as_authorized(books: Books) -> None:
    """What increments added is part of what a presentment may come to, and is released too."""
    account_id, token = await issue(books)
    call = await held(books, account_id, scheme_transaction_id="STAY1")
    await held(
        books, account_id, 2_000, is_increment=True, scheme_transaction_id="STAY1",
        original_trace=call.message_key[:8],
    )  # fmt: skip
    assert (HAD, 3_000) == await money(books, account_id)
    assert ["matched"] == await clear(
        books, presented(call, token, transaction=Money(3_000, "978"))
    )
    assert (HAD - 3_000, 0) == await money(books, account_id)


async def test_an_approval_goes_before_a_newer_decline(books: Books) -> None:
    """Of two messages with one scheme id the approved one is meant; a decline alone is told."""
    account_id, token = await issue(books)
    await held(books, account_id, scheme_transaction_id="TWICE")
    await books.decide(ask(account_id, 900_000, scheme_transaction_id="TWICE"))
    await books.decide(ask(account_id, 900_000, scheme_transaction_id="NEVER"))
    assert ["matched", "declined"] == await clear(
        books,
        presentment(token, scheme_transaction_id="TWICE"),
        presentment(token, 500, scheme_transaction_id="NEVER"),
    )
    assert (HAD - 1_500, 0) == await money(books, account_id)


async def test_what_was_presented_before_changes_nothing_of_what_is_found(books: Books) -> None:
    """Of two purchases under one code the newest that fits is meant, completed or not."""
    for minors in ([350, 1_000], [1_000, 350]):
        account_id, token = await issue(books)
        await held(books, account_id, 300, authorization_code="COD123")
        call = await held(books, account_id, 1_000, authorization_code="COD123")
        records = [presented(call, token, transaction=Money(minor, "978")) for minor in minors]
        assert ["matched", "again"] == await clear(books, *records)
        assert (HAD - 1_350, 300) == await money(books, account_id)


async def test_a_file_is_imported_beside_decisions(books: Books, shared_database: str) -> None:
    """An account that somebody works on is waited for; others of its batch do not wait."""
    (busy, busy_token), (free, token) = await issue(books), await issue(books)
    other = await asyncpg.connect(shared_database)
    try:
        await other.execute("BEGIN")
        await other.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", busy)
        settled: list[int] = []

        def progress(count: int) -> None:
            settled.append(count)
            if settled == [1]:
                releasing.append(asyncio.ensure_future(other.execute("ROLLBACK")))

        releasing: list[asyncio.Future[str]] = []
        records = presentment(busy_token), presentment(token)
        assert ["unmatched"] * 2 == await clear(books, *records, progress=progress)
        assert (1, 2) == (settled[0], settled[-1])
    finally:
        await other.close()
    for account_id in (busy, free):
        assert (HAD - 1_000, 0) == await money(books, account_id)


async def test_use_of_limits_follows(books: Books) -> None:
    """A purchase that was presented for less uses less of its limits."""
    account_id, token = await issue(books)
    await books.limit(account_id, amount_minor=50_000)
    call = await held(books, account_id)
    await clear(books, presented(call, token, transaction=Money(300, "978")))
    assert {("all", "day"): (300, 1)} == await books.usage(account_id)


# ---- several for one purchase -----------------------------------------------------------------


async def test_not_the_last_one_reduces_the_hold(books: Books) -> None:
    """The first of two takes its amount off the hold; the last one closes what is left."""
    account_id, token = await issue(books)
    call = await held(books, account_id)
    first = presented(call, token, sequence="0102", transaction=Money(300, "978"))
    assert ["matched"] == await clear(books, first)
    assert (HAD - 300, 700) == await money(books, account_id)
    last = replace(first, sequence="0202")
    assert ["matched"] == await clear(books, last)
    assert (HAD - 600, 0) == await money(books, account_id)


async def test_another_after_the_last_is_posted_and_told(books: Books) -> None:
    """One with a reference of its own is the scheme's word: posted, and to be looked at."""
    account_id, token = await issue(books)
    call = await held(books, account_id)
    assert ["matched", "again"] == await clear(
        books, presented(call, token), presented(call, token)
    )
    assert (HAD - 2_000, 0) == await money(books, account_id)


async def test_the_same_is_posted_once(books: Books) -> None:
    """One reference in two lines or files is one presentment; another amount of it is told."""
    account_id, token = await issue(books)
    record = presentment(token)
    other_amount = replace(record, transaction=Money(900, "978"))
    assert ["unmatched", "duplicate"] == await clear(books, record, record)
    assert ["duplicate", "conflict"] == await clear(books, record, other_amount)
    assert (HAD - 1_000, 0) == await money(books, account_id)


async def test_a_second_presentment_posts(books: Books) -> None:
    """It comes after a chargeback: posted beside the first one of the same reference, once."""
    account_id, token = await issue(books)
    call = await posted(books, account_id)
    first = presented(call, token)
    second = replace(first, kind="second_presentment")
    assert ["confirmed", "matched", "duplicate"] == await clear(books, first, second, second)
    assert (HAD - 2_000, 0) == await money(books, account_id)
    assert ["reversed"] == await clear(books, reversal(second))
    assert (HAD - 1_000, 0) == await money(books, account_id)


# ---- what was posted online -------------------------------------------------------------------


async def test_what_was_posted_is_not_posted_again(books: Books) -> None:
    """The presentment of an 0200 or of a completed 0100 confirms it: nothing moves."""
    account_id, token = await issue(books)
    single = await posted(books, account_id)
    dual = await held(books, account_id)
    assert "posted" == await book(books, dual, "complete", 1_100)
    record = presented(dual, token, transaction=Money(1_100, "978"))
    assert ["confirmed", "confirmed"] == await clear(books, presented(single, token), record)
    assert (HAD - 2_100, 0) == await money(books, account_id)


@pytest.mark.parametrize("minor", [600, 1_150])
async def test_a_final_presentment_says_what_it_came_to(books: Books, minor: int) -> None:
    """Where it differs from what was posted online, the difference moves and is told."""
    for online in (posted, held):
        account_id, token = await issue(books)
        call = await online(books, account_id)
        if online is held:
            assert "posted" == await book(books, call, "complete", 1_000)
        record = presented(call, token, transaction=Money(minor, "978"))
        assert ["adjusted"] == await clear(books, record)
        assert (HAD - minor, 0) == await money(books, account_id)


async def test_an_0200_in_two_presentments(books: Books) -> None:
    """While more are to come nothing is given back; together they are what it came to."""
    account_id, token = await issue(books)
    call = await posted(books, account_id)
    first = presented(call, token, sequence="0102", transaction=Money(600, "978"))
    assert ["confirmed"] == await clear(books, first)
    assert (HAD - 1_000, 0) == await money(books, account_id)
    last = replace(first, sequence="0202", transaction=Money(500, "978"))
    assert ["adjusted"] == await clear(books, last)
    assert (HAD - 1_100, 0) == await money(books, account_id)


async def test_presented_after_its_reversal(books: Books) -> None:
    """What was reversed online and is presented all the same is posted, and told."""
    account_id, token = await issue(books)
    call = await posted(books, account_id)
    assert "reversed" == await book(books, call, "reverse", 1_000)
    assert ["after_reversal"] == await clear(books, presented(call, token))
    assert (HAD - 1_000, 0) == await money(books, account_id)


async def test_a_refund_is_confirmed(books: Books) -> None:
    """A credit goes toward the account, and one that an 0200 posted is not posted again."""
    account_id, token = await issue(books)
    call = await posted(books, account_id, 700, kind="refund")
    other = presentment(token, 50, purchase_kind="refund")
    assert ["confirmed", "unmatched"] == await clear(books, presented(call, token), other)
    assert (HAD + 750, 0) == await money(books, account_id)
    assert ["reversed"] == await clear(books, reversal(other))
    assert (HAD + 700, 0) == await money(books, account_id)


# ---- reversals --------------------------------------------------------------------------------


async def test_a_reversal_gives_back_what_it_was(books: Books) -> None:
    """In parts, never more than its presentment came to, each part once."""
    account_id, token = await issue(books)
    record = presentment(token)
    await clear(books, record)
    part = reversal(record, 300)
    assert ["reversed", "duplicate"] == await clear(books, part, part)
    assert (HAD - 700, 0) == await money(books, account_id)
    assert ["reversed", "nothing"] == await clear(books, reversal(record), reversal(record, 200))
    assert (HAD, 0) == await money(books, account_id)


async def test_a_reversal_of_what_was_confirmed(books: Books) -> None:
    """It gives back what the 0200 posted. What was confirmed no message gives back: not twice."""
    account_id, token = await issue(books)
    for is_reversed_online in (False, True):
        call = await posted(books, account_id)
        record = presented(call, token)
        assert ["confirmed"] == await clear(books, record)
        if is_reversed_online:
            assert "nothing" == await book(books, call, "reverse", 1_000)
            assert (HAD - 1_000, 0) == await money(books, account_id)
        assert ["reversed"] == await clear(books, reversal(record))
        assert (HAD, 0) == await money(books, account_id)


async def test_a_reversal_that_was_here_first(books: Books) -> None:
    """It is remembered, and carried out when its presentment comes, in whatever file."""
    account_id, token = await issue(books)
    record = presentment(token)
    early = file_of([reversal(record, 300), reversal(record, 200)])
    assert ["remembered", "remembered"] == await clear(books, file=early)
    assert (HAD, 0) == await money(books, account_id)
    assert ["unmatched"] == await clear(books, record)
    assert (HAD - 500, 0) == await money(books, account_id)
    assert ["reversed", "reversed"] == await clear(books, file=early)


async def test_a_reversal_in_another_currency_moves_nothing(books: Books) -> None:
    """There is no rate to convert it by: it is told."""
    account_id, token = await issue(books)
    record = presentment(token)
    other = replace(reversal(record), transaction=Money(1_000, "840"))
    assert ["unmatched", "other_currency"] == await clear(books, record, other)
    assert (HAD - 1_000, 0) == await money(books, account_id)


# ---- currencies and suspense ------------------------------------------------------------------


async def test_the_billing_amount_is_posted(books: Books) -> None:
    """As it is given; without one by its original's rate, half up."""
    account_id, token = await issue(books)
    dollars = await held(
        books, account_id, 900, transaction_minor=1_000, transaction_currency="840"
    )
    billed = presented(dollars, token, billing=Money(910, "978"))
    assert ["matched"] == await clear(books, billed)
    assert (HAD - 910, 0) == await money(books, account_id)
    part = presented(dollars, token, transaction=Money(505, "840"))
    assert ["again"] == await clear(books, part)
    assert (HAD - 910 - 455, 0) == await money(books, account_id)
    assert ["reversed"] == await clear(books, reversal(part, 101))
    assert (HAD - 910 - 455 + 91, 0) == await money(books, account_id)


async def test_what_cannot_be_booked_goes_to_suspense(books: Books) -> None:
    """Unknown cards, closed accounts and currencies without a rate; its reversal finds it there."""
    before, _ = await money(books, -1_392)
    closed, closed_token = await issue(books, status="closed")
    euros, token = await issue(books)
    yen = Money(500, "392")
    records = [
        presentment(bytes(32), transaction=yen),
        presentment(closed_token, transaction=yen, billing=Money(4, "978")),
        presentment(token, transaction=yen),
    ]
    assert ["suspense"] * 3 == await clear(books, *records)
    assert (before - 1_500, 0) == await money(books, -1_392)
    assert ["reversed"] * 3 == await clear(books, *map(reversal, records))
    assert (before, 0) == await money(books, -1_392)
    for account_id in (closed, euros):
        assert (HAD, 0) == await money(books, account_id)


async def test_a_closed_account_pays_for_what_it_bought(books: Books) -> None:
    """A purchase that was authorized before the closing is posted on its account."""
    account_id, token = await issue(books)
    call = await held(books, account_id)
    await books.connection.execute(
        "UPDATE accounts SET status = 'closed' WHERE account_id = $1", account_id
    )
    assert ["matched"] == await clear(books, presented(call, token))
    assert (HAD - 1_000, 0) == await money(books, account_id)


async def test_two_unknown_cards_are_not_mistaken(books: Books) -> None:
    """On the suspense account one authorization code of two cards is two purchases."""
    one, other = (presentment(bytes([n]) * 32, authorization_code="SAME01") for n in (1, 2))
    assert ["suspense", "suspense"] == await clear(books, one, other)


async def test_a_card_that_is_added_later(books: Books) -> None:
    """Its presentment stays in suspense: again it is a duplicate, and its reversal goes there."""
    before, _ = await money(books, -1_978)
    account_id = await books.account()
    record = presentment(bytes([9]) * 32)
    assert ["suspense"] == await clear(books, record)
    await books.connection.execute(
        "INSERT INTO pan_tokens VALUES ($1, 0, $2, $2)", bytes([9]) * 32, account_id
    )
    assert ["duplicate", "reversed"] == await clear(books, record, reversal(record))
    assert (before, 0) == await money(books, -1_978)
    assert (HAD, 0) == await money(books, account_id)


async def test_the_books_are_right(books: Books, shared_database: str) -> None:
    """After all that was done on this page every rule of the audit holds."""
    assert [] == [str(finding) for finding in await audit(shared_database) if finding.wrong]
