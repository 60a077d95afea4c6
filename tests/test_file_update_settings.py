"""What a link and its dialect must say where its network is told of cards."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from specs.spec import SpecError
from specs.spec import load as load_spec
from switch import prepare
from switch.settings import Settings, SettingsError
from tests.traffic import ROOT

ASCII = (ROOT / "specs/iso87_ascii.toml").read_text()
TABLE = re.compile(r"^\[file_updates\]\n(?:\w.*\n)+", re.MULTILINE)
CLASS = re.compile(r"^0302 = .*\n", re.MULTILINE)
LINK = '[[links]]\nname = "a"\nlisten = "127.0.0.1:9001"\n'
SECOND = '[[links]]\nname = "b"\nlisten = "127.0.0.1:9002"\n'
NAME = 'file_updates = true\nfile_update_name = "E2"\n'
NO_NAME = "links[0].file_update_name: must be given where file_updates is true"
TOO_LONG = "links[0].file_update_name: must be 1 to 17 printable ASCII characters"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no variable of ours."""
    for variable in [name for name in os.environ if name.upper().startswith("SWITCH_")]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str) -> Settings:
    Path("switch.toml").write_text(text)
    return Settings.load()


@pytest.mark.parametrize(
    ("link", "line"),
    [
        ("file_updates = true\n", NO_NAME),
        ('file_updates = true\nfile_update_name = "123456789012345678"\n', TOO_LONG),
        ('file_updates = true\nfile_update_name = "   "\n', TOO_LONG),
        ('file_updates = true\nfile_update_name = "É"\n', TOO_LONG),
        ('file_updates = "maybe"\n', "links[0].file_updates: must be true or false"),
        (NAME + "file_update_answer_s = 0\n", "links[0].file_update_answer_s: must be 1 to 600"),
    ],
)
def test_refused(link: str, line: str) -> None:
    """A link that cannot tell its network is refused with one line."""
    with pytest.raises(SettingsError) as refused:
        load(LINK + link)
    assert f"switch.toml: {line}" == str(refused.value)


def test_which_networks_are_told() -> None:
    """By default none; a name alone tells nobody."""
    assert () == load(LINK).links_with_file_updates
    assert () == load(LINK + 'file_update_name = "E2"\n').links_with_file_updates
    assert ("b",) == load(LINK + SECOND + NAME).links_with_file_updates
    assert ("a", "b") == load(LINK + NAME + SECOND + NAME).links_with_file_updates


@pytest.mark.parametrize("missing", [TABLE, CLASS], ids=["the table", "the class"])
def test_a_dialect_without_file_updates(folder: Path, missing: re.Pattern[str]) -> None:
    """A dialect may have none; a link of it that is to tell its network is refused at start."""
    dialect = folder / "mine.toml"
    dialect.write_text(missing.sub("", ASCII))
    assert dialect.read_text() != ASCII
    link = f'{LINK}dialect = "{dialect}"\n'
    assert str(dialect) in prepare.read_specs(load(link))
    with pytest.raises(SettingsError, match=r"links\[0\]\.file_updates: .* has no file update"):
        prepare.read_specs(load(link + NAME))


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ('add         = "1"', "add = 1", r"file_updates\.add: 1 is not of the form"),
        ('add         = "1"', 'add = "12"', r"file_updates\.add: '12' is not of the form"),
        ('delete      = "3"', "", r"file_updates: delete is missing"),
        ('delete      = "3"', 'delete = "3"\nchange = "2"', r"file_updates: change is unknown"),
        ('["00", "26"]', '"00"', r"file_updates\.added: must be a list of DE39 values"),
        ('["00", "26"]', "[]", r"file_updates\.added: must be a list of DE39 values"),
        ('["00", "25"]', '["000"]', r"file_updates\.deleted 0: not a value of DE 39"),
        ('["28", "91", "96"]', '["28", "28"]', r"file_updates\.again_later: 28 stands twice"),
    ],
)
def test_nonsense_in_a_dialect(folder: Path, good: str, bad: str, message: str) -> None:
    """Nonsense in the table is refused with its place and the reason."""
    assert good in ASCII
    path = folder / "mine.toml"
    path.write_text(ASCII.replace(good, bad, 1))
    with pytest.raises(SpecError, match=message):
        load_spec(str(path))
