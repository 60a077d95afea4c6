"""Which versions of ISO 8583 a link may speak."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from specs.spec import known
from switch import prepare
from switch.settings import Settings, SettingsError
from tests.traffic import ROOT

ASCII = (ROOT / "specs/iso87_ascii.toml").read_text()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no variable of ours."""
    for variable in [name for name in os.environ if name.upper().startswith("SWITCH_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def link(dialect: str) -> Settings:
    """Settings with one link of that dialect, which signs on."""
    Path("switch.toml").write_text(
        '[[links]]\nname = "a"\nlisten = "127.0.0.1:9001"\nnetwork_management = "on"\n'
        f'dialect = "{dialect}"\n'
    )
    return Settings.load()


@pytest.mark.parametrize("dialect", known())
def test_a_link_speaks_every_dialect_that_is_here(dialect: str) -> None:
    """None is refused, and each can say our own requests."""
    assert [dialect] == list(prepare.read_specs(link(dialect)))


def test_a_version_that_nobody_knows(folder: Path) -> None:
    """A dialect of another version is refused at start, with what is spoken."""
    dialect = folder / "mine.toml"
    text = re.sub(r"^0(\d{3} = \{)", r"3\1", ASCII, flags=re.MULTILINE)
    dialect.write_text(re.sub(r'^version( *)= "0"', r'version\1= "3"', text, flags=re.MULTILINE))
    with pytest.raises(SettingsError, match="MTIs 3xxx: links answer those of 0xxx, 1xxx, 2xxx"):
        prepare.read_specs(link(str(dialect)))
