"""Where a period begins: what was before it is there as it was, and nothing of it twice."""

from __future__ import annotations

import pytest

from tests.flows.later import advice, completion, increment, reversal
from tests.operate.trial.stories import Trying, balance, beside, others

pytest_plugins = ["tests.ledger.fixtures", "tests.operate.trial.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_purchases_that_reach_into_the_period(story: Trying) -> None:
    """Holds, increments, advices and reversals of before it are there as they were."""
    held_one = await story.day.approved(5_000)
    await story.day.send(increment(held_one, 700))
    reversed_one = await story.day.approved(3_000)
    await story.day.send(reversal(reversed_one, keep=1_200))
    advised = story.day.asks(900)
    await story.day.send(advice(advised))
    await story.from_here()
    await story.day.send(completion(held_one, 5_600))
    await story.day.send(reversal(reversed_one))
    await story.day.send(advised)
    assert ["00"] == await story.day.codes(story.day.asks(93_500 - 1))
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)
    account = story.day.account_id
    assert await balance(story.url, account) == await balance(story.scratch, account)


@pytest.mark.parametrize("what", ["completion", "reversal", "unwinding"])
async def test_a_period_that_begins_within_a_booking(story: Trying, what: str) -> None:
    """A posting is of the moment of its message, which took the time a little before it: what was
    received before the period is posted before it.
    """
    if what == "completion":
        await story.day.send(completion(await story.day.approved(5_000), 5_600))
    else:
        asked = story.day.asks(5_000, mti="0200")
        told = await story.day.send(asked)
        if what == "reversal":
            await story.day.send(reversal(asked))
        else:
            assert "unwound" == await story.day.unwind(told)
    story.begin = await story.day.house.books.connection.fetchval(
        "SELECT max(posted_at) FROM postings WHERE account_id = $1", story.day.account_id
    )
    await story.day.approved(90_000)
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)
    account = story.day.account_id
    assert await balance(story.url, account) == await balance(story.scratch, account)


async def test_a_period_that_begins_before_a_mark_was_left(story: Trying) -> None:
    """A reversal of before the period left its mark a little later: its original is declined."""
    asked = story.day.asks(900)
    await story.day.send(reversal(asked))
    story.begin = await story.day.house.books.connection.fetchval(
        "SELECT min(noted_at) FROM early_marks WHERE account_id = $1", story.day.account_id
    )
    assert "00" != (await story.day.send(asked)).code
    outcome = await story.by()
    assert [] == others(outcome)
    assert {} == beside(outcome)


async def test_a_mark_is_there_from_when_it_was_left(story: Trying) -> None:
    """A reversal of an advice that declined does not make it reversed before it came: its original,
    when that comes at last, is declined as it was.
    """
    asked = story.day.asks(900)
    declined = advice(asked, response="05")
    await story.day.send(declined)
    await story.day.send(reversal(declined))
    await story.from_here()
    assert ["05"] == await story.day.codes(asked)
    outcome = await story.by()
    assert ["declined_elsewhere"] == [row["was"] for row in outcome.answers]
    assert [] == others(outcome)


async def test_what_was_refused_before_the_period_stays_refused(story: Trying) -> None:
    """A purchase of before is as it was answered, though the rules that are tried let it pass."""
    await story.operate("set_limit", "all", "transaction", 50_000, None)
    refused = story.day.asks(90_000)
    assert ["61"] == await story.day.codes(refused)
    await story.from_here()
    for _ in range(2):
        await story.day.approved(45_000)
    await story.day.send(advice(refused))  # it reaches into the period
    outcome = await story.by(limits=({"scope": "all", "period": "transaction", "amount": "2000"},))
    assert [] == others(outcome)
    assert {} == beside(outcome)
