"""The policy table inside authorize_v5: which refusal answers, which comes first; PIN tries."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from switch.rules.reason import Reason
from tests.ledger.support import Books, ask

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

AMOUNT = 1_000
Arrange = Callable[[Books, int], Awaitable[object]]


async def nothing(_: Books, __: int) -> None:
    """The refusal is in the call alone."""


def execute(statement: str) -> Arrange:
    """Change the account or its card."""

    async def arrange(books: Books, account_id: int) -> None:
        await books.connection.execute(statement, account_id)

    return arrange


def limit(**most: int) -> Arrange:
    """Limit the card."""

    async def arrange(books: Books, account_id: int) -> None:
        scope = "all" if "amount_minor" in most else "purchase"
        await books.limit(account_id, scope, "transaction", **most)

    return arrange


#: The table of the policy from the ledger's side, in its order: what speaks against the
#: request, in the call or in the books, and what the answer then is.
POLICY: tuple[tuple[str, Mapping[str, Any], Arrange], ...] = (
    ("reversed_before_original", {}, execute(
        "INSERT INTO early_marks VALUES ($1, '\\x01', 'reversed')")),
    ("card_expired", {"refusal_before_pin": "card_expired"}, nothing),
    ("stolen", {}, execute("UPDATE cards SET status = 'stolen' WHERE account_id = $1")),
    ("account_closed", {}, execute("UPDATE accounts SET status = 'closed' WHERE account_id = $1")),
    ("unavailable", {"hsm_fault": True}, nothing),
    ("pin_mismatch", {"pin_verdict": "mismatch"}, nothing),
    ("currency_not_supported", {"refusal_after_pin": "currency_not_supported"}, nothing),
    ("not_permitted", {}, execute(
        "UPDATE cards SET mcc_blocked = '{5411}' WHERE account_id = $1")),
    ("limit_amount", {}, limit(amount_minor=AMOUNT - 1)),
    ("limit_count", {}, limit(count=0)),
    ("insufficient_funds", {}, execute(
        "UPDATE accounts SET posted_minor = 0 WHERE account_id = $1")),
    ("approved", {}, nothing),
)  # fmt: skip
PAIRS = list(itertools.combinations(POLICY, 2))


@pytest.mark.parametrize(
    ("earlier", "later"), PAIRS, ids=[f"{first[0]}-{second[0]}" for first, second in PAIRS]
)
async def test_first_refusal(
    books: Books,
    earlier: tuple[str, Mapping[str, Any], Arrange],
    later: tuple[str, Mapping[str, Any], Arrange],
) -> None:
    """Of two refusals the one that stands earlier in the policy is the answer."""
    account_id = await books.account()
    for _, _, arrange in (earlier, later):
        await arrange(books, account_id)
    call = ask(account_id, AMOUNT, message_key=b"\x01", **{**later[1], **earlier[1]})
    assert earlier[0] == await books.reason(call)


@pytest.mark.parametrize("what", POLICY, ids=[row[0] for row in POLICY])
async def test_repeat_first(books: Books, what: tuple[str, Mapping[str, Any], Arrange]) -> None:
    """A repeat is asked for before every refusal: it gets the answer its original got."""
    account_id = await books.account()
    call = ask(account_id, AMOUNT, message_key=b"\x01")
    (original,) = await books.decide(call)
    await what[2](books, account_id)
    (repeat,) = await books.decide(ask(account_id, AMOUNT, message_key=b"\x01", **what[1]))
    assert ("repeated", *original[1:]) == repeat
    assert AMOUNT == await books.held(account_id)
    assert 1 == await books.recorded(account_id)


@pytest.mark.parametrize("reason", list(Reason))
async def test_any_refusal_before(books: Books, reason: Reason) -> None:
    """What was refused before the ledger is recorded, and holds nothing."""
    account_id = await books.account()
    assert reason == await books.reason(ask(account_id, refusal_before_pin=reason.value))
    assert 0 == await books.held(account_id)
    assert 1 == await books.recorded(account_id)


@pytest.mark.parametrize("status", ["inactive", "blocked", "lost", "stolen", "closed"])
async def test_card_status(books: Books, status: str) -> None:
    """A card that changed after it was found is refused by what it is now."""
    account_id = await books.account(card_status=status)
    assert status == await books.reason(ask(account_id))
    assert Reason(status)


async def test_account_closed(books: Books) -> None:
    """An account that was closed after its card was found is refused."""
    account_id = await books.account(status="closed")
    assert "account_closed" == await books.reason(ask(account_id))


async def test_card_gone(books: Books) -> None:
    """A card that is no longer there gets no decision, and the others of its batch get theirs."""
    gone, there = await books.account(), await books.account()
    await books.connection.execute("DELETE FROM cards WHERE account_id = $1", gone)
    answers = await books.decide(ask(gone), ask(there))
    assert ["stale", "decided"] == [answer.outcome for answer in answers]
    assert (0, 1_000) == (await books.held(gone), await books.held(there))


# ---- PIN tries --------------------------------------------------------------------------------

BAD, GOOD, UNREAD, NONE = "mismatch", "match", "refused", None


@pytest.mark.parametrize(
    ("tries", "verdict", "changes", "reason", "tries_then"),
    [
        # tries  PIN     beside it                               answer                   tries
        (0, BAD,    {},                                         "pin_mismatch",           1),
        (1, BAD,    {},                                         "pin_mismatch",           2),
        (2, BAD,    {},                                         "pin_tries_exceeded",     3),
        (3, BAD,    {},                                         "pin_tries_exceeded",     3),
        (0, GOOD,   {},                                         "approved",               0),
        (2, GOOD,   {},                                         "approved",               0),
        (3, GOOD,   {},                                         "pin_tries_exceeded",     3),
        (0, UNREAD, {},                                         "pin_mismatch",           0),
        (2, UNREAD, {},                                         "pin_mismatch",           2),
        (3, UNREAD, {},                                         "pin_tries_exceeded",     3),
        (3, NONE,   {},                                         "approved",               3),
        (9, NONE,   {},                                         "approved",               9),
        # Rows 3 to 8 refuse: nothing is counted and nothing cleared.
        (1, BAD,    {"refusal_before_pin": "card_code_mismatch"}, "card_code_mismatch",   1),
        (2, GOOD,   {"refusal_before_pin": "card_expired"},     "card_expired",           2),
        (1, BAD,    {"hsm_fault": True},                        "unavailable",            1),
        (2, GOOD,   {"hsm_fault": True},                        "unavailable",            2),
        # Rows 10 to 13 refuse: a wrong one counts, a right one clears.
        (2, GOOD,   {"refusal_after_pin": "currency_not_supported"}, "currency_not_supported", 0),
        (1, BAD,    {"refusal_after_pin": "currency_not_supported"}, "pin_mismatch",      2),
        (2, GOOD,   {"amount_minor": 999_999},                  "insufficient_funds",     0),
        (1, BAD,    {"amount_minor": 999_999},                  "pin_mismatch",           2),
        (2, GOOD,   {"mcc": "7995"},                            "not_permitted",          0),
        (1, BAD,    {"mcc": "7995"},                            "pin_mismatch",           2),
    ],
)  # fmt: skip
async def test_pin_tries(
    books: Books,
    tries: int,
    verdict: str | None,
    changes: Mapping[str, Any],
    reason: str,
    tries_then: int,
) -> None:
    """A wrong PIN counts a try and a right one clears the count, where rows 1 to 8 let it pass."""
    account_id = await books.account(pin_tries=tries, mcc_blocked=["7995"])
    assert reason == await books.reason(ask(account_id, pin_verdict=verdict, **changes))
    assert tries_then == await books.pin_tries(account_id)


async def test_pin_tries_of_repeats(books: Books) -> None:
    """Copies of a message with a wrong PIN cost one try."""
    call = ask(await books.account(), pin_verdict="mismatch")
    await books.decide(call, call)
    await books.decide(call)
    assert 1 == await books.pin_tries(call.account_id)


async def test_pin_tries_in_one_batch(books: Books) -> None:
    """Tries are counted one after another within a batch, and a right PIN comes too late."""
    account_id = await books.account()
    verdicts = [BAD, BAD, BAD, GOOD]
    answers = await books.decide(*(ask(account_id, pin_verdict=verdict) for verdict in verdicts))
    assert ["pin_mismatch", "pin_mismatch", "pin_tries_exceeded", "pin_tries_exceeded"] == [
        answer.reason for answer in answers
    ]
    assert 3 == await books.pin_tries(account_id)


async def test_pin_tries_are_a_card_s(books: Books) -> None:
    """Two cards of one account count their tries apart."""
    account_id = await books.account(pin_tries=3)
    await books.card(account_id, 1)
    assert "approved" == await books.reason(ask(account_id, card_id=1, pin_verdict="match"))
    assert 3 == await books.pin_tries(account_id)
