"""0220 out of the usual order: its hold gone, its original late, or one that was posted."""

from __future__ import annotations

import pytest

from tests.flows.day import CASH, REFUND, Day
from tests.flows.later import advice, completion, private, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEME_ID = private(scheme_id="TX0000000000001")
CODE = "123456"


# ---- after the hold has gone --------------------------------------------------------------------


async def test_after_expiry(day: Day) -> None:
    """A completion that comes after its hold expired is posted in full."""
    asked = await day.approved(1_000)
    await day.expire()
    await day.send(completion(asked, 700))
    assert (-700, 0) == await day.money()
    assert ["expired"] == await day.holds()


async def test_after_reversal(day: Day) -> None:
    """It already happened: a completion is posted also after the reversal of its 0100."""
    asked = await day.approved(1_000)
    await day.codes(reversal(asked), completion(asked, 700))
    assert (-700, 0) == await day.money()


async def test_after_unwinding(day: Day) -> None:
    """A completion of what was unwound is posted."""
    asked = day.asks(1_000)
    await day.unwind(await day.send(asked))
    await day.send(completion(asked, 700))
    assert (-700, 0) == await day.money()


async def test_of_a_decline(day: Day) -> None:
    """A completion of what we declined is posted: the shop has delivered."""
    asked = day.asks(100_001)
    assert ["51", "00"] == await day.codes(asked, completion(asked, 700))
    assert (-700, 0) == await day.money()


# ---- before its original ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minor", "clue"),
    [
        (700, {}),
        (700, {"_37": "999999999999"}),
        (1_000, {"_90": None}),
        (700, {"_90": None, "_37": "999999999999", "_48": SCHEME_ID}),
    ],
    ids=["DE90", "DE90 alone", "RRN and amount", "scheme id"],
)
async def test_first(day: Day, minor: int, clue: dict[str, str | None]) -> None:
    """An 0100 that comes after its completion is approved with its code and holds nothing."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    await day.send(completion(asked, minor, **clue, _38=CODE))
    told = await day.send(asked)
    assert ("00", CODE) == (told.code, told.fields.get(38))
    assert (-minor, 0) == await day.money()


async def test_first_with_two_clues(day: Day) -> None:
    """DE90 is clue enough, whatever an RRN says that comes with another amount."""
    for turn in range(1, 9):
        asked = day.asks(1_000)
        await day.send(completion(asked, 700, _38=CODE))
        told = await day.send(asked)
        assert ("00", CODE) == (told.code, told.fields.get(38))
        assert (-700 * turn, 0) == await day.money()


async def test_first_without_a_code(day: Day) -> None:
    """Where the completion told no code there is none to give."""
    asked = day.asks(100_001)
    await day.send(completion(asked, 700))
    told = await day.send(asked)
    assert ("00", None) == (told.code, told.fields.get(38))
    assert (-700, 0) == await day.money()


async def test_first_and_declining(day: Day) -> None:
    """A completion that was declined leaves no mark: the late 0100 is decided."""
    asked = day.asks(1_000)
    await day.send(completion(asked, 700, _39="05"))
    assert ["00"] == await day.codes(asked)
    assert (0, 1_000) == await day.money()


@pytest.mark.parametrize("response", ["00", "05"])
async def test_advice_after_it(day: Day, response: str) -> None:
    """A stand-in advice of a purchase that was posted is recorded."""
    asked = day.asks(1_000)
    await day.send(completion(asked, 700))
    assert "recorded" == (await day.send(advice(asked, 1_000, response))).effect
    assert (-700, 0) == await day.money()


async def test_two_before_their_original(day: Day) -> None:
    """Two completions of one 0100 that never came are one purchase, posted twice."""
    asked = day.asks(1_000)
    await day.codes(completion(asked, 700), completion(asked, 200))
    assert (-900, 0) == await day.money()
    assert ["00"] == await day.codes(asked)
    assert (-900, 0) == await day.money()


async def test_reversed_first(day: Day) -> None:
    """A completion after its own reversal is recorded and posts nothing."""
    asked = await day.approved(1_000)
    sent = completion(asked, 700)
    assert "remembered" == (await day.send(reversal(sent))).effect
    assert "reversed_before_original" == (await day.send(sent)).effect
    assert (0, 1_000) == await day.money()


# ---- of an 0200 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("minor", [700, 1_000, 1_300])
@pytest.mark.parametrize(("processing_code", "sign"), [("000000", -1), (CASH, -1), (REFUND, 1)])
async def test_of_a_posting(day: Day, processing_code: str, sign: int, minor: int) -> None:
    """A financial advice of an 0200 posts the difference: the purchase is not posted twice."""
    asked = await day.approved(1_000, mti="0200", _3=processing_code)
    assert "posted" == (await day.send(completion(asked, minor))).effect
    assert (sign * minor, 0) == await day.money()
    assert minor == (await day.row(asked))["posted_minor"]


async def test_two_of_a_posting(day: Day) -> None:
    """The last advice of an 0200 counts."""
    asked = await day.approved(1_000, mti="0200")
    await day.codes(completion(asked, 1_300), completion(asked, 900))
    assert (-900, 0) == await day.money()


@pytest.mark.parametrize("before", ["reversal", "unwinding", "decline"])
async def test_of_a_posting_that_was_taken_back(day: Day, before: str) -> None:
    """An advice of an 0200 that does not stand posts all of its amount."""
    asked = day.asks(100_001 if before == "decline" else 1_000, mti="0200")
    told = await day.send(asked)
    if before == "reversal":
        await day.send(reversal(asked))
    if before == "unwinding":
        await day.unwind(told)
    await day.send(completion(asked, 900))
    assert (-900, 0) == await day.money()


async def test_use_of_a_posting(day: Day) -> None:
    """An 0200 that came to less uses less of its limits; one that came to more the same."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000, mti="0200")
    used = []
    for minor in (1_300, 700):
        await day.send(completion(asked, minor))
        used += await day.usage()
    assert [(1_000, 1), (700, 1)] == used


async def test_posting_after_its_advice(day: Day) -> None:
    """An 0200 that comes after its financial advice answers as that did and posts nothing."""
    asked = day.asks(1_000, mti="0200")
    await day.send(completion(asked, 900, _38=CODE))
    told = await day.send(asked)
    assert ("00", CODE) == (told.code, told.fields.get(38))
    assert (-900, 0) == await day.money()


# ---- in another currency ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("billed", "asked_minor", "minor", "posted"),
    [
        (920,    1_000, 1_000,   920),
        (920,    1_000,   500,   460),
        (925,    1_000,   500,   463),  # 462.5
        (925,    1_000,   499,   462),  # 461.575
        (1,      1_000,   500,     1),  # 0.5
        (1,      1_000,   499,     0),
        (920,    1_000, 1_500, 1_380),
        (3,          7,     5,     2),  # 2.14…
        (99_999,     1,     1, 99_999),
    ],
)  # fmt: skip
async def test_by_the_rate_of_the_original(
    day: Day, billed: int, asked_minor: int, minor: int, posted: int
) -> None:
    """Without a billing amount it is the original's × new ÷ the original's amount, half up."""
    asked = await day.approved(asked_minor, _49="840", _6=f"{billed:012d}", _51="978")
    await day.send(completion(asked, minor, _6=None, _51=None))
    assert (-posted, 0) == await day.money()


async def test_by_its_own_billing_amount(day: Day) -> None:
    """What the completion says was billed is posted."""
    asked = await day.approved(1_000, _49="840", _6="000000000920", _51="978")
    await day.send(completion(asked, 1_000, _6="000000000931"))
    assert (-931, 0) == await day.money()


async def test_of_a_posting_in_another_currency(day: Day) -> None:
    """The rate of an 0200 counts for its financial advice too."""
    asked = await day.approved(1_000, mti="0200", _49="840", _6="000000000925", _51="978")
    await day.send(completion(asked, 500, _6=None, _51=None))
    assert (-463, 0) == await day.money()


async def test_advice_by_the_rate_of_the_original(day: Day) -> None:
    """A stand-in advice without billing amount takes the rate of our own 0100."""
    asked = await day.approved(1_000, _49="840", _6="000000000925", _51="978")
    await day.send(advice(asked, 500, _6=None, _51=None))
    assert (0, 463) == await day.money()
