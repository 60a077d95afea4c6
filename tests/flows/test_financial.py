"""0200: decided as an authorization is, and posted at once."""

from __future__ import annotations

import pytest

from tests.flows.day import CASH, CASHBACK, FUNDING, INQUIRY, LOAD, REFUND, Day
from tests.flows.later import advice, changed, completion, repeat, reversal
from tests.flows.support import icc, open_house

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

CASH_INSIDE = "0040978D000000000300"  # DE54: 3.00 EUR of it are cash


@pytest.mark.parametrize(
    ("processing_code", "minor", "posted"),
    [
        ("000000",  1_000,  -1_000),
        (CASH,      1_000,  -1_000),
        (CASHBACK,  1_000,  -1_000),
        (REFUND,    1_000,   1_000),
        (FUNDING,   1_000,   1_000),
        (LOAD,      1_000,   1_000),
        (INQUIRY,       0,       0),
        (INQUIRY,   1_000,       0),
        ("000000",      0,       0),
    ],
    ids=["purchase", "cash", "cashback", "refund", "funding", "load", "inquiry",
         "inquiry with an amount", "verification"],
)  # fmt: skip
async def test_kinds(day: Day, processing_code: str, minor: int, posted: int) -> None:
    """A debit posts against the account, a credit toward it, a question nothing; none holds."""
    request = day.asks(minor, mti="0200", _3=processing_code)
    told = await day.send(request)
    assert "00" == told.code
    assert (posted, 0) == await day.money()
    assert (abs(posted), abs(posted)) == (
        (row := await day.row(request))["posted_minor"], row["standing_minor"]
    )  # fmt: skip
    assert (processing_code == INQUIRY) == (54 in told.fields)
    assert (processing_code != INQUIRY) == (38 in told.fields)


@pytest.mark.parametrize("processing_code", [REFUND, FUNDING, LOAD, INQUIRY])
async def test_credit_by_authorization(day: Day, processing_code: str) -> None:
    """A credit that is only authorized neither holds nor posts."""
    assert "00" == (await day.send(day.asks(1_000, _3=processing_code))).code
    assert (0, 0) == await day.money()


async def test_response_class(day: Day) -> None:
    """An 0200 is answered by an 0210, its repeat too."""
    request = day.asks(1_000, mti="0200")
    answers = [
        (await day.house.send(request.fields, mti=mti)).answer or b"" for mti in ("0200", "0201")
    ]
    assert [b"0210", b"0210"] == [answer[:4] for answer in answers]


async def test_contra(day: Day) -> None:
    """A posting stands against the settlement account of the link's scheme and the currency."""
    house = day.house
    visa = await open_house(house.ledger, house.books, [], scheme="visa")
    for where, currency, scheme in ((house, "978", "demo"), (visa, "840", "visa")):
        own = await Day.begin(where, currency=currency)
        await own.approved(1_000, mti="0200", _49=currency)
        entries = await house.books.connection.fetch(
            "SELECT contra, scheme, currency, amount_minor FROM postings"
            " WHERE account_id = $1 AND contra <> 'opening'",
            own.account_id,
        )
        assert [("settlement", scheme, currency, -1_000)] == [tuple(row) for row in entries]


async def test_other_currency(day: Day) -> None:
    """What is billed is posted."""
    await day.approved(1_000, mti="0200", _49="840", _6="000000000923", _51="978")
    assert (-923, 0) == await day.money()


@pytest.mark.parametrize(
    ("minor", "changes", "code"),
    [
        (100_001, {},               "51"),
        (1_000,   {"_14": "2911"},  "54"),
        (1_000,   {"_49": "840"},   "12"),
        (1_000,   {"_3": "170000"}, "12"),
    ],
    ids=["funds", "expiry", "currency", "processing code"],
)  # fmt: skip
async def test_declined(day: Day, minor: int, changes: dict[str, str], code: str) -> None:
    """An 0200 is declined as an 0100 is, and posts nothing."""
    assert code == (await day.send(day.asks(minor, mti="0200", **changes))).code
    assert (0, 0) == await day.money()


async def test_to_the_last_cent(day: Day) -> None:
    """What is posted is gone: the next one finds no money."""
    assert ["00", "51"] == await day.codes(
        day.asks(100_000, mti="0200"), day.asks(1, mti="0200")
    )  # fmt: skip


async def test_funded_by_a_credit(day: Day) -> None:
    """What was just credited can be spent."""
    assert ["51", "00", "00"] == await day.codes(
        day.asks(100_001, mti="0200"),
        day.asks(1, mti="0200", _3=REFUND),
        day.asks(100_001, mti="0200"),
    )


@pytest.mark.parametrize(
    ("processing_code", "used"),
    [
        ("000000", {"all": (1_000, 1), "purchase": (1_000, 1)}),
        (CASH,     {"all": (1_000, 1), "cash": (1_000, 1)}),
        (CASHBACK, {"all": (1_000, 1), "purchase": (1_000, 1), "cash": (300, 1)}),
        (REFUND,   {}),
        (FUNDING,  {}),
        (LOAD,     {}),
    ],
    ids=["purchase", "cash", "cashback", "refund", "funding", "load"],
)  # fmt: skip
async def test_limits(day: Day, processing_code: str, used: dict[str, tuple[int, int]]) -> None:
    """Debits use limits; of a cashback its cash counts as cash too. Credits use none."""
    scopes = ("all", "purchase", "cash")
    for scope in scopes:
        await day.house.books.limit(day.account_id, scope, "day", amount_minor=9_999)
    given = CASH_INSIDE if processing_code == CASHBACK else None
    await day.approved(1_000, mti="0200", _3=processing_code, _54=given)
    found = {scope: await day.usage(scope) for scope in scopes}
    assert {scope: [one] for scope, one in used.items()} == {
        scope: pairs for scope, pairs in found.items() if pairs
    }


async def test_over_a_limit(day: Day) -> None:
    """A limit is used by holds and postings alike."""
    await day.house.books.limit(day.account_id, amount_minor=1_500)
    assert ["00", "61", "00", "61"] == await day.codes(
        day.asks(1_000), day.asks(501, mti="0200"), day.asks(500, mti="0200"), day.asks(1)
    )


# ---- repeats ----------------------------------------------------------------------------------


@pytest.mark.parametrize("processing_code", ["000000", CASH, REFUND, INQUIRY])
async def test_repeat(day: Day, processing_code: str) -> None:
    """A repeat gets its original's answer, whole, and posts nothing."""
    request = day.asks(1_000, mti="0200", _3=processing_code)
    first = await day.send(request)
    before = await day.money()
    await day.approved(5_000)
    for copy in (request, repeat(request)):
        again = await day.send(copy)
        assert (first.fields, True) == (again.fields, again.is_repeat)
    assert (before.posted, 5_000) == await day.money()


@pytest.mark.parametrize(
    "change", [{"_4": "000000001001"}, {"_3": REFUND}, {"_49": "840"}], ids=["4", "3", "49"]
)
async def test_another_under_its_key(day: Day, change: dict[str, str]) -> None:
    """The same key with another amount, currency or processing code is no repeat: 94."""
    request = await day.approved(1_000, mti="0200")
    assert ["94"] == await day.codes(repeat(request, **change))
    assert (-1_000, 0) == await day.money()


async def test_not_an_authorization(day: Day) -> None:
    """An 0200 with the STAN of an 0100 is another message."""
    request = await day.approved(1_000)
    assert ["00"] == await day.codes(changed(request, "0200", _55=icc(60_000)))
    assert (-1_000, 1_000) == await day.money()


# ---- what comes after it ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("processing_code", "keep", "posted"),
    [
        ("000000", None,      0),
        ("000000", 0,         0),
        ("000000", 300,    -300),
        ("000000", 1_000, -1_000),
        ("000000", 1_001, -1_000),
        (CASH,     None,      0),
        (CASHBACK, 400,    -400),
        (REFUND,   None,      0),
        (REFUND,   300,     300),
        (LOAD,     None,      0),
        (INQUIRY,  None,      0),
    ],
)  # fmt: skip
async def test_reversed(day: Day, processing_code: str, keep: int | None, posted: int) -> None:
    """A reversal posts back what is beyond what is to remain, and never more than that."""
    request = await day.approved(1_000, mti="0200", _3=processing_code)
    await day.send(reversal(request, keep))
    assert (posted, 0) == await day.money()
    assert abs(posted) == (await day.row(request))["posted_minor"]


@pytest.mark.parametrize(("keep", "code"), [(None, "05"), (0, "05"), (1, "00"), (1_000, "00")])
async def test_repeat_of_what_was_reversed(day: Day, keep: int | None, code: str) -> None:
    """A repeat of something wholly reversed is declined; of something partly reversed it is not."""
    request = await day.approved(1_000, mti="0200")
    await day.send(reversal(request, keep))
    before = await day.money()
    assert [code] == await day.codes(repeat(request))
    assert before == await day.money()


async def test_reversed_gives_its_use_back(day: Day) -> None:
    """The limit can be used again as far as the purchase was reversed."""
    await day.house.books.limit(day.account_id, amount_minor=1_000, count=1)
    request = await day.approved(1_000, mti="0200")
    await day.send(reversal(request, 400))
    assert [(400, 1)] == await day.usage()
    await day.send(reversal(request))
    assert [(0, 0)] == await day.usage()
    assert ["00"] == await day.codes(day.asks(1_000, mti="0200"))


@pytest.mark.parametrize("processing_code", ["000000", CASH, CASHBACK, REFUND, FUNDING])
async def test_unwound(day: Day, processing_code: str) -> None:
    """An 0210 that did not leave in time posts its 0200 back; a repeat is declined."""
    await day.house.books.limit(day.account_id, amount_minor=1_000)
    request = day.asks(1_000, mti="0200", _3=processing_code)
    told = await day.send(request)
    assert "unwound" == await day.unwind(told)
    assert (0, 0) == await day.money()
    assert [(0, 0)] == (await day.usage() or [(0, 0)])
    assert "nothing" == await day.unwind(told)
    assert ["05"] == await day.codes(repeat(request))
    assert (0, 0) == await day.money()


async def test_unwound_after_a_partial_reversal(day: Day) -> None:
    """What was posted back already is not posted back again."""
    request = day.asks(1_000, mti="0200")
    told = await day.send(request)
    await day.send(reversal(request, 300))
    assert "unwound" == await day.unwind(told)
    assert (0, 0) == await day.money()


async def test_reversed_after_unwinding(day: Day) -> None:
    """An 0200 that was unwound has nothing left to reverse."""
    request = day.asks(1_000, mti="0200")
    await day.unwind(await day.send(request))
    assert "00" == (await day.send(reversal(request))).code
    assert (0, 0) == await day.money()


async def test_unwound_after_a_repeat_was_told(day: Day) -> None:
    """An approval that a repeat was told of stays."""
    request = day.asks(1_000, mti="0200")
    told = await day.send(request)
    assert ["00"] == await day.codes(repeat(request))
    assert "told" == await day.unwind(told)
    assert (-1_000, 0) == await day.money()


async def test_unwound_after_its_advice(day: Day) -> None:
    """A financial advice that came meanwhile says that it happened: nothing is unwound."""
    request = day.asks(1_000, mti="0200")
    told = await day.send(request)
    await day.send(completion(request, 1_000))
    assert "advised" == await day.unwind(told)
    assert (-1_000, 0) == await day.money()


async def test_stand_in_advice_is_no_copy_of_it(day: Day) -> None:
    """A 0120 with the RRN of an 0200 is about an authorization that we have not seen."""
    request = await day.approved(1_000, mti="0200")
    assert "held" == (await day.send(advice(request, 1_000))).effect
    assert (-1_000, 1_000) == await day.money()
