"""The one line of a message, made of what became of it."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from specs.spec import load
from switch.deadline import Deadline
from switch.flows.exchange import Exchange
from switch.log import get_logger, listen
from switch.operate.events import Operator
from switch.operate.metrics import Metrics
from switch.wire.message import Message
from switch.wire.versions import version_of
from tests.flows.support import purchase

MERCHANT = "ACME STORE               BERLIN       DE"


@pytest.fixture
def lines() -> Iterator[list[bytes]]:
    """What is logged."""
    told: list[bytes] = []
    listen(told.append)
    yield told
    listen(None)


def test_what_was_refused_unread_has_its_words(lines: list[bytes]) -> None:
    """A message that never became a request tells its merchant and how its card was read too."""
    spec = load("iso87-ascii")
    exchange = Exchange("a", Deadline.start(0.0, 1_000, 100), 200, version_of(spec))
    exchange.message = Message("0100", purchase("4761739000000012", _22="901", _43=MERCHANT))
    Operator(get_logger("switch"), Metrics()).exchange(exchange)
    (line,) = map(orjson.loads, lines)
    assert (MERCHANT, "901", None) == (line["merchant"], line["entry_mode"], line["pan"])
