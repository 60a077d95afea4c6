"""An authorization that adds to an earlier one, or makes it stand longer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.flows.day import CASH, REFUND, Day
from tests.flows.later import (
    advice,
    changed,
    completion,
    increment,
    original,
    private,
    repeat,
    reversal,
)

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEME_ID = private(scheme_id="TX0000000000001")
BY_SCHEME_ID = {"_90": None, "_48": private(incremental="1", scheme_id="TX0000000000001")}


async def expiries(day: Day) -> list[timedelta]:
    """How long from now each open hold stands, to the minute."""
    now = datetime.now(UTC)
    return [
        timedelta(minutes=round((row["expires_at"] - now).total_seconds() / 60))
        for row in await day.hold_rows()
        if row["state"] == "open"
    ]


@pytest.mark.parametrize(
    "named",
    [
        lambda asked: {},
        lambda asked: {"_37": "999999999999"},
        lambda asked: {"_90": original(asked, mti="0101")},
        lambda asked: BY_SCHEME_ID,
        lambda asked: BY_SCHEME_ID | {"_37": "999999999999"},
        lambda asked: BY_SCHEME_ID | {"_90": "0" * 42},
    ],
    ids=["DE90", "DE90 alone", "DE90 of a repeat", "scheme id", "scheme id alone",
         "scheme id, DE90 of zeros"],
)  # fmt: skip
async def test_adds(day: Day, named: Any) -> None:
    """An increment has a hold of its own, which is one purchase with the first."""
    asked = await day.approved(1_000, _48=SCHEME_ID)
    more = increment(asked, 500, **named(asked))
    assert ["00"] == await day.codes(more)
    assert [(1, 1_000), (1, 500)] == await day.open_holds()
    assert (0, 1_500) == await day.money()
    assert 1_500 == (await day.row(asked))["standing_minor"]


async def test_adds_to_an_increment(day: Day) -> None:
    """An increment that names an increment adds to the same purchase."""
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    await day.codes(more, increment(more, 200), increment(asked, 100))
    assert [(1, 1_000), (1, 500), (1, 200), (1, 100)] == await day.open_holds()


@pytest.mark.parametrize("rrn", ["999999999999", None], ids=["RRN of its own", "the same RRN"])
async def test_adds_to_an_advice(day: Day, rrn: str | None) -> None:
    """What a stand-in held is added to as what we held ourselves."""
    sent = advice(day.asks(), 1_000)
    await day.codes(sent, increment(sent, 1_000, _37=rrn or sent.fields[37]))
    assert [(1, 1_000), (1, 1_000)] == await day.open_holds()


@pytest.mark.parametrize("what", ["unknown", "expired", "reversed", "completed", "declined"])
async def test_of_nothing(day: Day, what: str) -> None:
    """Where nothing is held any more an increment is an authorization of its own."""
    asked = day.asks(100_001 if what == "declined" else 1_000)
    if what != "unknown":
        await day.send(asked)
    if what == "expired":
        await day.expire()
    if what == "reversed":
        await day.send(reversal(asked))
    if what == "completed":
        await day.send(completion(asked, 1_000))
    more = increment(asked, 500)
    assert ["00"] == await day.codes(more)
    assert [(1, 500)] == await day.open_holds()
    assert (await day.row(more))["purchase_id"] is None


async def test_of_another_card(day: Day) -> None:
    """An increment on another card of the account is a purchase of its own."""
    asked = await day.approved(1_000)
    await day.codes(increment(asked, 500, _2=await day.second_card()))
    assert [(1, 1_000), (2, 500)] == await day.open_holds()


async def test_not_marked(day: Day) -> None:
    """An authorization that names another without saying that it adds to it is its own."""
    asked = await day.approved(1_000)
    await day.codes(increment(asked, 500, _48=None))
    assert [(1, 1_000), (2, 500)] == await day.open_holds()


@pytest.mark.parametrize(
    ("limit", "code"), [({}, "51"), ({"amount_minor": 1_400}, "61"), ({"count": 1}, "65")]
)
async def test_declined(day: Day, limit: dict[str, Any], code: str) -> None:
    """It is decided as any authorization, and a decline leaves the first as it was."""
    if limit:
        await day.house.books.limit(day.account_id, **limit)
    asked = await day.approved(1_000)
    more = increment(asked, 500 if limit else 99_001)
    assert [code, code] == await day.codes(more, repeat(more))
    assert (0, 1_000) == await day.money()


async def test_repeat(day: Day) -> None:
    """A repeated increment adds nothing again."""
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    first = await day.send(more)
    assert first.fields == (await day.send(repeat(more))).fields
    assert (0, 1_500) == await day.money()


async def test_use(day: Day) -> None:
    """An increment uses limits as an authorization, and counts as one."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    await day.send(more)
    assert [(1_500, 2)] == await day.usage()
    await day.send(reversal(more))
    assert [(1_000, 1)] == await day.usage()
    await day.send(reversal(asked))
    assert [(0, 0)] == await day.usage()


async def test_financial_request_is_none(day: Day) -> None:
    """An 0200 with the mark is a posting of its own: each is reversed for itself."""
    asked = await day.approved(1_000)
    paid = changed(increment(asked, 500), "0200")
    await day.send(paid)
    assert (-500, 1_000) == await day.money()
    await day.send(reversal(asked))
    assert (-500, 0) == await day.money()
    await day.send(reversal(paid))
    assert (0, 0) == await day.money()


# ---- how long it stands -------------------------------------------------------------------------

WEEK, PUMP, HOTEL = timedelta(days=7), timedelta(hours=2), timedelta(days=30)


async def test_stands_longer(day: Day) -> None:
    """An increment makes all of its purchase stand as long as a new hold would."""
    asked = await day.approved(1_000)
    await day.house.books.connection.execute(
        "UPDATE holds SET expires_at = now() + interval '1 hour' WHERE account_id = $1",
        day.account_id,
    )
    await day.send(increment(asked, 500))
    assert [WEEK, WEEK] == await expiries(day)


async def test_extension(day: Day) -> None:
    """An extension holds nothing more, and makes what is held stand longer."""
    asked = await day.approved(1_000, _18="5541")
    assert [PUMP] == await expiries(day)
    longer = increment(asked, 0, _18="7011")
    assert ["00"] == await day.codes(longer)
    assert [HOTEL] == await expiries(day)
    assert (0, 1_000) == await day.money()


async def test_extension_of_several(day: Day) -> None:
    """Every open hold of the purchase stands longer, and no other of the account."""
    asked = await day.approved(1_000)
    await day.send(increment(asked, 500))
    await day.approved(1_000)
    await day.send(increment(asked, 0, _18="7011"))
    assert [HOTEL, HOTEL, WEEK] == await expiries(day)


async def test_extension_of_nothing(day: Day) -> None:
    """An extension of what is not held is answered, and holds nothing."""
    asked = await day.approved(1_000)
    await day.send(reversal(asked))
    assert ["00"] == await day.codes(increment(asked, 0))
    assert (0, 0) == await day.money()
    assert ["reversed"] == await day.holds()


async def test_extension_by_a_blocked_card(day: Day) -> None:
    """A declined extension leaves the time as it was."""
    asked = await day.approved(1_000)
    await day.change(status="blocked")
    assert ["62"] == await day.codes(increment(asked, 0, _18="7011"))
    assert [WEEK] == await expiries(day)


# ---- what comes after it ------------------------------------------------------------------------


@pytest.mark.parametrize("names_the_increment", [False, True])
@pytest.mark.parametrize("minor", [1_500, 700, 2_000])
async def test_completed(day: Day, names_the_increment: bool, minor: int) -> None:
    """The last completion closes every hold of the purchase."""
    asked = await day.approved(1_000)
    more = increment(asked, 500)
    await day.send(more)
    await day.send(completion(more if names_the_increment else asked, minor))
    assert (-minor, 0) == await day.money()
    assert ["completed", "completed"] == await day.holds()


async def test_completed_in_parts(day: Day) -> None:
    """A part takes its amount off all that is held, the newest first."""
    asked = await day.approved(1_000)
    await day.send(increment(asked, 500))
    await day.send(completion(asked, 700, _48=private(sequence="0102")))
    assert [(1, 800)] == await day.open_holds()
    assert (-700, 800) == await day.money()


@pytest.mark.parametrize("minor", [1_500, 1_200, 2_000])
async def test_advised(day: Day, minor: int) -> None:
    """A stand-in advice speaks for the whole purchase: one hold of its amount."""
    asked = await day.approved(1_000)
    await day.send(increment(asked, 500))
    await day.send(advice(asked, minor))
    assert [(1, minor)] == await day.open_holds()


async def test_unwound(day: Day) -> None:
    """The unwinding of an increment takes back its own hold alone."""
    asked = await day.approved(1_000)
    await day.unwind(await day.send(increment(asked, 500)))
    assert (0, 1_000) == await day.money()


async def test_first_unwound(day: Day) -> None:
    """The unwinding of the first leaves what was added to it."""
    asked = day.asks(1_000)
    told = await day.send(asked)
    await day.send(increment(asked, 500))
    await day.unwind(told)
    assert (0, 500) == await day.money()


async def test_one_expires(day: Day) -> None:
    """All of the purchase's holds expire together."""
    asked = await day.approved(1_000)
    await day.send(increment(asked, 500))
    await day.expire()
    assert (0, 0) == await day.money()
    assert ["expired", "expired"] == await day.holds()
    assert 0 == (await day.row(asked))["standing_minor"]


@pytest.mark.parametrize("processing_code", [CASH, REFUND])
async def test_of_another_kind(day: Day, processing_code: str) -> None:
    """An increment of a refund adds nothing; cash brings its PIN or is declined."""
    asked = await day.approved(1_000)
    await day.send(increment(asked, 500, _3=processing_code))
    assert (0, 1_000) == await day.money()
