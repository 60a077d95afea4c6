"""Reversals of what came after an authorization: completions, financial advices, increments."""

from __future__ import annotations

import pytest

from tests.flows.day import REFUND, Day
from tests.flows.later import completion, increment, later, private, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")


# ---- of a completion ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep", "posted"), [(None, 0), (0, 0), (200, -200), (700, -700), (701, -700)]
)
async def test_of_a_completion(day: Day, keep: int | None, posted: int) -> None:
    """What the completion posted is posted back; its hold does not open again."""
    asked = await day.approved(1_000)
    sent = completion(asked, 700)
    await day.send(sent)
    await day.send(reversal(sent, keep))
    assert (posted, 0) == await day.money()
    assert ["completed"] == await day.holds()


async def test_of_one_of_two_completions(day: Day) -> None:
    """Only what the named one posted is posted back."""
    asked = await day.approved(1_000)
    first, second = completion(asked, 700), completion(asked, 200)
    await day.codes(first, second, reversal(first))
    assert (-200, 0) == await day.money()
    await day.codes(reversal(first), reversal(second))
    assert (0, 0) == await day.money()


async def test_of_a_part(day: Day) -> None:
    """A part that is reversed leaves the rest of the hold as it is."""
    asked = await day.approved(1_000)
    sent = completion(asked, 300, _48=private(sequence="0102"))
    await day.codes(sent, reversal(sent))
    assert (0, 700) == await day.money()


async def test_of_a_completion_of_a_posting(day: Day) -> None:
    """What a financial advice said of an 0200 is the 0200: reversing either reverses it."""
    for names_the_advice in (False, True):
        own = await Day.begin(day.house)
        asked = await own.approved(1_000, mti="0200")
        sent = completion(asked, 1_300)
        await own.codes(sent, reversal(sent if names_the_advice else asked))
        assert (0, 0) == await own.money()
        assert [] == await own.audit()


@pytest.mark.parametrize("names_the_advice", [False, True])
async def test_of_an_advice_of_a_decline(day: Day, names_the_advice: bool) -> None:
    """What was posted for an 0200 that we declined is posted back."""
    asked = day.asks(100_001, mti="0200")
    sent = completion(asked, 900)
    await day.codes(asked, sent)
    assert (-900, 0) == await day.money()
    await day.send(reversal(sent if names_the_advice else asked))
    assert (0, 0) == await day.money()


@pytest.mark.parametrize(("mti", "stays", "code"), [("0100", -700, "00"), ("0200", 0, "05")])
async def test_of_a_completion_by_what_never_came(
    day: Day, mti: str, stays: int, code: str
) -> None:
    """DE90 names a request that we never saw; its completion left that one's trace. An 0100 is a
    completed hold: nothing moves. An 0200 and its advice are one.
    """
    asked = day.asks(1_000, mti=mti)
    await day.codes(completion(asked, 700), reversal(asked))
    assert (stays, 0) == await day.money()
    assert [code] == await day.codes(asked)
    assert (stays, 0) == await day.money()


async def test_of_a_posting_that_came_late(day: Day) -> None:
    """An 0200 that came after its financial advice is reversed with what that posted."""
    asked = day.asks(1_000, mti="0200")
    await day.codes(completion(asked, 900), asked)
    assert (-900, 0) == await day.money()
    await day.send(reversal(asked))
    assert (0, 0) == await day.money()


async def test_of_a_credit(day: Day) -> None:
    """A refund that is reversed is taken back, also where it has been spent."""
    asked = await day.approved(1_000, mti="0200", _3=REFUND)
    await day.codes(day.asks(101_000), reversal(asked))
    assert (0, 101_000) == await day.money()


async def test_repeat_of_a_reversed_completion(day: Day) -> None:
    """A completion that was reversed stays so when it comes again."""
    sent = later("0220", day.asks(700))
    assert ["00", "00", "00"] == await day.codes(sent, reversal(sent), repeat(sent))
    assert (0, 0) == await day.money()


async def test_use_of_a_reversed_completion(day: Day) -> None:
    """A purchase whose completion was reversed uses nothing."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000)
    sent = completion(asked, 700)
    await day.codes(sent, reversal(sent))
    assert [(0, 0)] == await day.usage()


# ---- of an increment ----------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "held"), [(None, 1_000), (200, 1_200), (500, 1_500)])
async def test_of_an_increment(day: Day, keep: int | None, held: int) -> None:
    """Of an increment only its own hold is given back."""
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    await day.codes(more, reversal(more, keep))
    assert (0, held) == await day.money()
    assert ["00", "00" if keep else "05"] == await day.codes(repeat(asked), repeat(more))


@pytest.mark.parametrize(("keep", "held"), [(None, 0), (200, 200), (1_200, 1_200)])
async def test_of_what_was_added_to(day: Day, keep: int | None, held: int) -> None:
    """A reversal of the first 0100 gives back its whole purchase, the newest hold first."""
    asked = await day.approved(1_000)
    await day.codes(increment(asked, 500), reversal(asked, keep))
    assert (0, held) == await day.money()


async def test_of_an_extension(day: Day) -> None:
    """An extension holds nothing, so its reversal gives nothing back."""
    asked = await day.approved(1_000)
    longer = increment(asked, 0)
    await day.codes(longer, reversal(longer))
    assert (0, 1_000) == await day.money()
    assert ["00"] == await day.codes(repeat(asked))


async def test_of_a_declined_increment(day: Day) -> None:
    """A declined increment has nothing to give back."""
    asked = await day.approved(1_000)
    more = increment(asked, 99_001)
    assert ["51", "00"] == await day.codes(more, reversal(more))
    assert (0, 1_000) == await day.money()
