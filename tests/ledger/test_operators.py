"""What operators change: under the account's lock, with its record, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from switch.ledger.operator_views import find_card, view_account, view_card
from switch.ledger.operators import (
    Change,
    Controls,
    OperatorRefusal,
    Operators,
    operators,
)
from tests.ledger.operating import ALICE, PLASTIC, actions, own, sealed
from tests.ledger.support import Books, ask, number

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def desk(books: Books) -> Operators:
    """The operator's side of the same ledger."""
    return Operators(books.connection)


# Every change and its record.

Do = Callable[[Operators, int], Awaitable[Change]]

#: What is done to an account with a card → the action, what it was and became.
CHANGES: dict[str, tuple[Do, str, dict[str, Any] | None, dict[str, Any] | None]] = {
    "close": (
        lambda desk, a: desk.close_account(ALICE, a), "close_account",
        {"status": "open", "credit_limit_minor": 0},
        {"status": "closed", "credit_limit_minor": 0}),
    "credit limit": (
        lambda desk, a: desk.set_credit_limit(ALICE, a, 500), "set_credit_limit",
        {"status": "open", "credit_limit_minor": 0},
        {"status": "open", "credit_limit_minor": 500}),
    "credit": (
        lambda desk, a: desk.post(ALICE, a, 250, "k1"), "credit",
        {"posted_minor": 100_000},
        {"posted_minor": 100_250, "amount_minor": 250, "key": "k1"}),
    "debit": (
        lambda desk, a: desk.post(ALICE, a, -250), "debit",
        {"posted_minor": 100_000},
        {"posted_minor": 99_750, "amount_minor": -250, "key": None}),
    "block": (
        lambda desk, a: desk.block_card(ALICE, own(a), "lost", ["b", "a", "b"]), "block",
        {"status": "active"}, {"status": "lost", "told": ["a", "b"]}),
    "forget wrong PINs": (
        lambda desk, a: desk.reset_pin_tries(ALICE, own(a)), "reset_pin_tries",
        {"pin_tries": 2}, {"pin_tries": 0}),
    "reissue": (
        lambda desk, a: desk.reissue_card(ALICE, own(a), "3312", "02", None, stops_old=True),
        "reissue", None,
        {"expiry": "3312", "sequence_number": "02", "service_code": "201",
         "stopped": ["9912/01"]}),
    "limit": (
        lambda desk, a: desk.set_limit(ALICE, own(a), "cash", "day", 500, None), "set_limit",
        None, {"scope": "cash", "period": "day", "amount_minor": 500, "count": None}),
    "remove limit": (
        lambda desk, a: desk.remove_limit(ALICE, own(a), "all", "week"), "remove_limit",
        {"scope": "all", "period": "week", "amount_minor": 90_000, "count": None}, None),
    "controls": (
        lambda desk, a: desk.set_controls(ALICE, own(a), Controls(
            ["stripe", "cash"], ["ecommerce"], ["7995"], [], True, ["276", "250", "276"])),
        "set_controls",
        {"channels_blocked": ["ecommerce"], "mcc_blocked": [], "countries_allowed": None},
        {"channels_blocked": ["cash", "stripe"], "mcc_blocked": ["7995"],
         "countries_allowed": ["250", "276"]}),
}  # fmt: skip


@pytest.mark.parametrize(("do", "action", "was", "became"), CHANGES.values(), ids=CHANGES)
async def test_a_change_is_recorded_with_what_it_was_and_became(
    books: Books, desk: Operators, do: Do, action: str,
    was: dict[str, Any] | None, became: dict[str, Any] | None,
) -> None:  # fmt: skip
    """Each change leaves one record; done again it changes nothing and leaves none."""
    account_id = await books.account(pin_tries=2, channels_blocked=["ecommerce"])
    await books.limit(account_id, "all", "week", amount_minor=90_000)
    change = await do(desk, account_id)
    assert change.is_done
    assert [(action, {"was": was, "became": became})] == await actions(books, account_id)
    if action not in ("debit", "block", "reissue"):  # these may be meant twice, or are refused
        assert (await do(desk, account_id)).outcome in ("unchanged", "repeated")
        assert 1 == len(await actions(books, account_id))
    assert [] == await books.wrong_balances()


@pytest.mark.parametrize("what", ["UPDATE operator_actions SET reason = ''",
                                  "DELETE FROM operator_actions"])  # fmt: skip
async def test_a_record_stays(books: Books, desk: Operators, what: str) -> None:
    """What was recorded can be neither changed nor deleted."""
    await desk.post(ALICE, await books.account(), 1)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await books.connection.execute(what)


# Accounts.


async def test_a_new_account_has_no_money(books: Books, desk: Operators) -> None:
    """It is open, in its program and currency, above all numbers of the demo, and found again."""
    reference = f"new-{number()}"
    change = await desk.create_account(ALICE, reference, "program 1", "840", 700)
    view = await view_account(books.connection, reference)
    account = view.account
    assert (account.account_id, "program 1", "840", "cardholder", "open", 0, 0, 700) == (
        change.became["account_id"], *account[2:],
    )  # fmt: skip
    assert account.account_id > 10_000_000
    assert 700 == account.available_minor
    with pytest.raises(OperatorRefusal, match="reference already"):
        await desk.create_account(ALICE, reference, "program 1", "978", 0)
    with pytest.raises(OperatorRefusal, match="no such card program"):
        await desk.create_account(ALICE, f"new-{number()}", "nope", "978", 0)
    assert ["create_account"] == [name for name, _ in await actions(books, account.account_id)]


async def test_a_closed_account_declines_and_can_be_cleared(books: Books, desk: Operators) -> None:
    """Its cards are declined and get no sisters; what stands on it can still be moved."""
    account_id = await books.account(posted_minor=900)
    await desk.close_account(ALICE, account_id)
    assert "account_closed" == await books.reason(ask(account_id, 100))
    with pytest.raises(OperatorRefusal, match="closed: reopen it"):
        await desk.create_card(ALICE, account_id, sealed(), PLASTIC, "active")
    assert 0 == (await desk.post(ALICE, account_id, -900)).became["posted_minor"]
    await desk.post(ALICE, account_id, 500)
    await desk.reopen_account(ALICE, account_id)
    assert "approved" == await books.reason(ask(account_id, 100))
    assert [] == await books.wrong_balances()


async def test_an_operator_may_overdraw(books: Books, desk: Operators) -> None:
    """A debit is what happened: it is posted beyond what is available, with its reason."""
    account_id = await books.account(posted_minor=100)
    await desk.post(ALICE, account_id, -1_000)
    row = await books.connection.fetchrow(
        "SELECT contra, amount_minor, currency, note FROM postings"
        " WHERE account_id = $1 AND contra <> 'opening'",
        account_id,
    )
    assert row is not None
    assert ("operator", -1_000, "978", ALICE.reason) == tuple(row)
    assert "insufficient_funds" == await books.reason(ask(account_id, 1))
    assert [] == await books.wrong_balances()


async def test_a_key_posts_once(books: Books, desk: Operators) -> None:
    """The same key posts nothing again, is no other amount's, and is each account's own."""
    one, other = await books.account(), await books.account()
    assert ["done", "repeated"] == [(await desk.post(ALICE, one, 5, "k")).outcome for _ in "12"]
    for amount in (-5, 6):
        with pytest.raises(OperatorRefusal, match="another amount"):
            await desk.post(ALICE, one, amount, "k")
    assert (await desk.post(ALICE, other, 6, "k")).is_done
    assert 1 == len(await actions(books, one))
    assert [] == await books.wrong_balances()


async def test_a_key_posts_once_for_many_at_once(books: Books, shared_database: str) -> None:
    """Eight commands with one key at one moment post one time: the look is under the lock."""
    account_id = await books.account(posted_minor=0)

    async def post(_: int) -> str:
        async with operators(shared_database) as desk:
            return (await desk.post(ALICE, account_id, 5, "k")).outcome

    outcomes = await asyncio.gather(*map(post, range(8)))
    assert ["done", *["repeated"] * 7] == sorted(outcomes)
    assert [] == await books.wrong_balances()


async def test_postings_and_decisions_at_once(books: Books, shared_database: str) -> None:
    """Credits and debits beside authorizations lose nothing and let nobody overspend."""
    account_id = await books.account(posted_minor=1_000)

    async def post(amount: int) -> None:
        async with operators(shared_database) as desk:
            for _ in range(20):
                await desk.post(ALICE, account_id, amount)

    async def buy() -> int:
        reasons = []
        for _ in range(30):
            reasons.append(await books.reason(ask(account_id, 40)))
            await asyncio.sleep(0)
        return reasons.count("approved")

    _, _, bought = await asyncio.gather(post(7), post(-7), buy())
    assert 40 * bought == await books.held(account_id)
    assert bought <= (1_000 + 20 * 7) // 40
    assert [] == await books.wrong_balances()


async def test_a_locked_account_is_waited_for_and_left(books: Books, shared_database: str) -> None:
    """While another holds the account's lock nothing is changed: one line says so."""
    account_id = await books.account()
    async with operators(shared_database) as desk:
        await desk.connection.execute("SET lock_timeout = '20ms'")
        async with books.connection.transaction():
            await books.connection.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR NO KEY UPDATE", account_id
            )
            for do, *_ in CHANGES.values():
                with pytest.raises(OperatorRefusal, match="in use"):
                    await do(desk, account_id)
    assert [] == await actions(books, account_id)


async def test_a_balance_that_no_bigint_holds(books: Books, desk: Operators) -> None:
    """A posting that would pass the largest balance changes nothing."""
    account_id = await books.account(posted_minor=2**63 - 5)
    with pytest.raises(OperatorRefusal, match="larger"):
        await desk.post(ALICE, account_id, 10)
    assert [] == await actions(books, account_id)
    await desk.post(ALICE, account_id, -(2**62))
    assert [] == await books.wrong_balances()


async def test_a_suspense_account_is_the_houses_own(books: Books, desk: Operators) -> None:
    """It can be cleared by hand, and neither closed nor given a card."""
    suspense_id = -1978 - 10_000 * number()
    await books.connection.execute(
        "INSERT INTO accounts (account_id, reference, program_id, currency, kind)"
        " VALUES ($1, $2, 1, '978', 'suspense')",
        suspense_id,
        f"suspense-{suspense_id}",
    )
    for refused in (
        desk.close_account(ALICE, suspense_id),
        desk.set_credit_limit(ALICE, suspense_id, 5),
        desk.create_card(ALICE, suspense_id, sealed(), PLASTIC, "active"),
    ):
        with pytest.raises(OperatorRefusal, match="house's own"):
            await refused
    assert (await desk.post(ALICE, suspense_id, -5)).is_done


async def test_what_is_not_there(desk: Operators) -> None:
    """An account or card that is gone is named, whatever is asked of it."""
    for do, *_ in CHANGES.values():
        with pytest.raises(OperatorRefusal, match=r"no such (account|card)"):
            await do(desk, 999_999_999)


# What is seen.


async def test_an_account_is_seen_whole(books: Books, desk: Operators) -> None:
    """Balances, cards, open holds with their purchase, and the last actions."""
    account_id = await books.account(posted_minor=10_000)
    await books.decide(ask(account_id, 2_500))
    await desk.post(ALICE, account_id, 500)
    view = await view_account(books.connection, f"acc-{account_id}")
    assert (10_500, 2_500, 8_000) == (
        view.account.posted_minor, view.account.held_minor, view.account.available_minor,
    )  # fmt: skip
    assert [account_id] == [card["card_id"] for card in view.cards.rows]
    assert [(2_500, "A SHOP")] == [(h["amount_minor"], h["merchant_name"]) for h in view.holds.rows]
    assert ["credit"] == [action.action for action in view.actions]


async def test_a_card_is_seen_with_what_it_used(books: Books, desk: Operators) -> None:
    """Limits tell what is used of them in the present period; the PIN's reference is not there."""
    account_id = await books.account()
    await desk.set_limit(ALICE, own(account_id), "all", "month", 9_000, 5)
    await desk.post(ALICE, account_id, 5)
    await books.decide(ask(account_id, 2_500))
    view = await view_card(books.connection, own(account_id))
    assert [(9_000, 5, 2_500, 1)] == [tuple(limit)[2:] for limit in view.limits]
    assert ["set_limit"] == [action.action for action in view.actions]
    assert "10385" not in f"{view}"  # the reference of the card's PIN


async def test_a_number_that_two_cards_have(books: Books) -> None:
    """Where a number is not one card's alone nothing is guessed."""
    twin = 500_000 + number()
    for _ in range(2):
        await books.card(await books.account(), twin)
    with pytest.raises(OperatorRefusal, match="several"):
        await find_card(books.connection, twin)
