"""Changing one table of a key file: all else stays as it is, and a failure changes nothing."""

from __future__ import annotations

import string
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.keyfile import KeyFileError, read_entries
from keys.keyfile_writer import edited, locked, put
from keys.software.keyblock import Header, wrap

BLOCK = wrap(bytes(32), Header("D", "P0", "T", "B"), bytes(range(16)))
TABLE = {"block": BLOCK, "kcv": "3D8A5F"}
HAND = """\
# Keys of the house.

[ cvk ]   # the old one
aws = "alias/cvk"
usage = "C0"
algorithm = "T"
kcv = "BA6A21"

# of zone one
["zpk.1"]
pkcs11 = 'zpk'   # a label
usage = "P0"
algorithm = "T"
kcv = "5CA55B"

# at the end
"""

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,8}", fullmatch=True)
values = st.text(alphabet=string.ascii_letters + string.digits + " '[]#=.", max_size=12)
tables = st.dictionaries(st.sampled_from(["aws", "note", "kcv"]), values, min_size=1)
remarks = st.sampled_from(["", "\n", "# a remark\n", "  # [not.a.table]\n", "\n# one\n\n# two\n"])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, dict[str, dict[str, str]]]:
    """A key file with remarks between its tables, in both kinds of quotes; what it says."""
    says = draw(st.dictionaries(names, tables, max_size=4))
    text = draw(remarks)
    for name, table in says.items():
        text += f'["{name}"]' if "." in name or draw(st.booleans()) else f"[{name}]"
        text += draw(st.sampled_from(["\n", "  # [x]\n"]))
        for field, value in table.items():
            quote = '"' if "'" in value else draw(st.sampled_from("'\""))
            text += f"{field} = {quote}{value}{quote}\n" + draw(remarks)
    return text + draw(remarks), says


@given(files(), names, tables)
def test_only_the_one_table_is_another(
    file: tuple[str, dict[str, dict[str, str]]], name: str, table: dict[str, str]
) -> None:
    """Whatever stands in a file, afterwards it says the same but for the one table."""
    text, says = file
    if name in says:
        with pytest.raises(KeyFileError, match="is there already"):
            edited(text, name, table)
    changed = edited(text, name, table, replace=True)
    assert {**says, name: table} == tomllib.loads(changed)
    if name not in says:
        assert changed.startswith(text)


def test_comments_and_order_stay(tmp_path: Path) -> None:
    """A key is replaced in its place, and one that is new comes last."""
    path = tmp_path / "keys.toml"
    path.write_text(HAND)
    path.chmod(0o640)
    with locked(path) as real:
        put(real, "zpk.1", TABLE, replace=True)
        put(real, "zpk_2", TABLE)
    old, new = HAND.splitlines(), path.read_text().splitlines()
    assert old[:9] == new[:9]
    assert ['["zpk.1"]', f'block = "{BLOCK}"', 'kcv = "3D8A5F"', "", "# at the end"] == new[9:14]
    assert "[zpk_2]" == new[15]
    assert ["cvk", "zpk.1", "zpk_2"] == list(read_entries(path))
    assert 0o640 == path.stat().st_mode & 0o777
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [HAND.replace("\n", "\r\n"), HAND.rstrip("\n"), ""])
def test_line_ends(text: str) -> None:
    """A file keeps its kind of line ends, and one that ends in none gets one."""
    changed = edited(text, "new", TABLE)
    assert text == changed[: len(text)]
    assert changed.endswith('kcv = "3D8A5F"\r\n' if "\r" in text else 'kcv = "3D8A5F"\n')
    assert "\n" * 3 not in changed.removeprefix(text).replace("\r", "")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[zpk", "not TOML"),
        ('zpk = { aws = "x" }\n', "cannot be edited by lines"),
        ('[a]\nnote = """\n[zpk]\n"""\n[zpk]\naws = "x"\n', "cannot be edited by lines"),
        ('[zpk]\naws = "x"\n[zpk.deeper]\nx = "y"\n', "cannot be edited by lines"),
    ],
)
def test_files_that_are_left_alone(text: str, line: str, tmp_path: Path) -> None:
    """What cannot be edited for sure is refused, and the file is as it was."""
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with locked(path) as real, pytest.raises(KeyFileError, match=line):
        put(real, "zpk", TABLE, replace=True)
    assert text == path.read_text()


def test_values_that_do_not_print() -> None:
    """A value that could end its string is not written, and not shown."""
    for value in ('x" y', "x\\y", "x\ny", "é"):
        with pytest.raises(KeyFileError, match="note: only printing ASCII") as caught:
            edited("", "zpk", {"note": value})
        assert value not in str(caught.value)


def test_a_failure_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the new file cannot be put in place, the old one stands and nothing lies about."""
    path = tmp_path / "keys.toml"
    path.write_text(HAND)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with locked(path) as real, pytest.raises(KeyFileError, match="cannot be written: No space"):
        put(real, "zpk_2", TABLE)
    assert HAND == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_key_that_is_none_is_not_written(tmp_path: Path) -> None:
    """A table that a reader would refuse is found before the file changes."""
    path = tmp_path / "keys.toml"
    path.write_text(HAND)
    with locked(path) as real, pytest.raises(KeyFileError, match="kcv: 6 hexadecimal"):
        put(real, "zpk_2", {"block": BLOCK, "kcv": "none"})
    assert HAND == path.read_text()
