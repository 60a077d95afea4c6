"""What a simulation tells when it is over."""

from __future__ import annotations

import pytest

from switch.operate.replay.thresholds import COUNTS, missed, parse
from switch.operate.simulate.report import as_json, in_words, notes
from switch.operate.simulate.score import NAMED_MOST, NETWORK, NONE_OF, OWN, Score
from tests.operate.simulate.issuer import APPROVED, UNAVAILABLE, declined


def score() -> Score:
    """Three purchases, one of them in trouble, and a link."""
    made = Score()
    bought = made.counts("chip_pin")
    bought.stories = bought.sent = 3
    for answer in (APPROVED, declined("pin_mismatch"), UNAVAILABLE):
        bought.note("0100", answer, 0.002)
    bought.note("0120", APPROVED, 0.002)  # acknowledged, and no decision
    bought.stood_in = bought.unavailable = 1
    link = made.counts(NETWORK)
    link.stories = link.sent = link.timed_out = 1
    made.stands = [{"a": 100, "b": None}, {"c": 0}]
    return made


def test_a_table_by_story() -> None:
    """Each kind has its row: what it sent, how it was answered, what the scheme did."""
    row = next(line for line in in_words(score(), ["a note"]).splitlines() if "chip_pin" in line)
    assert "chip_pin 3 3 1 – 1 1 – – – 2.00 ms 2.00 ms 55 × 1, 91 × 1" == " ".join(row.split())
    assert in_words(score(), ["a note"]).endswith("a note\n")


def test_the_figures_of_the_whole_are_the_customers() -> None:
    """A link's own messages are in none of them; what nobody looked at is none."""
    figures = as_json(score(), [])
    assert (3, 0, 1) == (figures["stories"], figures["timed_out"], figures["stood_in"])
    assert figures["differ"] is None
    assert {"55": 1, "91": 1} == figures["by_story"]["chip_pin"]["declined"]
    assert [("a", 100), ("c", 0)] == score().known_to_stand()


@pytest.mark.parametrize(
    "figure",
    ["wrong", "unasked", "unreadable", "duplicates", "unacknowledged", "unfinished", "missing",
     "broken", "differ"],
)  # fmt: skip
def test_what_nobody_may_do(figure: str) -> None:
    """One of these fails a simulation, whoever did it and whatever else is said."""
    made = score()
    setattr(made, figure, 1)
    assert [f"{figure}=0"] == [each.text for each in missed((), NONE_OF, made)]


def test_what_must_hold() -> None:
    """What must be 0 is held to that; a ledger that nobody looked at misses nothing."""
    made = score()
    assert [] == missed((), NONE_OF, made)
    made.counts("chip_pin").tell_unacknowledged("0120 RRN 1")
    given = parse("stood_in>1", (*COUNTS, *OWN))
    assert ["unacknowledged=0", "stood_in>1"] == [t.text for t in missed([given], NONE_OF, made)]
    assert [] == missed([parse("unacknowledged<2", (*COUNTS, *OWN))], NONE_OF, made)


def test_what_has_no_answer_is_named_and_the_rest_counted() -> None:
    """So many at most."""
    made = score()
    for number in range(NAMED_MOST + 5):
        made.unanswered += 1
        made.name(f"no answer: {number}")
    assert NAMED_MOST + 1 == len(notes(made))
    assert "and 5 more without an answer" == notes(made)[-1]
