"""authorize_v5 on real Postgres: repeats, controls, funds, late and locked requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from switch.ledger.calls import AuthorizationCall
from switch.ledger.errors import LedgerUnavailable, OutcomeUnknown, Overdue
from switch.rules.decision import Approved, Declined
from switch.rules.reason import Reason
from tests.ledger.support import Answer, Books, ask, authorize, ledger_on, within
from tests.process import eventually

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

# ---- repeats ----------------------------------------------------------------------------------


async def test_repeat_of_an_approval(books: Books) -> None:
    """A repeat gets code, balance and chip data of its original, whatever came between."""
    account_id = await books.account(posted_minor=10_000)
    call = ask(account_id, 2_000, issuer_authentication="91AB", authorization_code="AAAAAA")
    original = Answer("decided", None, "AAAAAA", 8_000, "91AB")
    assert [original] == await books.decide(call)
    await books.decide(ask(account_id, 8_000))
    copy = call._replace(mti="0101", authorization_code="BBBBBB", issuer_authentication=None)
    assert [original._replace(outcome="repeated")] == await books.decide(copy)
    assert 10_000 == await books.held(account_id)
    assert 2 == await books.recorded(account_id)


async def test_repeat_of_a_decline(books: Books) -> None:
    """A declined message stays declined when it comes again, though there is money now."""
    account_id = await books.account(posted_minor=0)
    call = ask(account_id, 2_000, issuer_authentication="91AB")
    original = Answer("decided", "insufficient_funds", None, 0, None)
    assert [original] == await books.decide(call)
    await books.connection.execute(
        "UPDATE accounts SET credit_limit_minor = 9000 WHERE account_id = $1", account_id
    )
    assert [original._replace(outcome="repeated")] == await books.decide(call)
    assert 1 == await books.recorded(account_id)


async def test_repeat_in_the_same_batch(books: Books) -> None:
    """Copies that came together give one hold and one answer."""
    account_id = await books.account()
    call = ask(account_id, 2_000)
    first, second, third = await books.decide(call, call, call)
    assert ("decided", "repeated", "repeated") == (first.outcome, second.outcome, third.outcome)
    assert first[1:] == second[1:] == third[1:]
    assert 2_000 == await books.held(account_id)


@pytest.mark.parametrize(
    "change",
    [
        {"transaction_minor": 2_001},
        {"transaction_currency": "840"},
        {"processing_code": "010000"},
        {"transaction_minor": 2_001, "hsm_fault": True},
        {"transaction_minor": 2_001, "refusal_before_pin": "stolen"},
    ],
    ids=str,
)
async def test_duplicate_conflict(books: Books, change: Mapping[str, Any]) -> None:
    """The key of another message is refused, records nothing, moves nothing, and hides nothing."""
    account_id = await books.account()
    call = ask(account_id, 2_000)
    (original,) = await books.decide(call)
    assert "duplicate_conflict" == await books.reason(call._replace(**change))
    assert (2_000, 1) == (await books.held(account_id), await books.recorded(account_id))
    assert [original._replace(outcome="repeated")] == await books.decide(call)


async def test_same_key_other_account(books: Books) -> None:
    """Keys are an account's own."""
    one, other = await books.account(), await books.account()
    assert "approved" == await books.reason(ask(one, message_key=b"same"))
    assert "approved" == await books.reason(ask(other, message_key=b"same"))


async def test_repeat_of_what_was_taken_back(books: Books) -> None:
    """A repeat of something since taken back is declined."""
    call = ask(await books.account())
    await books.decide(call)
    assert "unwound" == await books.unwind(call)
    assert "reversed" == await books.reason(call)
    assert "duplicate_conflict" == await books.reason(call._replace(transaction_minor=1))


# ---- controls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("controls", "changes", "reason"),
    [
        ({"channels_blocked": ["ecommerce"]}, {"channel": "ecommerce"}, "not_permitted"),
        ({"channels_blocked": ["ecommerce"]}, {"channel": "chip"},      "approved"),
        ({"channels_blocked": ["cash"]},   {"kind": "cash", "cash_minor": 1_000}, "not_permitted"),
        ({"channels_blocked": ["cash"]},   {"kind": "cashback", "cash_minor": 1}, "not_permitted"),
        ({"channels_blocked": ["cash"]},      {"kind": "purchase"},     "approved"),
        ({"mcc_blocked": ["7995", "5411"]},   {"mcc": "5411"},          "not_permitted"),
        ({"mcc_blocked": ["7995"]},           {"mcc": "5411"},          "approved"),
        ({"mcc_blocked": ["7995"]},           {"mcc": None},            "not_permitted"),
        ({"countries_allowed": None},         {"country": None},        "approved"),
        ({"countries_allowed": None},         {"country": "840"},       "approved"),
        ({"countries_allowed": ["276"]},      {"country": "276"},       "approved"),
        ({"countries_allowed": ["276"]},      {"country": "840"},       "not_permitted"),
        ({"countries_allowed": ["276"]},      {"country": None},        "not_permitted"),
        ({"countries_allowed": []},           {"country": "276"},       "not_permitted"),
        ({"countries_allowed": []},           {"country": None},        "not_permitted"),
        ({"mcc_blocked": ["7995"], "countries_allowed": ["276"]},
         {"mcc": None, "country": "840"},                               "not_permitted"),
        ({"mcc_blocked": ["5411"]}, {"kind": "inquiry", "amount_minor": 0}, "not_permitted"),
    ],
)  # fmt: skip
async def test_controls(
    books: Books, controls: Mapping[str, Any], changes: Mapping[str, Any], reason: str
) -> None:
    """A card is used where its controls let it, and a place that is not told is not allowed."""
    account_id = await books.account(**controls)
    assert reason == await books.reason(ask(account_id, **changes))


# ---- funds ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("posted", "credit", "amount", "reason", "available_then"),
    [
        (  1_000,      0,   1_000, "approved",                 0),
        (  1_000,      0,   1_001, "insufficient_funds",   1_000),
        (      0,      0,       1, "insufficient_funds",       0),
        (   -500,      0,       1, "insufficient_funds",    -500),
        (-50_000, 200_000, 150_000, "approved",                0),
        (-50_000, 200_000, 150_001, "insufficient_funds", 150_000),
        (999_999_999_999, 0, 999_999_999_999, "approved",      0),
    ],
)  # fmt: skip
async def test_funds(
    books: Books, posted: int, credit: int, amount: int, reason: str, available_then: int
) -> None:
    """All that is available can be spent, and no minor unit more."""
    account_id = await books.account(posted_minor=posted, credit_limit_minor=credit)
    (answer,) = await books.decide(ask(account_id, amount))
    assert (reason, available_then) == (answer.reason or "approved", answer.available_minor)
    assert (amount if reason == "approved" else 0) == await books.held(account_id)


@pytest.mark.parametrize(
    ("kind", "amount"),
    [("refund", 5_000), ("inquiry", 0), ("inquiry", 5_000), ("verification", 0), ("purchase", 0)],
)
async def test_nothing_held(books: Books, kind: str, amount: int) -> None:
    """A refund, an inquiry and a verification hold nothing, use no limit and need no funds."""
    account_id = await books.account(posted_minor=0)
    await books.limit(account_id, "all", "day", amount_minor=0, count=0)
    assert "approved" == await books.reason(ask(account_id, amount, kind))
    assert (0, []) == (await books.held(account_id), await books.holds(account_id))
    assert {} == await books.usage(account_id)
    assert 1 == await books.recorded(account_id)


async def test_billing_amount(books: Books) -> None:
    """What is held is the billed amount, whatever the currency at the shop."""
    account_id = await books.account(posted_minor=10_000, currency="392")
    call = ask(account_id, 9_000, transaction_minor=6_000, transaction_currency="978")
    (answer,) = await books.decide(call)
    assert (None, 1_000) == (answer.reason, answer.available_minor)
    assert 9_000 == await books.held(account_id)


async def test_two_cards_one_account(books: Books) -> None:
    """Two cards spend from one balance."""
    account_id = await books.account(posted_minor=1_500)
    await books.card(account_id, 2)
    first, second = await books.decide(ask(account_id), ask(account_id, card_id=2))
    assert (None, "insufficient_funds") == (first.reason, second.reason)
    assert 500 == second.available_minor


# ---- late, locked, no verdict -----------------------------------------------------------------


async def test_late(books: Books) -> None:
    """A request whose time to decide is over holds nothing, counts nothing, records nothing."""
    account_id = await books.account()
    await books.limit(account_id, amount_minor=10_000)
    past = time.time() - 0.001
    late = ask(account_id, decide_by=past, pin_verdict="mismatch")
    assert "late" == await books.reason(late)
    assert (0, 0) == (await books.held(account_id), await books.recorded(account_id))
    assert (0, {}) == (await books.pin_tries(account_id), await books.usage(account_id))
    assert "approved" == await books.reason(ask(account_id)._replace(message_key=late.message_key))


async def test_late_in_company(books: Books) -> None:
    """A late request takes no other of its batch with it, also of its own account."""
    account_id = await books.account()
    past = time.time() - 60
    answers = await books.decide(ask(account_id, decide_by=past), ask(account_id))
    assert ["late", "decided"] == [answer.outcome for answer in answers]
    assert 1_000 == await books.held(account_id)


async def test_no_verdict(books: Books) -> None:
    """A fault of the HSM records nothing; the message is decided when it comes again."""
    call = ask(await books.account(), hsm_fault=True)
    assert "unavailable" == await books.reason(call)
    assert 0 == await books.recorded(call.account_id)
    assert "approved" == await books.reason(call._replace(hsm_fault=False))


async def test_locked_by_another(books: Books, shared_database: str) -> None:
    """An account that another process holds is not decided, and the others of its batch are."""
    held_up, free = await books.account(), await books.account()
    stranger = await asyncpg.connect(shared_database)
    async with stranger.transaction():
        await stranger.execute("SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", held_up)
        async with asyncio.timeout(5):  # one that waited for the lock would wait for this test
            answers = await books.decide(ask(held_up), ask(free))
        assert ["locked", "decided"] == [answer.outcome for answer in answers]
        assert 0 == await books.recorded(held_up)
    assert "approved" == await books.reason(ask(held_up))
    await stranger.close()


# ---- through the ledger -----------------------------------------------------------------------


async def test_decisions(books: Books, shared_database: str, tmp_path: Path) -> None:
    """The ledger gives decisions as values: approved with what the answer needs, or declined."""
    call = ask(await books.account(posted_minor=1_500), issuer_authentication="91AB")
    code = call.authorization_code
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        assert Approved(code, 500, "91AB", is_repeat=False) == await authorize(ledger, call)
        assert Approved(code, 500, "91AB", is_repeat=True) == await authorize(ledger, call)
        other = ask(call.account_id)
        declined = Declined(Reason.INSUFFICIENT_FUNDS, is_repeat=False)
        assert declined == await authorize(ledger, other)
        assert replace(declined, is_repeat=True) == await authorize(ledger, other)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [({"hsm_fault": True}, LedgerUnavailable), ({"card_id": 1 << 40}, LedgerUnavailable)],
    ids=["no verdict", "card gone"],
)
async def test_no_decision(
    books: Books,
    shared_database: str,
    tmp_path: Path,
    changes: Mapping[str, Any],
    fault: type[Exception],
) -> None:
    """Where there is no decision the ledger raises, and has nothing recorded."""
    call: AuthorizationCall = ask(await books.account(), **changes)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        with pytest.raises(fault):
            await authorize(ledger, call)
    assert 0 == await books.recorded(call.account_id)


async def test_locked_until_the_deadline(
    books: Books, shared_database: str, tmp_path: Path
) -> None:
    """An account that stays locked is overdue in time, and nothing of it comes later."""
    call = ask(await books.account())
    stranger = await asyncpg.connect(shared_database)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        async with stranger.transaction():
            await stranger.execute(
                "SELECT FROM accounts WHERE account_id = $1 FOR UPDATE", call.account_id
            )
            with pytest.raises(LedgerUnavailable):
                await authorize(ledger, call, seconds=0.1)
        assert isinstance(await authorize(ledger, ask(call.account_id)), Approved)
    await stranger.close()
    assert 1_000 == await books.held(call.account_id)


async def test_overdue_in_the_database(books: Books, shared_database: str, tmp_path: Path) -> None:
    """A decision that the database finds too late is overdue: there is nothing to take back."""
    past = time.time() - 60
    call = ask(await books.account(), decide_by=past)
    async with ledger_on(shared_database, tmp_path / "journal") as ledger:
        with pytest.raises(Overdue):
            await ledger.authorize(call, within(5.0))
    assert 0 == (tmp_path / "journal").stat().st_size


async def test_a_repeat_whose_row_is_gone(books: Books) -> None:
    """Where a message's key is left and its row is not, nobody knows the answer: it gets none, and
    the others of its batch get theirs.
    """
    lost, other = await books.account(), await books.account()
    call = ask(lost)
    await books.decide(call)
    await books.connection.execute("DELETE FROM authorizations WHERE account_id = $1", lost)
    first, second = await books.decide(call, ask(other))
    assert ("unavailable", "decided") == (first.outcome, second.outcome)
    told = "SELECT count(*) FROM approvals_repeated WHERE account_id = $1"
    assert 0 == await books.connection.fetchval(told, lost)


async def test_an_account_that_is_gone(books: Books) -> None:
    """A card whose account is no longer there is found anew, and not waited for."""
    account_id = await books.account()
    await books.connection.execute("DELETE FROM accounts WHERE account_id = $1", account_id)
    assert "stale" == await books.reason(ask(account_id))


async def test_an_answer_that_cannot_be_read(
    books: Books, shared_database: str, tmp_path: Path
) -> None:
    """A batch is committed, and one of its answers makes no sense to us: what it approved is taken
    back, for nobody is told of it.
    """
    first, odd, good = [ask(await books.account()) for _ in range(3)]
    odd = odd._replace(refusal_before_pin="a_reason_of_tomorrow")
    async with ledger_on(shared_database, tmp_path / "journal", connections=1) as ledger:
        outcomes = await asyncio.gather(
            *(authorize(ledger, call) for call in (first, odd, good)), return_exceptions=True
        )
        assert [Approved, OutcomeUnknown, OutcomeUnknown] == [type(one) for one in outcomes]

        async def is_taken_back() -> bool:
            return await books.held(good.account_id) == 0

        await eventually(is_taken_back, "the unwinding")
    assert 1_000 == await books.held(first.account_id)
