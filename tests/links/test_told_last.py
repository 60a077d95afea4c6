"""What the operators are told of an answer is made when the answer has left."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from specs.spec import load as load_spec
from switch.flows.issuer import Issuer
from switch.flows.router import Router
from switch.links.connection import Connection
from switch.links.link import Link
from switch.settings import Address
from switch.settings import Link as LinkSettings
from switch.wire.frame import Framing
from switch.wire.message import encode
from tests.process import eventually
from tests.traffic import echo

SPEC = load_spec("iso87-ascii")
FRAMING = Framing.parse("2-byte")


class Wire:
    """A transport that notes each write, by how many answers are in it."""

    def __init__(self, happened: list[str], kernel: socket.socket) -> None:
        self._happened = happened
        self._of = {"socket": kernel, "peername": ("127.0.0.1", 1)}

    def get_extra_info(self, name: str) -> Any:
        """The socket and the peer."""
        return self._of.get(name)

    def set_write_buffer_limits(self, **_: int) -> None:
        """Any will do."""

    def is_closing(self) -> bool:
        """Once it was aborted."""
        return "aborted" in self._happened

    def abort(self) -> None:
        """Nothing leaves any more."""
        self._happened.append("aborted")

    def resume_reading(self) -> None:
        """What is to be read is given by the test."""

    def write(self, data: bytes) -> None:
        """It leaves at once, where that is still possible."""
        if {"end", "aborted"} & {*self._happened}:
            raise RuntimeError("Cannot call write() after that")
        self._happened.append(f"{data.count(b'0810')} written")

    def write_eof(self) -> None:
        """Nothing comes any more."""
        self._happened.append("end")


@pytest.fixture
def kernel() -> Iterator[socket.socket]:
    """A socket to be tuned."""
    with socket.socket() as made:
        yield made


def _connected(happened: list[str], kernel: socket.socket, **settings: Any) -> Connection:
    """A connection of a link without an issuer: enough for echoes."""
    issuer = cast("Issuer", SimpleNamespace(mac_zones={}, hsm=None, ledger=None))

    def on_event(*_: object, **__: object) -> None:
        """Nobody listens."""

    link = Link(
        LinkSettings(name="test", listen=Address("127.0.0.1", 0), **settings),
        Router("test", SPEC, issuer, on_event=on_event),
        issuer,
        on_exchange=lambda exchange: happened.append(f"told: {exchange.outcome}"),
        on_event=on_event,
    )
    connection = Connection(link)
    connection.connection_made(cast("asyncio.Transport", Wire(happened, kernel)))
    happened.clear()
    return connection


def _echoes(count: int) -> bytes:
    return b"".join(FRAMING.frame(encode(echo(), SPEC)) for _ in range(count))


async def _all_told(happened: list[str], count: int) -> None:
    async def are() -> bool:
        return sum(one.startswith("told") for one in happened) >= count

    await eventually(are)


@pytest.mark.parametrize("count", [1, 2, 12])
async def test_answers_leave_before_they_are_told_of(kernel: socket.socket, count: int) -> None:
    """The answers of one turn of the loop leave in one write, and then each is logged."""
    happened: list[str] = []
    connection = _connected(happened, kernel)
    connection.data_received(_echoes(count))
    await _all_told(happened, count)
    assert [f"{count} written", *["told: sent"] * count] == happened


async def test_the_last_answer_waits_for_no_other(kernel: socket.socket) -> None:
    """Where nothing else is in flight it is written in the turn that made it."""
    happened: list[str] = []
    connection = _connected(happened, kernel)
    connection.data_received(_echoes(1))
    await asyncio.sleep(0)  # the turn in which it is answered
    assert ["1 written"] == happened


async def test_one_that_waits_has_company(kernel: socket.socket) -> None:
    """While another is in flight, answers of a turn are written together."""
    happened: list[str] = []
    connection = _connected(happened, kernel)
    connection.begin()
    connection.data_received(_echoes(3))
    await _all_told(happened, 3)
    assert ["3 written", *["told: sent"] * 3] == happened


async def test_what_is_shed_is_written_together(kernel: socket.socket) -> None:
    """Beyond what a link takes in flight, the answers of one turn leave in one write too."""
    happened: list[str] = []
    connection = _connected(happened, kernel, in_flight_max=1)
    connection.data_received(_echoes(5))
    await _all_told(happened, 5)
    assert ["5 written", *["told: sent"] * 5] == happened


async def test_what_comes_after_the_end_is_told(kernel: socket.socket) -> None:
    """An answer that is made after the end was said is not written, and its line says so."""
    happened: list[str] = []
    connection = _connected(happened, kernel)
    connection.data_received(_echoes(2))
    connection.finish()
    await _all_told(happened, 2)
    assert ["end", *["told: link_gone"] * 2] == happened


async def test_what_waits_when_it_is_aborted_is_dropped(kernel: socket.socket) -> None:
    """An answer that had not left when its connection was given up leaves no more, and is told."""
    happened: list[str] = []
    loop, complaints = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    connection = _connected(happened, kernel)
    connection.begin()
    connection.data_received(_echoes(1))
    for step in (connection.abort, connection.end):  # in the turn in which it is answered
        loop.call_soon(step)
    await _all_told(happened, 1)
    assert (["aborted", "told: sent"], []) == (happened, complaints)
