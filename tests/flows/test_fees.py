"""DE28: a fee inside the amount, or on top of it, as the dialect says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import pytest_asyncio

import specs
from specs.spec import load
from tests.flows.day import CASH, CASHBACK, REFUND, Day
from tests.flows.later import advice, completion, later, private, repeat, reversal
from tests.flows.support import House, open_house

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

DEBIT, CREDIT = "D00000050", "C00000050"
BILLED: Mapping[str, str] = {"_49": "840", "_6": "000000000925", "_51": "978"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def added(one_house: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """A house whose dialect adds fees to the amount."""
    dialect = (Path(specs.__file__).parent / "iso87_ascii.toml").read_text(encoding="utf-8")
    own = tmp_path_factory.mktemp("specs") / "fees_added.toml"
    inside = 'transaction_fee = "inside"'
    assert inside in dialect
    own.write_text(dialect.replace(inside, 'transaction_fee = "added"'), encoding="utf-8")
    return await open_house(one_house.ledger, one_house.books, [], spec=load(str(own)))


@pytest_asyncio.fixture(loop_scope="module")
async def paying(added: House) -> Day:
    """A card there."""
    return await Day.begin(added)


@pytest.mark.parametrize("fee", [DEBIT, CREDIT])
@pytest.mark.parametrize("mti", ["0100", "0200"])
async def test_inside(day: Day, mti: str, fee: str) -> None:
    """A fee inside the amount changes nothing."""
    await day.approved(1_000, mti=mti, _28=fee)
    money = await day.money()
    assert 1_000 == money.held - money.posted


@pytest.mark.parametrize("mti", ["0100", "0200"])
@pytest.mark.parametrize(
    ("fee", "taken"),
    [(DEBIT, 1_050), (CREDIT, 950), ("D00000000", 1_000), ("C00001000", 0), (None, 1_000)],
)
async def test_added(paying: Day, mti: str, fee: str | None, taken: int) -> None:
    """A fee on top is held and posted with the amount; a credited one is taken off it."""
    told = await paying.send(paying.asks(1_000, mti=mti, _28=fee))
    money = await paying.money()
    assert ("00", taken) == (told.code, money.held - money.posted)
    assert "000000001000" == told.fields[4]
    assert [] == await paying.audit()


@pytest.mark.parametrize(
    ("fee", "billed", "taken"),
    [
        (DEBIT,        925,   971),  # 971.25
        (CREDIT,       925,   879),  # 878.75
        (DEBIT,      2_000, 2_100),
        ("D00000001",  500,   501),  # 500.5
        ("C00000001",  500,   500),  # 499.5
    ],
)  # fmt: skip
async def test_added_and_billed(paying: Day, fee: str, billed: int, taken: int) -> None:
    """The fee is billed at the amount's own rate, half up."""
    await paying.approved(1_000, _28=fee, _49="840", _6=f"{billed:012d}", _51="978")
    assert (0, taken) == await paying.money()


@pytest.mark.parametrize(("minor", "code"), [(99_950, "00"), (99_951, "51")])
async def test_funds(paying: Day, minor: int, code: str) -> None:
    """There must be money for the fee too."""
    assert [code] == await paying.codes(paying.asks(minor, _28=DEBIT))


async def test_limits(paying: Day) -> None:
    """The fee counts toward limits."""
    await paying.house.books.limit(paying.account_id, amount_minor=1_049)
    assert ["61", "00"] == await paying.codes(
        paying.asks(1_000, _28=DEBIT), paying.asks(999, _28=DEBIT)
    )
    assert [(1_049, 1)] == await paying.usage()


async def test_cash(paying: Day) -> None:
    """What a machine asks for paying out counts as cash."""
    await paying.house.books.limit(paying.account_id, "cash", amount_minor=9_999)
    await paying.approved(1_000, _3=CASH, _28=DEBIT)
    assert [(1_050, 1)] == await paying.usage("cash")


async def test_cashback(paying: Day) -> None:
    """A fee on a cashback is none of its cash."""
    await paying.house.books.limit(paying.account_id, "cash", amount_minor=9_999)
    await paying.approved(1_000, _3=CASHBACK, _28=DEBIT, _54="0040978D000000000300")
    assert [(300, 1)] == await paying.usage("cash")
    assert (0, 1_050) == await paying.money()


async def test_more_than_the_amount(paying: Day) -> None:
    """More taken off than there is cannot be read."""
    assert ["30"] == await paying.codes(paying.asks(1_000, _28="C00001001"))


async def test_refund(paying: Day) -> None:
    """A refund is posted with what comes on top of it."""
    await paying.approved(1_000, mti="0200", _3=REFUND, _28=CREDIT)
    assert (950, 0) == await paying.money()


@pytest.mark.parametrize(("mti", "money"), [("0120", (0, 1_050)), ("0220", (-1_050, 0))])
async def test_advices(paying: Day, mti: str, money: tuple[int, int]) -> None:
    """What happened elsewhere is booked with its fee."""
    await paying.send(later(mti, paying.asks(1_000, _28=DEBIT), _39="00"))
    assert money == await paying.money()


async def test_life(paying: Day) -> None:
    """A hold with a fee is replaced, completed and reversed by what those say with theirs."""
    asked = await paying.approved(1_000, _28=DEBIT)
    await paying.send(advice(asked, 900))
    assert (0, 950) == await paying.money()
    sent = completion(asked, 800)
    await paying.send(sent)
    assert (-850, 0) == await paying.money()
    await paying.send(reversal(sent))
    assert (0, 0) == await paying.money()
    assert [] == await paying.audit()


async def test_life_in_another_currency(paying: Day) -> None:
    """Without billing amount a completion with its fee takes the rate of an original with one."""
    asked = await paying.approved(1_000, _28=DEBIT, **BILLED)
    await paying.send(completion(asked, 500, _6=None, _51=None))
    assert (-509, 0) == await paying.money()  # 971 × 550 ÷ 1050 = 508.6…
    assert [] == await paying.audit()


@pytest.mark.parametrize("mti", ["0100", "0200"])
@pytest.mark.parametrize(("keep", "stands"), [(None, 0), (400, 400)])
async def test_reversed(paying: Day, mti: str, keep: int | None, stands: int) -> None:
    """DE95 tells what is to remain in all."""
    asked = await paying.approved(1_000, mti=mti, _28=DEBIT)
    await paying.send(reversal(asked, keep))
    money = await paying.money()
    assert stands == money.held - money.posted


async def test_repeat(paying: Day) -> None:
    """A repeat has its original's fee; with another it is no repeat: 94."""
    asked = await paying.approved(1_000, _28=DEBIT)
    assert ["00", "94"] == await paying.codes(repeat(asked), repeat(asked, _28=CREDIT))
    assert (0, 1_050) == await paying.money()


@pytest.mark.parametrize(("fee", "code"), [(None, "10"), (DEBIT, "51")])
async def test_not_in_part(added: House, fee: str | None, code: str) -> None:
    """What has a fee on top is not approved in part."""
    own = await Day.begin(added, posted_minor=600)
    asked = own.asks(1_000, _28=fee, _48=private(partial="1"))
    assert [code] == await own.codes(asked)


async def test_in_part_with_a_fee_inside(day: Day) -> None:
    """A fee inside the amount does not stand in the way of a partial approval."""
    own = await Day.begin(day.house, posted_minor=600)
    assert ["10"] == await own.codes(own.asks(1_000, _28=DEBIT, _48=private(partial="1")))
