"""0220: what a purchase came to is posted in full, whatever was held for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from switch.wire.message import Message
from tests.flows.day import CASH, FUNDING, INQUIRY, REFUND, Day
from tests.flows.later import completion, later, original, private, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEME_ID = private(scheme_id="TX0000000000001")
#: What a completion tells of its original, and no more than that.
CLUES: Mapping[str, Any] = {
    "DE90": lambda asked, code: {"_37": "999999999999"},
    "DE90, any acquirer": lambda asked, code: {"_90": original(asked, acquirer="0")},
    "DE90, acquirer with zeros": lambda asked, code: {"_90": original(asked, acquirer="000476173")},
    "DE90 of a repeat": lambda asked, code: {"_90": original(asked, mti="0101")},
    "code and RRN": lambda asked, code: {"_90": None, "_38": code},
    "code and RRN, DE90 of zeros": lambda asked, code: {"_90": "0" * 42, "_38": code},
    "scheme id": lambda asked, code: {"_90": None, "_37": "999999999999", "_48": SCHEME_ID},
}
clues = pytest.mark.parametrize("clue", CLUES)


def part(of: Message, minor: int, sequence: str, **changes: str | None) -> Message:
    """A completion that is one of several."""
    return completion(of, minor, _48=private(sequence=sequence), **changes)


# ---- of a hold ----------------------------------------------------------------------------------


@clues
@pytest.mark.parametrize("minor", [700, 200_000])
async def test_completed(day: Day, clue: str, minor: int) -> None:
    """All of the completion's amount is posted, and nothing stays held."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    code = (await day.send(asked)).authorization_code
    told = await day.send(sent := completion(asked, minor, **CLUES[clue](asked, code)))
    assert ("00", "posted") == (told.code, told.effect)
    assert (-minor, 0) == await day.money()
    assert ["completed"] == await day.holds()
    assert minor == (await day.row(sent))["posted_minor"]


@pytest.mark.parametrize(
    "clue",
    [
        {"_90": None, "_38": "NOCODE"},
        {"_90": None},
        {"_90": None, "_38": "the code", "_37": "999999999999"},
        {"_90": None, "_37": "999999999999", "_48": private(scheme_id="TX0000000000002")},
        {"_90": "0" * 42},
    ],
    ids=["another code", "RRN without code", "code without RRN", "another scheme id", "zeros"],
)
async def test_of_another_purchase(day: Day, clue: dict[str, str]) -> None:
    """What names no original is posted in full all the same; the hold stays."""
    asked = day.asks(1_000, _48=SCHEME_ID)
    code = (await day.send(asked)).authorization_code
    clue = {name: code if value == "the code" else value for name, value in clue.items()}
    assert "posted" == (await day.send(completion(asked, 700, **clue))).effect
    assert (-700, 1_000) == await day.money()


async def test_of_another_acquirer(day: Day) -> None:
    """DE90 that names an acquirer names that acquirer's message alone."""
    asked = await day.approved(1_000)
    await day.send(completion(asked, 700, _90=original(asked, acquirer="476174")))
    assert (-700, 1_000) == await day.money()


async def test_of_another_card(day: Day) -> None:
    """DE90 is always of the same card."""
    asked = await day.approved(1_000)
    other = await Day.begin(day.house)
    await other.send(completion(asked, 700, _2=other.pan))
    assert ((0, 1_000), (-700, 0)) == (await day.money(), await other.money())


async def test_without_a_hold(day: Day) -> None:
    """A completion of nothing that we know is posted in full, and overdraws."""
    sent = later("0220", day.asks(150_000))
    assert "posted" == (await day.send(sent)).effect
    assert (-150_000, 0) == await day.money()


@pytest.mark.parametrize(
    ("processing_code", "posted"),
    [("000000", -1_000), (CASH, -1_000), ("090000", -1_000), ("170000", -1_000),
     (REFUND, 1_000), (FUNDING, 1_000), ("220000", 1_000), (INQUIRY, 0)],
)  # fmt: skip
async def test_kinds(day: Day, processing_code: str, posted: int) -> None:
    """Debits are posted against the account and credits toward it; a question is not posted."""
    await day.send(later("0220", day.asks(1_000, _3=processing_code)))
    assert (posted, 0) == await day.money()


@pytest.mark.parametrize("response", [None, "00", "10", "85"])
async def test_approving(day: Day, response: str | None) -> None:
    """A completion that says nothing of an answer tells of an approval."""
    asked = await day.approved(1_000)
    await day.send(completion(asked, 700, _39=response))
    assert (-700, 0) == await day.money()


@pytest.mark.parametrize("response", ["05", "51", "91"])
async def test_declining(day: Day, response: str) -> None:
    """A completion of something that was declined is recorded only."""
    asked = await day.approved(1_000)
    sent = completion(asked, 700, _39=response)
    assert "recorded" == (await day.send(sent)).effect
    assert (0, 1_000) == await day.money()
    assert response == (await day.row(sent))["response_code"]
    assert "posted" == (await day.send(completion(asked, 800))).effect
    assert (-800, 0) == await day.money()


async def test_repeat(day: Day) -> None:
    """A repeat is answered 00 and moves nothing."""
    asked = await day.approved(1_000)
    sent = completion(asked, 700)
    await day.send(sent)
    for copy in (sent, repeat(sent), repeat(sent, _4="000000000001")):
        told = await day.send(copy)
        assert ("00", True) == (told.code, told.is_repeat)
    assert (-700, 0) == await day.money()


async def test_second(day: Day) -> None:
    """A second completion of a hold is posted in full all the same."""
    asked = await day.approved(1_000)
    await day.codes(completion(asked, 1_000), completion(asked, 400))
    assert (-1_400, 0) == await day.money()


async def test_credit(day: Day) -> None:
    """A credit that names a purchase is a posting of its own: the hold stays."""
    asked = await day.approved(1_000)
    await day.send(completion(asked, 400, _3=REFUND))
    assert (400, 1_000) == await day.money()


async def test_credit_is_not_its_purchase(day: Day) -> None:
    """A refund that has the RRN of a purchase says nothing of the 0100 that comes after it."""
    asked = day.asks(1_000)
    await day.send(later("0220", asked, 1_000, _3=REFUND))
    assert ["00"] == await day.codes(asked)
    assert (1_000, 1_000) == await day.money()


async def test_repeat_of_what_was_completed(day: Day) -> None:
    """A repeat of the 0100 answers as it did, and holds nothing again."""
    asked = day.asks(1_000)
    first = await day.send(asked)
    await day.send(completion(asked, 700))
    assert first.fields == (await day.send(repeat(asked))).fields
    assert (-700, 0) == await day.money()


@pytest.mark.parametrize("card", ["blocked", "lost", "closed"])
async def test_of_a_card_that_is_no_more(day: Day, card: str) -> None:
    """What was bought is paid, whatever the card is by now."""
    asked = await day.approved(1_000)
    await day.change(status=card)
    await day.send(completion(asked, 700))
    assert (-700, 0) == await day.money()


async def test_of_a_closed_account(day: Day) -> None:
    """A closed account pays for what was held on it."""
    asked = await day.approved(1_000)
    await day.close_account()
    await day.send(completion(asked, 700))
    assert (-700, 0) == await day.money()


# ---- one of several -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "posted", "held"),
    [
        ([("0103", 300)],                                          300,    700),
        ([("0103", 300), ("0203", 300)],                           600,    400),
        ([("0103", 300), ("0203", 300), ("0303", 300)],            900,      0),
        ([("0103", 300), ("0203", 300), ("0303", 900)],          1_500,      0),
        ([("0103", 1_000)],                                      1_000,      0),
        ([("0103", 1_200)],                                      1_200,      0),
        ([("0103", 1_200), ("0203", 100), ("0303", 100)],        1_400,      0),
        ([("0303", 300)],                                          300,      0),
        ([("0403", 300)],                                          300,      0),
        ([("0303", 300), ("0103", 300), ("0203", 300)],            900,      0),
        ([("0102", 999)],                                          999,      1),
        ([("0101", 300)],                                          300,      0),
        ([("", 300)],                                              300,      0),
        ([("3", 300)],                                             300,      0),
    ],
)  # fmt: skip
async def test_parts(day: Day, parts: list[tuple[str, int]], posted: int, held: int) -> None:
    """Each part is posted and takes as much off the hold; the last one closes it."""
    asked = await day.approved(1_000)
    for sequence, minor in parts:
        await day.send(part(asked, minor, sequence))
    assert (-posted, held) == await day.money()


async def test_use_of_parts(day: Day) -> None:
    """A purchase uses of its limits what is held and posted for it, at most what it was given."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000)
    used = []
    for sequence, minor in (("0103", 300), ("0203", 300), ("0303", 300)):
        await day.send(part(asked, minor, sequence))
        used += await day.usage()
    assert [(1_000, 1), (1_000, 1), (900, 1)] == used


@pytest.mark.parametrize(("minor", "used"), [(700, 700), (1_000, 1_000), (1_300, 1_000)])
async def test_use(day: Day, minor: int, used: int) -> None:
    """A completion for less gives use back; one for more uses no more."""
    await day.house.books.limit(day.account_id, amount_minor=9_999)
    asked = await day.approved(1_000)
    await day.send(completion(asked, minor))
    assert [(used, 1)] == await day.usage()


async def test_rest_expires(day: Day) -> None:
    """What no part came for is released when its time is over."""
    asked = await day.approved(1_000)
    await day.send(part(asked, 300, "0102"))
    await day.expire()
    assert (-300, 0) == await day.money()


async def test_rest_is_reversed(day: Day) -> None:
    """A reversal of the 0100 gives back what is still held and leaves what is posted."""
    asked = await day.approved(1_000)
    await day.send(part(asked, 300, "0102"))
    await day.send(reversal(asked))
    assert (-300, 0) == await day.money()
