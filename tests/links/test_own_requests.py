"""Requests of our own and their answers, without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from switch.links import own_requests
from switch.links.own_requests import OwnRequests
from switch.wire.message import Message

REQUEST = Message("0302", {7: "1123120000", 11: "000001", 91: "1"})
REPEAT = Message("0303", {7: "1123120000", 11: "000001", 91: "1"})
ANSWER = Message("0312", {7: "1123120000", 11: "000001", 39: "00"})
LONG, SHORT = 30.0, 0.01

Told = list[tuple[str, dict[str, Any]]]


def noting() -> tuple[OwnRequests, Told]:
    told: Told = []
    return OwnRequests(lambda event, **about: told.append((event, about))), told


async def asked(own: OwnRequests, request: Message) -> asyncio.Task[Message | None]:
    """The request is out."""
    task = asyncio.create_task(own.answer_to(request, within=LONG))
    await asyncio.sleep(0)
    return task


@pytest.mark.parametrize("request_", [REQUEST, REPEAT])
async def test_an_answer(request_: Message) -> None:
    """The answer to a request, or to its repeat, has their DE7 and DE11."""
    own, told = noting()
    waiting = await asked(own, request_)
    assert own.answered(ANSWER)
    assert ANSWER is await waiting
    assert [] == told


@pytest.mark.parametrize(
    "other",
    [
        Message("0312", {7: "1123120000", 11: "000002", 39: "00"}),
        Message("0312", {7: "1123120001", 11: "000001", 39: "00"}),
        Message("0312", {11: "000001", 39: "00"}),
        Message("0310", ANSWER.fields),
        Message("0810", ANSWER.fields),
        Message("0313", ANSWER.fields),
    ],
)
async def test_another_answer(other: Message) -> None:
    """Another STAN, another time, another MTI: nobody asked for that."""
    own, told = noting()
    waiting = await asked(own, REQUEST)
    assert not own.answered(other)
    assert not waiting.done()
    assert own.answered(ANSWER)
    assert ANSWER is await waiting
    assert [] == told


async def test_answers_in_any_order() -> None:
    """Several requests are out at once, and each gets its own answer."""
    own, _ = noting()
    requests = [Message("0302", {7: "1123120000", 11: f"{stan:06d}"}) for stan in range(5)]
    waiting = [await asked(own, request) for request in requests]
    answers = [Message("0312", {**request.fields, 39: "00"}) for request in requests]
    for answer in reversed(answers):
        assert own.answered(answer)
    assert answers == await asyncio.gather(*waiting)


async def test_a_late_answer() -> None:
    """One that comes after its time is told, and given to who still wants it, once."""
    own, told = noting()
    late: list[Message] = []
    assert await own.answer_to(REQUEST, within=SHORT, on_late=late.append) is None
    assert [] == told
    assert own.answered(ANSWER)
    assert own.answered(ANSWER)
    assert [ANSWER] == late
    assert [("late_response", {"mti": "0312", "stan": "000001"})] * 2 == told


async def test_a_late_answer_while_the_repeat_is_out() -> None:
    """The answer to the first copy answers the repeat: they are one message."""
    own, told = noting()
    late: list[Message] = []
    await own.answer_to(REQUEST, within=SHORT, on_late=late.append)
    waiting = await asked(own, REPEAT)
    assert own.answered(ANSWER)
    assert ANSWER is await waiting
    assert ([], []) == (late, told)


async def test_a_second_answer() -> None:
    """A second answer to one request is told, and changes nothing."""
    own, told = noting()
    waiting = await asked(own, REQUEST)
    assert own.answered(ANSWER)
    assert own.answered(ANSWER)
    assert ANSWER is await waiting
    assert own.answered(ANSWER)
    assert ["late_response"] * 2 == [event for event, _ in told]


async def test_stans_are_not_used_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every request has another STAN, never 000000; what is out or was is passed by."""
    monkeypatch.setattr(own_requests, "STANS", 6)
    own, _ = noting()
    waiting = await asked(own, REQUEST)
    await own.answer_to(Message("0302", {7: "1123120000", 11: "000003"}), within=0)
    stans = [own.next_stan("1123120000", "0312") for _ in range(6)]
    assert {"000002", "000004", "000005"} == set(stans[:3]) == set(stans[3:])
    later = [own.next_stan("1123120001", "0312") for _ in range(5)]
    assert {"000001", "000002", "000003", "000004", "000005"} == set(later)
    waiting.cancel()


async def test_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of requests that are over only so many are known; the oldest is a stranger's then."""
    monkeypatch.setattr(own_requests, "OVER_MAX", 2)
    own, _ = noting()
    for stan in range(3):
        fields = {7: "1123120000", 11: f"{stan:06d}"}
        await own.answer_to(Message("0302", fields), within=0)
    known = [
        own.answered(Message("0312", {7: "1123120000", 11: f"{stan:06d}"})) for stan in range(3)
    ]
    assert [False, True, True] == known


async def test_a_request_that_is_given_up() -> None:
    """Who stops waiting leaves nothing behind: a later answer is a stranger's."""
    own, _ = noting()
    waiting = await asked(own, REQUEST)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not own.answered(ANSWER)
