"""A purchase beyond what is available, from a terminal that takes less: approved for that."""

from __future__ import annotations

from typing import Any

import pytest

from keys.hsm import Verdict
from tests.flows.day import CASH, CASHBACK, REFUND, Day
from tests.flows.later import changed, completion, increment, private, repeat, reversal
from tests.flows.support import ARPC, CSU_APPROVED, PIN_BLOCK

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

TAKES_LESS = private(partial="1")


@pytest.mark.parametrize(("mti", "money"), [("0100", (0, 600)), ("0200", (-600, 0))])
async def test_partial(day: Day, mti: str, money: tuple[int, int]) -> None:
    """6.00 of 10.00: DE39 10, DE4 what is approved, DE54 what was asked; all of it is taken."""
    own = await Day.begin(day.house, posted_minor=600)
    told = await own.send(own.asks(1_000, mti=mti, _48=TAKES_LESS))
    assert ("10", "000000000600", "0057978C000000001000") == (
        told.code, told.fields[4], told.fields[54]
    )  # fmt: skip
    assert told.authorization_code.isdigit()
    assert money == await own.money()
    assert [] == await own.audit()


@pytest.mark.parametrize(
    ("available", "minor", "code", "held"),
    [
        (600,   600, "00",   600),
        (600,   601, "10",   600),
        (1,   1_000, "10",     1),
        (0,   1_000, "51",     0),
        (-1,  1_000, "51",     0),
    ],
)  # fmt: skip
async def test_bounds(day: Day, available: int, minor: int, code: str, held: int) -> None:
    """Something must be there, and less than was asked for."""
    own = await Day.begin(day.house, posted_minor=available)
    assert code == (await own.send(own.asks(minor, _48=TAKES_LESS))).code
    assert (0, held) == await own.money()
    assert [] == await own.audit()


async def test_of_a_credit_limit(day: Day) -> None:
    """What is available is with the credit limit and without what is held."""
    own = await Day.begin(day.house, posted_minor=-300, credit_limit_minor=1_000)
    assert ["00", "10", "51"] == await own.codes(
        own.asks(200), own.asks(1_000, _48=TAKES_LESS), own.asks(1, _48=TAKES_LESS)
    )
    assert (0, 700) == await own.money()


@pytest.mark.parametrize("processing_code", [CASH, CASHBACK])
async def test_not_of_cash(day: Day, processing_code: str) -> None:
    """Neither a withdrawal nor a cashback is approved in part."""
    asked = day.asks(100_001, _3=processing_code, _48=TAKES_LESS)
    assert ["51"] == await day.codes(asked)
    assert (0, 0) == await day.money()


@pytest.mark.parametrize("data", [None, private(partial="0"), private(partial="2"), "920341 "[:6]])
async def test_not_where_it_is_not_taken(day: Day, data: str | None) -> None:
    """A terminal that does not say so takes no less."""
    code = (await day.send(day.asks(100_001, _48=data))).code
    assert code == ("30" if data == "920341" else "51")


@pytest.mark.parametrize(
    ("card", "changes", "code"),
    [
        ({"card_status": "blocked"}, {},             "62"),
        ({},                         {"_14": "2911"}, "54"),
        ({},                         {"_49": "840"}, "12"),
        ({"mcc_blocked": ["7995"]},  {"_18": "7995"}, "57"),
    ],
)  # fmt: skip
async def test_only_for_lack_of_funds(
    day: Day, card: dict[str, str], changes: dict[str, str], code: str
) -> None:
    """What is refused for anything else is not approved in part."""
    own = await Day.begin(day.house, posted_minor=600, **card)
    assert code == (await own.send(own.asks(1_000, _48=TAKES_LESS, **changes))).code
    assert (0, 0) == await own.money()


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"amount_minor": 999}, "61"), ({"count": 0}, "65"), ({"amount_minor": 1_000}, "10")],
)
async def test_limits(day: Day, limit: dict[str, Any], code: str) -> None:
    """Limits are asked of the whole amount, and used by what is approved."""
    own = await Day.begin(day.house, posted_minor=600)
    await own.house.books.limit(own.account_id, **limit)
    assert code == (await own.send(own.asks(1_000, _48=TAKES_LESS))).code
    assert ([(600, 1)] if code == "10" else []) == await own.usage()
    assert [] == await own.audit()


async def test_wrong_pin(day: Day) -> None:
    """A wrong PIN is a wrong PIN, whatever is available."""
    own = await Day.begin(day.house, posted_minor=600)
    own.house.hsm.pin = [Verdict.MISMATCH]
    asked = own.asks(1_000, _48=TAKES_LESS, _52=PIN_BLOCK)
    assert ["55"] == await own.codes(asked)
    assert (0, 0) == await own.money()


@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_repeat(day: Day, mti: str) -> None:
    """A repeat gets 10, the amount, the code and DE54 again, though there is more now."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, mti=mti, _48=TAKES_LESS)
    first = await own.send(asked)
    before = await own.money()
    await own.approved(5_000, mti="0200", _3=REFUND)
    assert first.fields == (await own.send(repeat(asked))).fields
    assert (before.posted + 5_000, before.held) == await own.money()


async def test_repeat_for_another_amount(day: Day) -> None:
    """A repeat asks for what its original asked for, not for what that got: else 94."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    assert ["10", "94"] == await own.codes(asked, repeat(asked, _4="000000000600"))


async def test_chip(day: Day) -> None:
    """The chip is told of the approval by a cryptogram over the code 10, a repeat the same."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    for message in (asked, repeat(asked)):
        own.house.hsm.arpc_data.clear()
        told = await own.send(message)
        assert f"9108{ARPC.hex()}{CSU_APPROVED}".upper() == told.fields[55]
        assert [CSU_APPROVED, CSU_APPROVED] == [data.hex() for data in own.house.hsm.arpc_data]


async def test_chip_by_code(day: Day) -> None:
    """Where the cryptogram is made over the code itself it is made over 10, not 00."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    version_10 = asked.fields[55].replace("06011203A00000", "06010A03A00000")
    own.house.hsm.arpc_data.clear()
    told = await own.send(changed(asked, _55=version_10))
    assert "10" == told.code
    assert [b"00", b"10"] == own.house.hsm.arpc_data
    assert told.fields[55].endswith(b"10".hex())


@pytest.mark.parametrize(
    ("available", "minor", "billed", "approved"),
    [
        (600,   1_000,   920,   652),  # 652.17…
        (600,   1_000, 1_840,   326),  # 326.08…
        (1,        10, 1_000,  None),  # less than a cent of it
        (999,   1_000, 1_000,   999),
    ],
)  # fmt: skip
async def test_other_currency(
    day: Day, available: int, minor: int, billed: int, approved: int | None
) -> None:
    """What is approved is told in the transaction's currency: never more than is available."""
    own = await Day.begin(day.house, posted_minor=available)
    asked = own.asks(minor, _49="840", _6=f"{billed:012d}", _51="978", _48=TAKES_LESS)
    told = await own.send(asked)
    if approved is None:
        assert "51" == told.code
        return
    assert ("10", f"{approved:012d}", f"0057840C{minor:012d}") == (
        told.code, told.fields[4], told.fields[54]
    )  # fmt: skip
    assert (0, available) == await own.money()
    assert [] == await own.audit()


async def test_billing_amount(day: Day) -> None:
    """The billing amount of the answer is that of what is approved."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _49="840", _6="000000000920", _51="978", _48=TAKES_LESS)
    told = await own.send(asked)
    assert told.fields.get(6) in (None, "000000000600")


# ---- after it -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("keep", "held"), [(None, 0), (200, 200), (600, 600), (1_000, 600)])
async def test_reversed(day: Day, keep: int | None, held: int) -> None:
    """A reversal gives back what was approved, at most."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    await own.codes(asked, reversal(asked, keep))
    assert (0, held) == await own.money()
    assert ["05" if keep is None else "10"] == await own.codes(repeat(asked))
    assert [] == await own.audit()


@pytest.mark.parametrize("minor", [600, 500, 1_000])
async def test_completed(day: Day, minor: int) -> None:
    """What it came to is posted."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    await own.codes(asked, completion(asked, minor))
    assert (-minor, 0) == await own.money()
    assert [] == await own.audit()


async def test_reversed_in_another_currency(day: Day) -> None:
    """What is to remain is billed at the rate that was asked for: 3.26 USD of 6.52 are 3.00 EUR."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _49="840", _6="000000000920", _51="978", _48=TAKES_LESS)
    await own.codes(asked, reversal(asked, 326, _6=None, _51=None))
    assert (0, 300) == await own.money()


async def test_unwound(day: Day) -> None:
    """What was approved in part is taken back in whole."""
    own = await Day.begin(day.house, posted_minor=600)
    asked = own.asks(1_000, _48=TAKES_LESS)
    await own.unwind(await own.send(asked))
    assert (0, 0) == await own.money()
    assert ["05"] == await own.codes(repeat(asked))
    assert [] == await own.audit()


async def test_of_an_increment(day: Day) -> None:
    """An increment, too, is approved for what is available."""
    own = await Day.begin(day.house, posted_minor=1_000)
    asked = await own.approved(600)
    more = increment(asked, 500, _48=private(partial="1", incremental="1"))
    assert ["10"] == await own.codes(more)
    assert (0, 1_000) == await own.money()
