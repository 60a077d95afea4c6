"""From bytes to lines."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch.operate.tail.lines import LINE_MAX, Lines, ServerSentEvents, parse
from tests.operate.tail.support import MESSAGE, raw

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")))
CUTS = st.lists(st.integers(0, 500))


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data split at these places."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


@given(lines=LINES, cuts=CUTS, half=st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"")))
def test_any_split_gives_the_same_lines(lines: list[bytes], cuts: list[int], half: bytes) -> None:
    """Lines come whole, without their ends and without blank ones; the half one comes last."""
    taker, taken = Lines(), []
    for piece in pieces(b"".join(line + b"\n" for line in lines) + half, cuts):
        taken += taker.feed(piece)
    assert [line for line in map(bytes.rstrip, lines) if line] == taken
    assert half.rstrip() == taker.end()
    assert b"" == taker.end()


def test_a_line_without_an_end_costs_no_more_than_a_long_one() -> None:
    """A file of zeros is read in pieces, and never kept whole."""
    taker = Lines()
    for _ in range(10):
        assert all(len(line) <= LINE_MAX for line in taker.feed(bytes(LINE_MAX // 2)))
        assert len(taker._rest) <= LINE_MAX
    taker.feed(b"\n")
    assert [b"next"] == taker.feed(b"next\n")


@given(lines=LINES, cuts=CUTS)
def test_events_come_as_their_data(lines: list[bytes], cuts: list[int]) -> None:
    """Comments and what else the format has are left out, however the stream is split."""
    told = [line.strip() for line in lines]
    stream = b": hello\n\nretry: 3\n" + b"".join(b"data: " + line + b"\n\n:\n\n" for line in told)
    taker, taken = ServerSentEvents(), []
    for piece in pieces(stream, cuts):
        taken += taker.feed(piece)
    assert told == taken


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"null", b"[]", b"3", b"{}", b'{"event":3}', b"started", b'{"event":"message"',
     b"\xff\xfe", b'{"event":"\xed\xa0\x80"}', b"[" * 5000],
)  # fmt: skip
def test_what_is_no_line_of_ours(line: bytes) -> None:
    """Half a line, other JSON and plain text are kept as they are."""
    entry = parse(line)
    assert (line, None, False) == (entry.raw, entry.fields, entry.is_message)


def test_a_line_of_ours() -> None:
    """A message is told from an event."""
    entry = parse(raw(MESSAGE))
    assert (MESSAGE, True) == (entry.fields, entry.is_message)
    assert not parse(raw(MESSAGE, event="link_up")).is_message


@given(st.binary(max_size=200))
def test_nothing_that_stands_in_a_file_raises(line: bytes) -> None:
    """A log may hold anything."""
    assert parse(line).raw == line
