"""Acknowledgements of our answers (0180, 0190) and administrative advices (0620)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping

import pytest

from switch.deadline import Deadline
from switch.flows.exchange import Exchange
from switch.flows.router import Router
from switch.wire.message import Message, decode, encode
from tests.flows.support import SPEC, House, noting, purchase

pytest_plugins = ["tests.ledger.fixtures"]
pytestmark = pytest.mark.asyncio(loop_scope="module")

ADVICE = {7: "1123120000", 11: "000620", 32: "476173", 41: "TERM0001"}
#: The same dialect, of a network that has none of these messages.
WITHOUT = dataclasses.replace(
    SPEC,
    classes={mti: SPEC.classes[mti] for mti in SPEC.classes if mti not in ("0180", "0190", "0620")},
)


async def send(
    house: House, mti: str, fields: Mapping[int, str], router: Router | None = None
) -> Exchange:
    """Send a message and give what became of it."""
    payload, deadline = message(mti, fields), Deadline.start(time.monotonic(), 2_000, 20)
    return await (router or house.router).exchange(payload, deadline)


def message(mti: str, fields: Mapping[int, str]) -> bytes:
    """A message as it comes from a network."""
    return encode(Message(mti, dict(sorted(fields.items()))), SPEC)


def answer(exchange: Exchange) -> Message:
    """The answer, as the sender reads it."""
    assert exchange.answer is not None
    return decode(exchange.answer, SPEC)


def plain_router(house: House) -> Router:
    """A link whose dialect has none of these messages."""
    return Router("plain", WITHOUT, house.router._issuer, on_event=noting(house.told))


def acknowledging(request: Mapping[int, str]) -> dict[int, str]:
    """What an acknowledgement tells of the request whose answer it is about."""
    return {number: request[number] for number in (2, 3, 4, 7, 11, 19, 22, 32, 37, 41, 49)}


# ---- 0620 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mti", ["0620", "0621"])
async def test_an_administrative_advice(house: House, mti: str) -> None:
    """0620 and its repeat are answered 0630 with 00 and what they told."""
    exchange = await send(house, mti, ADVICE)
    assert Message("0630", {**ADVICE, 39: "00"}) == Message("0630", dict(answer(exchange).fields))
    assert "0630" == answer(exchange).mti
    assert exchange.reply is not None
    assert exchange.reply.reason is None


async def test_an_administrative_advice_that_cannot_be_read(house: House) -> None:
    """One without its STAN can be answered by nobody's number: it is not, and is told."""
    house.told.clear()
    exchange = await send(house, "0620", {7: "1123120000"})
    assert exchange.answer is None
    assert ["message_error"] == [name for name, _ in house.told]


# ---- 0180 -------------------------------------------------------------------------------------


async def test_an_acknowledgement(house: House) -> None:
    """0180 is not answered, and changes nothing."""
    account_id, pan = await house.card()
    request = purchase(pan)
    await house.answer(request)
    exchange = await send(house, "0180", acknowledging(request))
    assert (None, None) == (exchange.answer, exchange.fault)
    assert (1_000, 1) == (await house.books.held(account_id), await recorded(house, account_id))


async def test_an_acknowledgement_that_cannot_be_read(house: House) -> None:
    """Not even a 0180 that misses a field is answered: a 0190 back would undo a purchase."""
    house.told.clear()
    exchange = await send(house, "0180", {7: "1123120000", 11: "000180"})
    assert exchange.answer is None
    assert [("message_error", "missing")] == [
        (name, about["problem"]) for name, about in house.told
    ]


# ---- 0190 -------------------------------------------------------------------------------------


async def test_a_negative_acknowledgement(house: House) -> None:
    """0190 is not answered; what its 0100 held is given back, and a repeat of that is refused."""
    account_id, pan = await house.card()
    request = purchase(pan)
    await house.answer(request)
    assert 1_000 == await house.books.held(account_id)
    exchange = await send(house, "0190", acknowledging(request))
    assert (None, "unanswered") == (exchange.answer, exchange.outcome)
    assert 0 == await house.books.held(account_id)
    assert "05" == (await house.answer(request))[39]
    assert 0 == await house.books.held(account_id)


async def test_a_repeated_negative_acknowledgement(house: House) -> None:
    """A second copy of a 0190 gives nothing back that the first one did."""
    account_id, pan = await house.card()
    request = purchase(pan)
    await house.answer(purchase(pan))
    await house.answer(request)
    for mti in ("0190", "0191"):
        assert (await send(house, mti, acknowledging(request))).answer is None
    assert 1_000 == await house.books.held(account_id)


async def test_a_negative_acknowledgement_that_comes_first(house: House) -> None:
    """A 0190 that is here before its 0100 leaves it refused."""
    account_id, pan = await house.card()
    request = purchase(pan)
    await send(house, "0190", acknowledging(request))
    assert "05" == (await house.answer(request))[39]
    assert 0 == await house.books.held(account_id)


async def test_a_negative_acknowledgement_that_cannot_be_read(house: House) -> None:
    """A 0190 that misses a field is told, and answered by nobody."""
    house.told.clear()
    exchange = await send(house, "0190", {7: "1123120000", 11: "000190"})
    assert exchange.answer is None
    assert ["message_error"] == [name for name, _ in house.told]


# ---- a dialect without them -------------------------------------------------------------------


async def test_requests_that_the_dialect_does_not_have(house: House) -> None:
    """Where the dialect has no such class a 0620 and a 0180 are answered 12, as any request."""
    for mti, response in (("0620", "0630"), ("0180", "0190")):
        exchange = await send(house, mti, ADVICE, plain_router(house))
        assert (response, "12") == ((told := answer(exchange)).mti, told.fields[39])


async def test_a_response_that_the_dialect_does_not_have(house: House) -> None:
    """Where the dialect has no 0190 it is a response that nobody asked for: nothing moves."""
    account_id, pan = await house.card()
    request = purchase(pan)
    await house.answer(request)
    house.told.clear()
    exchange = await send(house, "0190", acknowledging(request), plain_router(house))
    assert exchange.answer is None
    assert [("unsolicited_response", "0190")] == [
        (name, about["mti"]) for name, about in house.told
    ]
    assert 1_000 == await house.books.held(account_id)


@pytest.mark.parametrize("mti", ["0100", "0120", "0220", "0420", "0800"])
async def test_any_class_that_the_dialect_does_not_have(house: House, mti: str) -> None:
    """What we could do but the dialect does not have is answered 12, and moves no money."""
    account_id, pan = await house.card()
    spec = dataclasses.replace(
        SPEC, classes={each: of for each, of in SPEC.classes.items() if each != mti}
    )
    router = Router("plain", spec, house.router._issuer, on_event=noting(house.told))
    exchange = await send(house, mti, purchase(pan), router)
    assert "12" == answer(exchange).fields[39]
    assert (0, 0) == (await house.books.held(account_id), await recorded(house, account_id))


# ---- overload ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mti", ["0180", "0190", "0312"])
async def test_what_ends_an_exchange_is_not_shed(house: House, mti: str) -> None:
    """Under overload an acknowledgement or a response is taken all the same, not answered 91."""
    _, pan = await house.card()
    deadline = Deadline.start(time.monotonic(), 2_000, 20)
    assert house.router.shed(message(mti, purchase(pan)), deadline) is None


async def test_an_administrative_advice_under_overload(house: House) -> None:
    """A 0620 is answered 91 there: its sender repeats it."""
    exchange = house.router.shed(
        message("0620", ADVICE), Deadline.start(time.monotonic(), 2_000, 20)
    )
    assert exchange is not None
    assert ("0630", "91") == ((told := answer(exchange)).mti, told.fields[39])


async def recorded(house: House, account_id: int) -> int:
    """How many messages of an account are recorded."""
    count: int = await house.books.connection.fetchval(
        "SELECT count(*) FROM authorizations WHERE account_id = $1", account_id
    )
    return count
