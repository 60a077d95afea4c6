"""A mix as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from switch.operate.replay import ReplayError
from switch.operate.simulate.mix import WEIGHTS, Mix, Shares, Times, read_mix
from switch.operate.simulate.stories import NAMES
from tests.traffic import ROOT


def test_every_story_has_a_weight() -> None:
    """And every weight a story."""
    assert NAMES == WEIGHTS.keys()


def test_what_is_not_said_is_as_usual(tmp_path: Path) -> None:
    """Of stories only those that are named are told."""
    file = tmp_path / "mix.toml"
    file.write_text("[stories]\nrefund = 2\n[shares]\ntwin = 0.5\n[times]\ncut_every = 0\n")
    assert Mix({"refund": 2.0}, Shares(twin=0.5), Times(cut_every=0.0)) == read_mix(file)
    file.write_text("")
    assert Mix() == read_mix(file)


#: What is written → what the line must name.
REFUSED: list[tuple[str, tuple[str, ...]]] = [
    ("[", ("not TOML",)),
    ("[story]\n", ("story", "stories")),
    ("stories = 3", ("stories", "table")),
    ("[stories]\nrefunds = 1", ("stories.refunds", "refund")),
    ("[stories]\nrefund = 0", ("stories", "weight")),
    ("[stories]\nrefund = -1", ("stories.refund", "from 0")),
    ("[stories]\nrefund = nan", ("stories.refund", "from 0")),
    ("[stories]\nrefund = inf", ("stories.refund", "from 0")),
    ("[stories]\nrefund = true", ("stories.refund", "from 0")),
    ("[shares]\ntwin = 1.5", ("shares.twin", "0 to 1")),
    ("[times]\ntime_out = 'x'", ("times.time_out", "from 0")),
    ("[times]\ntimeout = 1", ("times.timeout", "time_out")),
]


@pytest.mark.parametrize(("written", "named"), REFUSED)
def test_what_is_refused(tmp_path: Path, written: str, named: tuple[str, ...]) -> None:
    """One line names the file, the key and what could stand there."""
    file = tmp_path / "mix.toml"
    file.write_text(written)
    with pytest.raises(ReplayError) as refused:
        read_mix(file)
    for word in ("mix.toml", *named):
        assert word in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Is refused by its name."""
    with pytest.raises(ReplayError, match=r"none\.toml"):
        read_mix(tmp_path / "none.toml")


def test_the_page_shows_the_usual_mix(tmp_path: Path) -> None:
    """What docs/simulate.md shows as a mix is what is played without one."""
    page = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")
    file = tmp_path / "mix.toml"
    file.write_text(page.partition("```toml\n")[2].partition("```")[0])
    assert Mix(dict(WEIGHTS)) == read_mix(file)
