"""Lines for people."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from switch.log_fields import FIELDS
from switch.operate.tail.layout import (
    COMPACT_COLUMNS,
    CYAN,
    DIM,
    GREEN,
    HEADER,
    RED,
    RESET,
    YELLOW,
    colour_of,
    layout,
    printable,
)
from switch.operate.tail.lines import Entry, parse
from tests.operate.tail.support import EVENT, MESSAGE, event, message

AT = "08:00:21.004 demo     "
COMPACT = layout(is_wide=False, has_colour=False)
WIDE = layout(is_wide=True, has_colour=False)


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        (message(),
         AT + "0100 632608000003 *0119       25.00 EUR    1.9ms 00   approved"),
        (message(repeat=True, amount_minor=1, currency="392"),
         AT + "0100 632608000003 *0119           1 JPY    1.9ms 00   approved repeat"),
        (message(link="a-long-name", reason="lost", response_code="41", currency="123"),
         "08:00:21.004 a-long-n 0100 632608000003 *0119      2500 (123)    1.9ms 41   lost"),
        (message(reason="unavailable", response_code="91", problem="overload", outcome="late"),
         AT + "0100 632608000003 *0119       25.00 EUR    1.9ms 91   "
              "unavailable late overlo…"),
        (message(mti="0420", effect="reversed", total_us=12_345_678),
         AT + "0420 632608000003 *0119       25.00 EUR      12s 00   approved reversed"),
        (message(mti="0800", pan=None, rrn=None, amount_minor=None, currency=None),
         AT + "0800                                       1.9ms 00   approved"),
        (message(mti=None, pan=None, rrn=None, amount_minor=None, currency=None, reason=None,
                 response_code=None, outcome="dropped"),
         AT + "                                           1.9ms      dropped"),
        (event(), "08:00:22.000 demo     WARN link_state state=down count=0"),
        (event(link=None, level="error", event="unwind_failed", state=None),
         "08:00:22.000          ERR  unwind_failed state= count=0"),
        (event(event="started", level="info", problem="x" * 200),
         "08:00:22.000 demo     info started state=down count=0 problem=" + "x" * 37 + "…"),
        (parse(b"Traceback:\x1b[2J"), "Traceback:?[2J"),
    ],
)  # fmt: skip
def test_compact(entry: Entry, shown: str) -> None:
    """In a hundred columns what one looks for first, the amount in major units."""
    assert shown == COMPACT(entry)
    assert len(shown) <= COMPACT_COLUMNS


def test_the_columns_stand_under_their_names() -> None:
    """The header is cut as the lines are."""
    shown = COMPACT(message())
    for name, value in (
        ("link", "demo "), ("mti", "0100 "), ("rrn", "6326"), ("card", "*0119"), ("code", "00  "),
        ("reason", "approved"),
    ):  # fmt: skip
        assert HEADER.index(name) == shown.index(value)
    assert HEADER.index("amount") + 6 == shown.index("EUR") + 3


def test_wide() -> None:
    """All that a line has."""
    shown = WIDE(message(tvr="online_pin", mac_us=38))
    for part in (
        "2026-11-22 08:00:21.004512", "000003", "47617390****0119", "25.00 EUR", "5411", "051",
        "TERM0001", "GROCER BERLIN DE", "330620", "approved", "batch=1", "left_ms=248.1",
        "parse 61 mac 38 find 214 hsm 96 ledger 1380 reply 47 us", "tvr=online_pin",
    ):  # fmt: skip
        assert part in shown, part
    assert "2026-11-22 08:00:22.000001 demo         WARN link_state state=down count=0" == WIDE(
        event()
    )


@pytest.mark.parametrize(
    ("colour", "entry"),
    [
        (GREEN,  message()),
        (GREEN,  message(mti="0420", effect="reversed")),
        (YELLOW, message(reason="insufficient_funds")),
        (YELLOW, message(reason="format_error")),
        (RED,    message(reason="unavailable")),
        (RED,    message(reason="system_error")),
        (RED,    message(outcome="late")),
        (RED,    message(outcome="link_gone")),
        (RED,    message(mti="0800", outcome="late")),
        (RED,    message(reason=None, outcome="dropped")),
        (DIM,    message(mti="0800")),
        (DIM,    message(mti="1804")),
        (DIM,    message(reason=None, outcome="taken")),
        (CYAN,   event(level="info")),
        (YELLOW, event()),
        (RED,    event(level="error")),
    ],
)  # fmt: skip
def test_colours(colour: str, entry: Entry) -> None:
    """By what became of it. Without the colours a line is what it is without colours."""
    assert colour == colour_of(entry)
    for is_wide in (False, True):
        shown = layout(is_wide=is_wide, has_colour=True)(entry)
        plain = shown.replace(colour, "").replace(RESET, "")
        assert layout(is_wide=is_wide, has_colour=False)(entry) == plain.rstrip()
        assert shown.endswith(RESET)
        assert shown.startswith(DIM) == (colour is DIM)


def test_what_is_no_line_of_ours_is_dim() -> None:
    """It is shown as it is."""
    shown = layout(is_wide=False, has_colour=True)
    assert f"{DIM}Killed{RESET}" == shown(parse(b"Killed"))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
ANY_LINE = st.dictionaries(
    st.sampled_from([*FIELDS, "time", "level"]) | st.text(max_size=9),
    SCALARS
    | st.lists(SCALARS, max_size=2)
    | st.dictionaries(st.text(max_size=3), SCALARS, max_size=2),
    max_size=9,
)


@settings(max_examples=50)
@given(line=ANY_LINE, is_message=st.booleans(), is_whole=st.booleans())
def test_every_line_is_shown(line: dict[str, Any], *, is_message: bool, is_whole: bool) -> None:
    """Whatever a line holds, it is one line to be seen, and compact it fits."""
    first = (MESSAGE if is_message else EVENT) if is_whole else {}
    try:
        raw = orjson.dumps(first | line | {"event": "message" if is_message else "link_up"})
    except TypeError:  # an integer beyond 64 bits, a broken text
        return
    entry = parse(raw)
    assert entry.fields is not None
    assert COMPACT(entry).isprintable()
    assert len(COMPACT(entry)) <= COMPACT_COLUMNS
    assert WIDE(entry).isprintable()


@given(st.text())
def test_nothing_moves_the_cursor(text: str) -> None:
    """A merchant's name may hold anything; what is no character to be seen is a question mark."""
    assert printable(text).isprintable()
    assert len(printable(text)) == len(text)
    if text.isprintable():
        assert printable(text) == text
