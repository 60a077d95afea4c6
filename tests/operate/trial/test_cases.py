"""What a trial tells of single stories, and what it says that it cannot know."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from keys.hsm import Verdict
from switch.ledger.queries import OPERATE
from switch.operate.audit import audit
from switch.operate.trial import TrialError, scratch_database
from tests.flows.day import CASH
from tests.flows.later import advice, completion, private, reversal
from tests.ledger.presentments import clear, held, issue, presented
from tests.ledger.support import Books
from tests.operate.trial.stories import ACTOR, Trying, balance, beside, others

pytest_plugins = ["tests.ledger.fixtures", "tests.operate.trial.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY_35 = {"scope": "all", "period": "day", "amount": "35.00"}


async def test_a_new_limit_counts_what_was_before_in_its_day(story: Trying) -> None:
    """Of 35.00 a day 30.00 were used when the period began: 10.00 are too much, 5.00 are not."""
    for _ in range(3):
        await story.day.approved(1_000)
    await story.from_here()
    await story.day.approved(1_000)
    await story.day.approved(500)
    outcome = await story.by(limits=(DAY_35,))
    assert [("approved", "limit_amount", 1)] == others(outcome)
    assert {} == beside(outcome)
    (example,) = outcome.examples
    assert ("approved", "limit_amount", 1_000, "978") == (
        example["was"], example["now"], example["amount_minor"], example["currency"],
    )  # fmt: skip


async def test_a_refusal_may_become_an_approval(story: Trying) -> None:
    """Without the limit of before what it refused is approved, and then the funds go."""
    await story.operate("set_limit", "all", "transaction", 50_000, None)
    await story.from_here()
    assert ["61", "00", "00"] == await story.day.codes(
        story.day.asks(70_000), story.day.asks(40_000), story.day.asks(40_000)
    )
    outcome = await story.by(limits=({"scope": "all", "period": "transaction", "remove": True},))
    assert {
        ("limit_amount", "approved", 1), ("approved", "insufficient_funds", 2),
    } == set(others(outcome))  # fmt: skip
    assert {"perhaps_in_part": (2, None)} == beside(outcome)


async def test_what_was_refused_before_the_controls_stays_refused(story: Trying) -> None:
    """A wrong PIN stays wrong, whatever limits are tried."""
    story.day.house.hsm.pin.append(Verdict.MISMATCH)
    await story.from_here()
    assert ["55"] == await story.day.codes(story.day.asks(1_000, _3=CASH))
    assert [] == others(await story.by(limits=(DAY_35,)))


async def test_a_partial_approval_is_one_again(story: Trying) -> None:
    """Of less, where less is there; what the terminal takes is known of those that were in part."""
    await story.day.approved(80_000)
    await story.from_here()
    for asked in (30_000, 5_000):
        await story.day.send(story.day.asks(asked, _48=private(partial="1")))
    outcome = await story.by()
    assert [] == others(outcome)
    assert {"partly_approved", "insufficient_funds"} == {row["now"] for row in outcome.answers}


async def test_controls(story: Trying) -> None:
    """Channel, category and country are asked anew."""
    await story.from_here()
    await story.day.approved(100, _18="5411")
    await story.day.approved(100, _18="7995")
    await story.day.approved(100, _18="5411", _19="826")
    outcome = await story.by(controls={"block_mccs": ("7995",), "countries": ("276",)})
    assert [("approved", "not_permitted", 2)] == others(outcome)


async def test_a_completion_of_what_would_be_refused_is_booked_all_the_same(story: Trying) -> None:
    """It already happened; it is told beside the outcome."""
    await story.from_here()
    asked = await story.day.approved(5_000)
    await story.day.send(completion(asked, 4_200))
    outcome = await story.by(limits=(DAY_35,))
    assert [("approved", "limit_amount", 1)] == others(outcome)
    assert {"booked_all_the_same": (1, 4_200)} == beside(outcome)


async def test_what_operators_change_is_changed_at_its_moment(story: Trying) -> None:
    """Before, within and after the period: nothing differs where nothing else is tried."""
    await story.operate("set_limit", "all", "day", 2_000, 5)
    await story.day.approved(1_000)
    await story.from_here()
    assert ["61"] == await story.day.codes(story.day.asks(1_500))
    await story.operate("set_limit", "all", "day", 9_000, None)
    await story.operate("set_controls", [], [], ["7995"], [], False, None)
    assert ["57"] == await story.day.codes(story.day.asks(100, _18="7995"))
    await story.day.approved(1_500, _18="5411")
    await story.operate("remove_limit", "all", "day")
    assert ["51"] == await story.day.codes(story.day.asks(200_000, _18="5411"))
    connection = story.day.house.books.connection
    account = story.day.account_id
    await connection.execute(
        OPERATE["change_account"], *ACTOR, "set_credit_limit", account, None, 300_000
    )
    await connection.execute(OPERATE["post"], *ACTOR, account, -1_000, None)
    await story.day.approved(200_000, _18="5411")
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)


async def test_a_limit_that_was_set_and_removed_again(story: Trying) -> None:
    """It counts from when it was set last, not from the beginning of its day; the change of one
    that is there begins no count anew.
    """
    await story.operate("set_limit", "all", "day", 3_000, None)
    await story.day.approved(500)
    await story.operate("remove_limit", "all", "day")
    await story.day.approved(5_000)
    await story.operate("set_limit", "all", "day", 3_000, None)
    await story.day.approved(1_000)
    await story.operate("set_limit", "all", "day", 2_500, None)
    await story.from_here()
    assert ["61", "00"] == await story.day.codes(story.day.asks(1_600), story.day.asks(1_500))
    await story.operate("remove_limit", "all", "day")
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)


async def test_a_limit_of_which_nobody_noted_when_it_was_set(story: Trying) -> None:
    """Removed since, it counts from the beginning of its day, and that is told."""
    await story.day.approved(5_000)
    await story.day.house.books.connection.execute(
        "INSERT INTO limits (account_id, card_id, scope, period, amount_minor)"
        " VALUES ($1, $1, 'all', 'day', 3000)",
        story.day.account_id,
    )
    await story.from_here()
    await story.day.approved(1_000)
    await story.operate("remove_limit", "all", "day")
    outcome = await story.by()
    assert [("approved", "limit_amount", 1)] == others(outcome)
    assert {"limits_removed": (1, None)} == beside(outcome)


async def test_what_is_not_copied(story: Trying) -> None:
    """No PAN, token or response cryptogram and nothing of a PIN is in the scratch database."""
    await story.from_here()
    await story.day.approved(100)
    await story.by()
    connection = await asyncpg.connect(story.scratch)
    kept = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM pan_tokens) AS tokens,"
        " (SELECT count(*) FROM cards WHERE pan_ciphertext <> '' OR pin_reference IS NOT NULL),"
        " (SELECT count(issuer_authentication) FROM trial_rows),"
        " (SELECT count(issuer_authentication) FROM authorizations)"
    )
    await connection.close()
    live = await story.day.house.books.connection.fetchval(
        "SELECT count(issuer_authentication) FROM authorizations WHERE account_id = $1",
        story.day.account_id,
    )
    assert ((0, 0, 0, 0), 1) == (tuple(kept or ()), live)


async def test_rows_of_an_older_version(story: Trying) -> None:
    """They are booked by what they were matched to, and counted."""
    await story.from_here()
    one, other = await story.day.approved(5_000), await story.day.approved(2_000)
    await story.day.send(completion(one, 4_200))
    await story.day.send(reversal(other))
    await story.day.send(advice(story.day.asks(300)))
    await story.day.approved(100)
    await story.day.house.books.connection.execute(
        "UPDATE authorizations SET asked = NULL WHERE account_id = $1", story.day.account_id
    )
    outcome = await story.by()
    assert [] == others(outcome)
    assert {"bookings_of_before": (3, None)} == beside(outcome)


async def test_presentments(story: Trying, books: Books) -> None:
    """What clearing files brought is booked again, and the books that come of it are right."""
    account, token = await issue(books)
    first = await held(books, account, 1_000)
    story.day.account_id = account
    await story.from_here()
    second = await held(books, account, 2_000)
    await clear(books, presented(first, token), presented(second, token))
    await held(books, account, 500)
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)
    assert await balance(story.url, account) == await balance(story.scratch, account)
    assert [] == [str(one) for one in await audit(story.scratch) if one.wrong]


async def test_an_account_that_was_changed_by_hand_is_told(story: Trying) -> None:
    """Its balance does not follow from what was recorded."""
    await story.from_here()
    await story.day.approved(100)
    await story.day.house.books.connection.execute(
        "UPDATE accounts SET credit_limit_minor = 7 WHERE account_id = $1", story.day.account_id
    )
    outcome = await story.by()
    assert {"accounts_astray": (1, None)} == beside(outcome)


@pytest.mark.parametrize("table", ["authorizations", "early_marks"])
async def test_what_was_taken_away_cannot_be_tried(story: Trying, table: str) -> None:
    """A period of which rows are gone is refused, and says from when on they are there."""
    await story.from_here()
    connection = story.day.house.books.connection
    await connection.execute(
        "INSERT INTO taken_away VALUES ($1, clock_timestamp()) ON CONFLICT (table_name)"
        " DO UPDATE SET before = excluded.before",
        table,
    )
    try:
        with pytest.raises(TrialError, match=f"{table} of before .* are gone .* begin it later"):
            await story.by()
    finally:
        await connection.execute("DELETE FROM taken_away")


async def test_nothing_was_asked(story: Trying) -> None:
    """A card without a request in the period: no account is played."""
    await story.from_here()
    outcome = await story.by(limits=(DAY_35,))
    assert (0, 0, 0) == (outcome.accounts, outcome.requests, outcome.others)


NAMED: list[tuple[dict[str, Any], str]] = [
    ({"cards": (99_999_999,)}, "cards: there is no card 99999999"),
    ({"cards": None, "programs": ("gold",)}, "programs: there is no 'gold'; there is program 1"),
]


@pytest.mark.parametrize(("named", "says"), NAMED, ids=["card", "program"])
async def test_what_is_not_there_is_named(story: Trying, named: dict[str, Any], says: str) -> None:
    """Rules for a card or a program that is none are refused."""
    await story.from_here()
    with pytest.raises(TrialError, match=f"^{says}$"):
        await story.by(**named)


async def test_a_scratch_database_that_goes_away(story: Trying) -> None:
    """What is lost in the middle is told in one line."""
    with pytest.raises(TrialError, match="the scratch database was lost: run it again"):
        async with scratch_database(story.scratch) as playing:
            await playing.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_a_scratch_database_must_be_empty(story: Trying) -> None:
    """What is in one is nobody's to play with; the live one least of all."""
    with pytest.raises(TrialError, match="that database is not empty"):
        async with scratch_database(story.url):
            pass
