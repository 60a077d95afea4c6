"""What a load's figures look like: in words, as JSON, as a page."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import orjson
import pytest

from switch.operate.histogram import Histogram
from switch.operate.replay.page import page
from switch.operate.replay.report import as_json, in_words, milliseconds, progress
from switch.operate.replay.tally import Second, Tally

MILLISECONDS = [(0.000412, "0.412 ms"), (0.00733, "7.33 ms"), (0.0201, "20.1 ms"),
                (1.02, "1,020 ms"), (float("nan"), "–")]  # fmt: skip


@pytest.mark.parametrize(("seconds", "told"), MILLISECONDS)
def test_times_have_three_digits(seconds: float, told: str) -> None:
    """Whatever their size."""
    assert told == milliseconds(seconds)


def tally() -> Tally:
    """Of two seconds, in the second of which nothing was answered."""
    latencies = Histogram()
    for number in range(1, 1001):
        latencies.add(number / 1000)
    made = Tally(latencies=latencies, sent=1010, answered=1000, approvals=900, unanswered=10)
    made.codes.update({"00": 900, "51": 100})
    made.seconds = 2.0
    made.tell("message 7 (0100): DE39: answered <05>")
    nan = float("nan")
    made.timeline += [Second(0, 1010, 1000, 10, 0.5, 0.99, 1.0), Second(1, 0, 0, 10, nan, nan, 0.0)]
    return made


def test_the_summary_in_words() -> None:
    """Counts, percentiles, codes, what was wrong, and notes."""
    told = in_words(tally(), ["a note"])
    for line in (
        r"sent +1,010",
        r"unanswered +10",
        r"rate +500\.0 answers a second, 2\.0 s",
        r"p50 +500 ms",
        r"p99 +99\d ms",
        r"DE39 +00 × 900, 51 × 100",
        r"a note",
    ):
        assert re.search(f"^{line}$", told, re.MULTILINE), line
    assert "duplicates" not in told


def test_nothing_answered_has_figures_too() -> None:
    """A load without an answer ends in words, JSON and a page all the same."""
    assert "no answer" in in_words(Tally(), [])
    assert as_json(Tally(), [])["latency_ms"]["p99"] is None
    assert "<svg" in page(Tally(), [])


def test_the_figures_as_json() -> None:
    """Latencies in milliseconds; what there is none of is null."""
    given = json.loads(orjson.dumps(as_json(tally(), ["a note"])))
    assert (1010, 10, 500.0) == (given["sent"], given["unanswered"], given["rate"])
    assert 990 == pytest.approx(given["latency_ms"]["p99"], rel=0.001)
    assert [990.0, None] == [second["p99_ms"] for second in given["timeline"]]
    assert "missing" not in given


def test_progress_is_one_line() -> None:
    """The second that is over, and a dash for what there is none of."""
    first, second = map(progress, tally().timeline)
    assert "1,000 answers" in first
    assert "p99    990 ms" in first
    assert "p50         –" in second


class Links(HTMLParser):
    """What a page would fetch or run, and which elements it has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.tags.add(tag)
        self.fetched += [f"{name}={value}" for name, value in attrs if name in ("src", "href")]


def test_the_page_needs_nothing_else() -> None:
    """No script, no request; three plots; what was told is escaped."""
    text = page(tally(), ["p99<20ms is not met"])
    links = Links()
    links.feed(text)
    assert not links.fetched
    assert not links.tags & {"script", "link", "img", "iframe", "object"}
    assert "url(" not in text
    assert "@import" not in text
    assert 3 == text.count("<svg")
    assert "answered &lt;05&gt;" in text
    assert not re.search(r"\bnan\b", text)
