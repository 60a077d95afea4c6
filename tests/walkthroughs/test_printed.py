"""What is printed is as told, line by line, but for what the page leaves open."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walkthroughs.printed import difference, is_as_told, place_of

#: What the page tells, what is printed, whether that is so.
CASES = [
    ("", "", True),
    ("", "\n", True),
    ("", "a", False),
    ("a", "", False),
    ("a", "a\n\n", True),
    ("a", "a  ", True),
    ("a", "a\na", False),
    ("a…c", "abc", True),
    ("a…c", "ac", True),
    ("a…c", "ab\nc", False),
    ("a.c", "abc", False),
    ("…", "", True),
    ("…", "a\nb", True),
    ("a\n…\nd", "a\nb\nc\nd", True),
    ("a\n…\nd", "a\nd", True),
    ("a\n…\nd", "a\nd\ne", False),
    ("a\n\nb", "a\n\nb", True),
]


@pytest.mark.parametrize(("told", "printed", "so"), CASES)
def test_what_is_as_told(told: str, printed: str, *, so: bool) -> None:
    """“…” is any text of a line; alone on one it is any lines, also none."""
    assert so == is_as_told(told.splitlines(), printed)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.text("ab.*\\[( ", max_size=6), max_size=6), st.data())
def test_anything_is_as_itself(lines: list[str], data: st.DataObject) -> None:
    """A text is as told by itself, also with any of its lines or parts left open."""
    lines = [line.rstrip() for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    assert is_as_told(lines, "\n".join(lines))
    opened = [
        data.draw(st.sampled_from([line, f"{line[:1]}…", "…" if line else line])) for line in lines
    ]
    assert is_as_told(opened, "\n".join(lines))


def test_lines_among_others() -> None:
    """They must come in their order; how far they reach is told, for what comes after."""
    lines = ["a 1", "b", "a 2", "c"]
    assert 4 == place_of(["a …", "c"], lines)
    assert 3 == place_of(["b", "a 2"], lines)
    assert place_of(["c", "b"], lines) is None
    assert 0 == place_of([], lines)


def test_a_difference() -> None:
    """What is missing and what was not told stand out; what the page leaves open does not."""
    assert ["  a …", "- b", "+ c"] == list(difference(["a …", "b"], "a 1\nc\n"))
