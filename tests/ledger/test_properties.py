"""What holds whatever comes: batches change nothing, and in the end nothing is left held."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from switch.ledger.calls import AuthorizationCall
from tests.ledger.support import Answer, Books, ask

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

MODEST = settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ACCOUNTS = 3
SECOND_CARD = 7


@dataclass(frozen=True)
class Wish:
    """A request as hypothesis draws it, before it is one of a real account's."""

    account: int
    is_second_card: bool
    key: int
    amount: int
    kind: str
    channel: str
    pin_verdict: str | None
    refusal_before_pin: str | None
    refusal_after_pin: str | None
    hsm_fault: bool
    is_late: bool


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([usual] * 6 + list(others))


WISHES = st.builds(
    Wish,
    account=st.integers(0, ACCOUNTS - 1),
    is_second_card=st.booleans(),
    key=st.integers(0, 12),
    amount=st.sampled_from([0, 100, 200, 300, 500]),
    kind=mostly("purchase", "cash", "cashback", "refund", "inquiry"),
    channel=mostly("chip", "ecommerce", "contactless"),
    pin_verdict=mostly(None, "match", "mismatch", "mismatch", "refused"),
    refusal_before_pin=mostly(None, "card_code_mismatch"),
    refusal_after_pin=mostly(None, "currency_not_supported"),
    hsm_fault=mostly(False, True),
    is_late=mostly(False, True),
)
LISTS = st.lists(WISHES, min_size=1, max_size=25)


class World:
    """A few accounts with two cards each, all limits, and little money."""

    def __init__(self, books: Books, accounts: Sequence[int]) -> None:
        self.books = books
        self.accounts = accounts

    @classmethod
    async def make(cls, books: Books) -> World:
        accounts = []
        for _ in range(ACCOUNTS):
            account_id = await books.account(posted_minor=1_500)
            await books.card(account_id, SECOND_CARD)
            for card_id in (account_id, SECOND_CARD):
                for scope, period in (("all", "day"), ("cash", "week"), ("purchase", "month")):
                    await books.limit(
                        account_id, scope, period, amount_minor=1_000, count=4, card_id=card_id
                    )
            accounts.append(account_id)
        return cls(books, accounts)

    def call(self, place: int, wish: Wish) -> AuthorizationCall:
        """The request that a wish is in this world."""
        account_id = self.accounts[wish.account]
        return ask(
            account_id,
            wish.amount,
            wish.kind,
            card_id=SECOND_CARD if wish.is_second_card else account_id,
            message_key=bytes([wish.key]),
            cash_minor=wish.amount // {"cash": 1, "cashback": 2}.get(wish.kind, 1_000_000),
            channel=wish.channel,
            pin_verdict=wish.pin_verdict,
            refusal_before_pin=wish.refusal_before_pin,
            refusal_after_pin=wish.refusal_after_pin,
            hsm_fault=wish.hsm_fault,
            decide_by=time.time() + (-3600 if wish.is_late else 3600),
            authorization_code=f"{place:06d}",
            issuer_authentication=f"{place:X}",
            **dict.fromkeys(("stan", "rrn"), "000001"),
        )

    async def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """All that the decisions left behind, without what names this world or a moment."""
        queries = {
            "balances": "SELECT posted_minor, held_minor FROM accounts WHERE account_id = $1",
            "tries": "SELECT pin_tries FROM cards WHERE account_id = $1 ORDER BY card_id",
            "usage": "SELECT card_id = 7, scope, period, amount_minor, count FROM limit_usage"
            " WHERE account_id = $1 ORDER BY 1, 2, 3",
            "decisions": "SELECT card_id = 7, message_key, kind, channel, amount_minor, cash_minor,"
            " reason, authorization_code, available_minor, issuer_authentication"
            " FROM authorizations WHERE account_id = $1 ORDER BY authorization_id",
            "keys": "SELECT message_key FROM message_keys WHERE account_id = $1"
            " ORDER BY authorization_id",
            "events": "SELECT type, card_id = 7, posted_change_minor, held_change_minor,"
            " posted_minor, held_minor FROM events WHERE account_id = $1 ORDER BY event_id",
            "holds": "SELECT amount_minor, state FROM holds WHERE account_id = $1"
            " ORDER BY authorization_id",
        }
        return {
            name: [
                tuple(row)
                for account_id in self.accounts
                for row in await self.books.connection.fetch(query, account_id)
            ]
            for name, query in queries.items()
        }


@MODEST
@given(wishes=LISTS, cuts=st.lists(st.integers(1, 6), max_size=12))
async def test_batches_change_nothing(books: Books, wishes: list[Wish], cuts: list[int]) -> None:
    """One by one, in batches of any size and all at once: the same decisions and the same rows."""
    worlds = [await World.make(books) for _ in range(3)]
    singly, at_random, at_once = [
        [world.call(place, wish) for place, wish in enumerate(wishes)] for world in worlds
    ]
    chunks = itertools.chain(cuts, itertools.repeat(len(wishes)))
    rest, pieces = at_random, []
    while rest:
        size = next(chunks)
        pieces.append(rest[:size])
        rest = rest[size:]
    answers: list[list[Answer]] = [
        [answer for call in singly for answer in await books.decide(call)],
        [answer for piece in pieces for answer in await books.decide(*piece)],
        await books.decide(*at_once),
    ]
    assert answers[0] == answers[1] == answers[2]
    left = [await world.rows() for world in worlds]
    assert left[0] == left[1] == left[2]
    assert [] == await books.wrong_balances()


@MODEST
@given(wishes=LISTS, unwound=st.lists(st.integers(0, 24), max_size=6))
async def test_nothing_left(books: Books, wishes: list[Wish], unwound: list[int]) -> None:
    """Whatever was approved, taken back and expired: in the end nothing is held or used."""
    world = await World.make(books)
    calls = [world.call(place, wish) for place, wish in enumerate(wishes)]
    await books.decide(*calls)
    for place in unwound:
        await books.unwind(calls[place % len(calls)])
    assert [] == await books.wrong_balances()
    usage = [await books.usage(account_id) for account_id in world.accounts]
    assert all(amount >= 0 and count >= 0 for one in usage for amount, count in one.values())
    await books.connection.execute("UPDATE holds SET expires_at = now()")
    await books.connection.execute("SELECT expire_holds_v2(1000)")
    for account_id in world.accounts:
        assert 0 == await books.held(account_id)
    rows = (await world.rows())["usage"]
    assert all((0, 0) == row[-2:] for row in rows)
    assert [] == await books.wrong_balances()
