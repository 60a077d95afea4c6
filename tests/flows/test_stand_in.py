"""0120: what was decided elsewhere is held whatever we would have said, and never twice."""

from __future__ import annotations

from typing import Any

import pytest

from tests.flows.day import CASH, FUNDING, INQUIRY, REFUND, Day
from tests.flows.later import advice, completion, original, private, repeat, reversal

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

SCHEME_ID = private(scheme_id="TX0000000000001")


# ---- alone ------------------------------------------------------------------------------------


@pytest.mark.parametrize("response", ["00", "08", "10", "11", "16", "85"])
async def test_approved(day: Day, response: str) -> None:
    """An approval elsewhere is held; it is answered 00, whatever its own code."""
    told = await day.send(sent := advice(day.asks(), 1_000, response))
    assert ("00", "held") == (told.code, told.effect)
    assert (0, 1_000) == await day.money()
    row = await day.row(sent)
    assert (None, response, "STIP01") == (
        row["reason"], row["response_code"], row["authorization_code"]
    )  # fmt: skip


@pytest.mark.parametrize("response", ["01", "05", "41", "51", "55", "91", "N7"])
async def test_declined(day: Day, response: str) -> None:
    """A decline elsewhere is recorded and holds nothing."""
    told = await day.send(sent := advice(day.asks(), 1_000, response))
    assert ("00", "recorded") == (told.code, told.effect)
    assert (0, 0) == await day.money()
    assert response == (await day.row(sent))["response_code"]


@pytest.mark.parametrize(
    ("processing_code", "minor", "held"),
    [
        ("000000", 1_000, 1_000),
        (CASH,     1_000, 1_000),
        ("090000", 1_000, 1_000),
        ("170000", 1_000, 1_000),  # none of ours, but a debit: it happened
        (REFUND,   1_000,     0),
        (FUNDING,  1_000,     0),
        (INQUIRY,      0,     0),
        ("000000",     0,     0),
    ],
)  # fmt: skip
async def test_kinds(day: Day, processing_code: str, minor: int, held: int) -> None:
    """Debits are held, also of processing codes that we do not decide; nothing else is."""
    await day.send(advice(day.asks(minor, _3=processing_code)))
    assert (0, held) == await day.money()


@pytest.mark.parametrize(
    ("card", "message", "reason"),
    [
        ({},                                    {},             None),
        ({"posted_minor": 999},                 {},             "insufficient_funds"),
        ({"posted_minor": -1},                  {},             "insufficient_funds"),
        ({"card_status": "blocked"},            {},             "blocked"),
        ({"card_status": "lost"},               {},             "lost"),
        ({"card_status": "closed"},             {},             "closed"),
        ({"mcc_blocked": ["7995"]},             {"_18": "7995"}, "not_permitted"),
        ({"countries_allowed": ["826"]},        {},             "not_permitted"),
        ({"channels_blocked": ["ecommerce"]},   {"_22": "812"}, "not_permitted"),
        ({},                                    {"_14": "2911"}, "card_expired"),
        ({},                                    {"_3": "170000"}, "not_supported"),
    ],
    ids=["nothing", "funds", "overdrawn", "blocked", "lost", "closed", "MCC", "country",
         "channel", "expiry", "processing code"],
)  # fmt: skip
async def test_whatever_we_would_have_said(
    day: Day, card: dict[str, Any], message: dict[str, str], reason: str | None
) -> None:
    """It happened, so it is held; what we would have said is kept beside it."""
    own = await Day.begin(day.house, **card)
    sent = advice(own.asks(1_000, **message))
    assert "held" == (await own.send(sent)).effect
    assert (0, 1_000) == await own.money()
    assert reason == (await own.row(sent))["would_have_declined"]
    assert [] == await own.audit()


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        ({"amount_minor": 999},                          "limit_amount"),
        ({"amount_minor": 999, "period": "transaction"}, "limit_amount"),
        ({"count": 0},                                   "limit_count"),
        ({"amount_minor": 1_000, "count": 1},            None),
    ],
)  # fmt: skip
async def test_over_a_limit(day: Day, limit: dict[str, Any], reason: str | None) -> None:
    """An advice over a limit is held, and uses nothing of it."""
    await day.house.books.limit(day.account_id, **limit)
    sent = advice(day.asks(1_000))
    await day.send(sent)
    assert (0, 1_000) == await day.money()
    assert reason == (await day.row(sent))["would_have_declined"]
    assert [] == await day.usage()


async def test_what_is_declined_elsewhere_too(day: Day) -> None:
    """What we would have said is kept of a decline as well."""
    sent = advice(day.asks(100_001), response="05")
    await day.send(sent)
    assert "insufficient_funds" == (await day.row(sent))["would_have_declined"]


async def test_overdraws(day: Day) -> None:
    """Advices overdraw; what we decide ourselves finds no money then."""
    await day.send(advice(day.asks(150_000)))
    assert (0, 150_000) == await day.money()
    assert ["51"] == await day.codes(day.asks(1))


@pytest.mark.parametrize("response", ["00", "05"])
async def test_repeat(day: Day, response: str) -> None:
    """A repeat is answered 00 and moves nothing, whatever came between."""
    sent = advice(day.asks(), 1_000, response)
    await day.send(sent)
    before = await day.money()
    for copy in (sent, repeat(sent), repeat(sent, _4="000000000001"), repeat(sent, _39="00")):
        told = await day.send(copy)
        assert ("00", True) == (told.code, told.is_repeat)
    assert before == await day.money()


async def test_without_a_code(day: Day) -> None:
    """An advice that does not say how it was decided cannot be read."""
    assert ["30"] == await day.codes(advice(day.asks(), _39=None))
    assert (0, 0) == await day.money()


# ---- found by what comes after ----------------------------------------------------------------


@pytest.mark.parametrize(
    "by",
    [
        lambda sent: {},
        lambda sent: {"_90": None, "_38": "STIP01"},
        lambda sent: {"_90": None, "_37": "0" * 12, "_48": SCHEME_ID},
    ],
    ids=["DE90", "code and RRN", "scheme id"],
)
async def test_completed(day: Day, by: Any) -> None:
    """The hold of an advice is completed as any other."""
    sent = advice(day.asks(), 1_000, _48=SCHEME_ID)
    await day.send(sent)
    assert "posted" == (await day.send(completion(sent, 900, **by(sent)))).effect
    assert (-900, 0) == await day.money()


@pytest.mark.parametrize("of_late_request", [False, True])
@pytest.mark.parametrize(("keep", "held"), [(None, 0), (300, 300)])
async def test_reversed(day: Day, of_late_request: bool, keep: int | None, held: int) -> None:
    """A reversal finds the hold by the advice, and by the 0100 that came after it."""
    asked = day.asks(1_000)
    sent = advice(asked)
    await day.send(sent)
    await day.send(asked)
    await day.send(reversal(asked if of_late_request else sent, keep))
    assert (0, held) == await day.money()
    assert ["05" if keep is None else "00"] == await day.codes(repeat(asked))


async def test_reversed_by_the_request_that_never_came(day: Day) -> None:
    """DE90 names our 0100, which we never saw; the advice left its trace."""
    asked = day.asks(1_000)
    await day.send(advice(asked, _11=asked.fields[11]))
    assert "reversed" == (await day.send(reversal(asked))).effect
    assert (0, 0) == await day.money()
    assert ["05"] == await day.codes(asked)


@pytest.mark.parametrize("mti", ["0100", "0120"])
async def test_reversed_first(day: Day, mti: str) -> None:
    """An advice after its own reversal is recorded and holds nothing; so does a late 0100."""
    asked = day.asks(1_000)
    sent = advice(asked, _11=asked.fields[11])
    told = await day.send(reversal(sent, _90=original(sent, mti=mti)))
    assert ("00", "remembered") == (told.code, told.effect)
    assert "reversed_before_original" == (await day.send(sent)).effect
    assert (0, 0) == await day.money()
    assert ["05"] == await day.codes(asked)
    assert (0, 0) == await day.money()
