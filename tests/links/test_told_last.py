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
        """Never."""
        return False

    def resume_reading(self) -> None:
        """What is to be read is given by the test."""

    def write(self, data: bytes) -> None:
        """It leaves at once."""
        self._happened.append(f"{data.count(b'0810')} written")


@pytest.fixture
def kernel() -> Iterator[socket.socket]:
    """A socket to be tuned."""
    with socket.socket() as made:
        yield made


def _link(happened: list[str]) -> Link:
    issuer = cast("Issuer", SimpleNamespace(mac_zones={}, hsm=None, ledger=None))

    def on_event(*_: object, **__: object) -> None:
        """Nobody listens."""

    return Link(
        LinkSettings(name="test", listen=Address("127.0.0.1", 0)),
        Router("test", SPEC, issuer, on_event=on_event),
        issuer,
        on_exchange=lambda _: happened.append("told"),
        on_event=on_event,
    )


@pytest.mark.parametrize("count", [1, 2, 12])
async def test_answers_leave_before_they_are_told_of(kernel: socket.socket, count: int) -> None:
    """The answers of one turn of the loop leave in one write, and then each is logged."""
    happened: list[str] = []
    connection = Connection(_link(happened))
    connection.connection_made(cast("asyncio.Transport", Wire(happened, kernel)))
    connection.data_received(b"".join(FRAMING.frame(encode(echo(), SPEC)) for _ in range(count)))

    async def all_told() -> bool:
        return happened.count("told") == count

    await eventually(all_told)
    assert [f"{count} written", *["told"] * count] == happened
