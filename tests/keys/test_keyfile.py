"""Key files: what is read, and the one line that says why something is not."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from keys.keyfile import Kbpk, Key, KeyFileError, is_development, load, read_kbpk
from keys.software.keyblock import Header, wrap
from tests.keys.support import DEVELOPMENT

KBPK = bytes(range(32))
CVK = bytes.fromhex("A1C4E6B9D38F527A5E7C2FB0946D803E")
BLOCK = wrap(KBPK, Header("D", "C0", "T", "V"), CVK)
FOREIGN = wrap(bytes(32), Header("D", "C0", "T", "V"), CVK)


def read(tmp_path: Path, text: str) -> dict[str, Key]:
    """Load a key file of this text."""
    path = tmp_path / "keys.toml"
    path.write_text(text)
    return load(path, Kbpk(KBPK))


def test_a_key_is_read_with_its_usage(tmp_path: Path) -> None:
    """A table gives a key by its logical name; the note is for people."""
    keys = read(tmp_path, f'[cvk]\nblock = "{BLOCK}"\nkcv = "ba6a21"\nnote = "CVV"\n')
    assert list(keys) == ["cvk"]
    assert (keys["cvk"].usage, keys["cvk"].algorithm, keys["cvk"].kcv) == ("C0", "T", "BA6A21")


#: what stands in the file, and what the line says of it
REFUSED = [
    pytest.param("[cvk", "not TOML at ", id="bad TOML"),
    pytest.param('cvk = "x"', "cvk: a table with block and kcv is needed", id="no table"),
    pytest.param(f'[cvk]\nblock = "{BLOCK}"', "cvk: kcv: a string is needed", id="no kcv"),
    pytest.param(
        '[cvk]\nkcv = "BA6A21"',
        "cvk: one of block, aws, payshield, pkcs11, kms is needed",
        id="no place",
    ),
    pytest.param(
        f'[cvk]\nblok = "x"\nblock = "{BLOCK}"\nkcv = "BA6A21"',
        "cvk: unknown setting 'blok'; there are algorithm, aws, block, kcv, kms, note",
        id="unknown setting",
    ),
    pytest.param(
        f'[cvk]\nblock = "{BLOCK}"\nkcv = "000000"',
        "cvk: kcv is BA6A21, but 000000 is pinned",
        id="another check value",
    ),
    pytest.param(
        f'[cvk]\nblock = "{BLOCK}"\nkcv = "BA6A"',
        "cvk: kcv: 6 hexadecimal digits are needed",
        id="short check value",
    ),
    pytest.param(
        f'[cvk]\nblock = "{FOREIGN}"\nkcv = "BA6A21"',
        "cvk: key block: not made under this protection key, or changed since",
        id="another protection key",
    ),
    pytest.param(
        '[cvk]\nblock = "D0112"\nkcv = "BA6A21"', "cvk: key block: header", id="no key block"
    ),
    pytest.param(
        '[cvk]\nblock = "D01\\u000012"\nkcv = "BA6A21"',
        "cvk: block: only printing ASCII",
        id="a block that does not print",
    ),
    pytest.param('["c\\u001bvk"]\nkcv = "BA6A21"', "a key's name is made of", id="bad name"),
    pytest.param("x = " + "[" * 5000, "not TOML", id="too deep"),
]


@pytest.mark.parametrize(("text", "line"), REFUSED)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    text: str, line: str, tmp_path: Path
) -> None:
    """A wrong key file stops the start with one line: the file, the key, the reason."""
    with pytest.raises(KeyFileError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert line in message
    assert message.startswith(f"{tmp_path}/keys.toml: ")
    assert message.isprintable()
    assert not [secret for secret in (BLOCK, CVK.hex().upper(), CVK.hex()) if secret in message]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A missing key file and a missing protection key are refused by their paths."""
    with pytest.raises(KeyFileError, match="nowhere: cannot be read"):
        load(tmp_path / "nowhere", Kbpk(KBPK))
    with pytest.raises(KeyFileError, match="nowhere: cannot be read"):
        read_kbpk(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "zz" * 32, "00" * 20, "00" * 16 + "\n" + "00" * 16])
def test_a_protection_key_is_one_line_of_hex(text: str, tmp_path: Path) -> None:
    """Anything but 16, 24 or 32 bytes of hex on one line is refused without being shown."""
    path = tmp_path / "kbpk"
    path.write_text(text)
    with pytest.raises(KeyFileError) as caught:
        read_kbpk(path)
    assert "0000" not in str(caught.value).removeprefix(str(path))


def test_a_development_key_is_known(tmp_path: Path, kbpk: Kbpk) -> None:
    """The published key is known by its first line, and without it by what it is."""
    bare = tmp_path / "bare"
    bare.write_text(kbpk.material.hex())
    announced = tmp_path / "announced"
    announced.write_text(f"# DEVELOPMENT KEY of somebody else\n{'12' * 32}\n")
    own = tmp_path / "own"
    own.write_text("12" * 32)

    assert is_development(kbpk)
    assert is_development(read_kbpk(bare))
    assert is_development(read_kbpk(announced))
    assert not is_development(read_kbpk(own))


def test_the_development_folder_announces_itself() -> None:
    """The only clear key in the project's folders says so in its first line."""
    assert "DEVELOPMENT KEY" in (DEVELOPMENT / "kbpk.dev").read_text().splitlines()[0]


def test_a_key_goes_nowhere_else(kbpk: Kbpk, keys: dict[str, Key]) -> None:
    """A key's text has no material, and a key is neither copied nor pickled."""
    secrets: list[Kbpk | Key] = [kbpk, *keys.values()]
    for key in secrets:
        text = f"{key!r} {key} {[key]}"
        assert key.material.hex() not in text.lower()
        assert repr(key.material) not in text
        for leak in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be copied or pickled"):
                leak(key)
