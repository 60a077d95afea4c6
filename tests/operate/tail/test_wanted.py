"""Which lines are wanted."""

from __future__ import annotations

from typing import Any

import pytest

from switch.operate.tail.lines import Entry, parse
from switch.operate.tail.wanted import Wanted
from tests.operate.tail.support import event, message

DECLINED = message(reason="insufficient_funds", response_code="51")
FAULT = message(reason="unavailable", total_us=250_000)
UNANSWERED = message(reason=None, pan=None, rrn=None, total_us=3)
ECHO = message(mti="0800", pan=None, rrn=None)
OTHER_LINK = message(link="visa")
DOWN, UP = event(), event(event="link_up", level="info")
BROKEN = event(event="fault", level="error")
NO_LINK = parse(b'{"event":"started","level":"info"}')
TEXT = parse(b"Traceback (most recent call last):")

ALL = (message(), DECLINED, FAULT, UNANSWERED, ECHO, OTHER_LINK, DOWN, UP, BROKEN, NO_LINK, TEXT)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({},                                        ALL),
        ({"links": frozenset({"visa"})},            (OTHER_LINK,)),
        ({"links": frozenset({"visa", "x"})},       (OTHER_LINK,)),
        ({"reasons": frozenset({"approved"})},      (message(), ECHO, OTHER_LINK)),
        ({"reasons": frozenset({"declined"})},      (DECLINED, FAULT)),
        ({"reasons": frozenset({"unavailable"})},   (FAULT,)),
        ({"last_four": "0119"},                     (message(), DECLINED, FAULT, OTHER_LINK)),
        ({"last_four": "0118"},                     ()),
        ({"rrn": "632608000003", "links": frozenset({"visa"})}, (OTHER_LINK,)),
        ({"stan": "000004"},                        ()),
        ({"slower_ms": 249.0},                      (FAULT,)),
        ({"slower_ms": 250.0},                      ()),
        ({"slower_ms": 0.0, "last_four": "0119"},   (message(), DECLINED, FAULT, OTHER_LINK)),
        ({"level": "info"},                         ALL[:-1]),
        ({"level": "warning"},                      (DOWN, BROKEN)),
        ({"level": "error"},                        (BROKEN,)),
        ({"kind": "messages"},                      ALL[:6]),
        ({"kind": "events"},                        (DOWN, UP, BROKEN, NO_LINK)),
        ({"kind": "events", "links": frozenset({"demo"})}, (DOWN, UP, BROKEN)),
        ({"kind": "events", "last_four": "0119"},   ()),
    ],
)  # fmt: skip
def test_what_is_asked_for(asked: dict[str, Any], wanted: tuple[Entry, ...]) -> None:
    """All that is asked must hold. What only messages have leaves out every event."""
    assert list(wanted) == [entry for entry in ALL if Wanted(**asked).matches(entry)]


@pytest.mark.parametrize("value", [None, 3, True, "x", [], {}, 1e300])
@pytest.mark.parametrize("name", ["pan", "reason", "total_us", "rrn", "stan", "link", "level"])
def test_a_field_may_hold_anything(name: str, value: object) -> None:
    """Another program's line is no reason to stop."""
    asked = Wanted(frozenset({"demo"}), frozenset({"declined"}), "0119", "1", "2", 1.0, "info")
    assert not asked.matches(message(**{name: value}))
    assert not Wanted(level="error").matches(message(**{name: value}))
