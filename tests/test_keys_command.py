"""`switch keys`: keys of a key file, as operators and custodians type them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psec.tr31
import pytest

from keys.keyfile import Key, load, read_entries, read_kbpk
from keys.software.key import check_values
from keys.software.keyblock import read_header
from tests.conftest import PostgresServer
from tests.desk import WHY, Desk, demo_desk
from tests.process import as_setting
from tests.terminal import at_terminal
from tests.traffic import ROOT

ZMK = "6E5D4C3B2A19080F1E2D3C4B5A697887"
PARTS = ("A1C4E6B9D38F527A5E7C2FB0946D803E", "0123456789ABCDEFFEDCBA9876543210")
WHOLE = bytes(a ^ b for a, b in zip(*(bytes.fromhex(part) for part in PARTS), strict=True))
COMPONENTS = ("--usage", "K0", "--algorithm", "TDES", "--by", "alice", "--reason", "a new zone")


def kcv(clear: bytes | str) -> str:
    """The check value of a TDES key."""
    material = clear if isinstance(clear, bytes) else bytes.fromhex(clear)
    return min(check_values("T", material), key=len)


@pytest.fixture(scope="module")
def demo(migrated_server: PostgresServer) -> Iterator[Desk]:
    """One database for the file."""
    yield from demo_desk(migrated_server)


class KeyDesk:
    """A desk whose key file is its own."""

    def __init__(self, desk: Desk, folder: Path) -> None:
        self.desk = desk
        self.folder = folder
        self.path = folder / "keys.toml"
        self.kbpk = folder / "kbpk"
        shutil.copy(ROOT / "keys/dev/keys.toml", self.path)
        shutil.copy(ROOT / "keys/dev/kbpk.dev", self.kbpk)
        self.settings: dict[str, object] = {"hsm__keys": self.path, "hsm__kbpk_file": self.kbpk}

    def type(self, words: str, *more: str, told: str = "", **settings: object) -> tuple[int, str]:
        """Type a command; its exit code and all that it says."""
        said = self.desk.type(f"keys {words}", *more, told=told, **(self.settings | settings))
        return said.exit_code, said.output

    def done(self, words: str, *more: str, told: str = "") -> str:
        """Type a command that must succeed."""
        code, said = self.type(words, *more, told=told)
        assert 0 == code, said
        return said

    def refused(self, words: str, *more: str, told: str = "", **settings: object) -> str:
        """Type a command that must be refused in one line, and change no file."""
        before, actions = self.path.read_bytes(), len(self.actions())
        code, said = self.type(words, *more, told=told, **settings)
        assert (1, 1) == (code, said.count("\n")), said
        assert (before, actions) == (self.path.read_bytes(), len(self.actions()))
        return said

    def keys(self) -> dict[str, Key]:
        """The clear keys."""
        return load(self.path, read_kbpk(self.kbpk))

    def actions(self) -> list[tuple[Any, ...]]:
        """What was recorded of keys: action, who, why, account, details."""
        rows = self.desk.rows(
            "SELECT action, operator, reason, account_id, details::text FROM operator_actions"
            " WHERE action LIKE '%key%' ORDER BY action_id"
        )
        return [(*row[:-1], json.loads(row[-1])) for row in rows]

    def terminal_settings(self) -> dict[str, object]:
        """The same settings for a process of its own."""
        return {
            "database__url": as_setting(self.desk.url),
            "links__0__name": "demo",
            "links__0__listen": "127.0.0.1:0",
            **self.settings,
        }


@pytest.fixture
def keys(demo: Desk, tmp_path: Path) -> KeyDesk:
    """A desk with a key file of its own."""
    return KeyDesk(demo, tmp_path)


def test_keys_are_shown_without_material(keys: KeyDesk) -> None:
    """Every key stands in a line with what it is for and whether its check value is right."""
    shown = keys.done("show")
    for name, key in keys.keys().items():
        (line,) = [row for row in shown.splitlines() if row.startswith(f"{name} ")]
        assert f"{key.kcv} ok  block" in line
        assert key.usage in line
        assert key.material.hex() not in shown.lower()
    assert not [e.places["block"] for e in read_entries(keys.path).values()
                if e.places["block"] in shown]  # fmt: skip
    text = keys.path.read_text()
    keys.path.write_text(text.replace('kcv = "BA6A21"', 'kcv = "BA6A20"'))
    assert "BA6A20, but is BA6A21" in keys.done("show")
    keys.kbpk.write_text("11" * 32)
    assert "(block does not open)" in keys.done("show")


def test_a_key_is_generated(keys: KeyDesk) -> None:
    """A new key stands in the file, opens, is recorded with who and why, and is random."""
    before = keys.path.read_text()
    said = keys.done("generate zpk_2 --usage P0 --algorithm TDES --exportable --version 02", *WHY)
    key = keys.keys()["zpk_2"]
    assert f"key zpk_2: KCV {key.kcv}, P0 TDES\n" in said
    assert keys.path.read_text().startswith(before)
    header = read_header(read_entries(keys.path)["zpk_2"].places["block"])
    assert ("P0", "B", "02", "E") == (
        header.usage, header.mode_of_use, header.key_version, header.exportability
    )  # fmt: skip
    action, who, why, account, details = keys.actions()[-1]
    assert ("generate_key", "alice", WHY[1], None) == (action, who, why, account)
    assert {
        "was": None,
        "became": {
            "name": "zpk_2", "kcv": key.kcv, "usage": "P0", "algorithm": "TDES",
            "mode_of_use": "B", "version": "02", "exportability": "exportable",
        },
    } == details  # fmt: skip
    assert "is there already" in keys.refused("generate zpk_2 --usage P0 --algorithm TDES", *WHY)
    said = keys.done("generate zpk_2 --usage P0 --algorithm AES-128 --replace", *WHY)
    assert f"in place of {key.kcv}" in said
    assert key.kcv == keys.actions()[-1][-1]["was"]["kcv"]
    assert key.material != keys.keys()["zpk_2"].material


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("generate bad/name --usage P0 --algorithm TDES", "a key's name is made of"),
        ("generate new --usage P0 --algorithm HMAC-SHA-256", "not one for P0"),
        ("generate new --usage P0 --algorithm TDES --mode V", "must be one of B, D, E, N"),
        ("generate new --usage P0 --algorithm TDES --version 1", "two letters or digits"),
        ("import new --under zpk", "the key above must be K0 or K1"),
        ("import new --under nothing", "there is no key of this name"),
        ("export zpk --under nothing --version B", "there is no key of this name"),
        ("import-components new --usage K0 --algorithm TDES", "there is none here"),
    ],
)
def test_refusals(keys: KeyDesk, words: str, line: str) -> None:
    """What cannot be done is one line, and nothing changes or is recorded."""
    assert line in keys.refused(words, *WHY)


def test_a_published_key_protects_nothing_in_production(keys: KeyDesk) -> None:
    """In production no key is put under the published protection key."""
    said = keys.refused(
        "generate new --usage P0 --algorithm TDES", *WHY, hsm__production="true",
        hsm__allow_software="true",
    )  # fmt: skip
    assert "is a published development key" in said


def test_a_file_that_cannot_be_written_is_not_recorded(keys: KeyDesk) -> None:
    """Where the key file cannot be edited no action stands in the books."""
    words = "generate a --usage P0 --algorithm TDES --replace"
    keys.path.write_text("a = { aws = 'x', kcv = '000000', usage = 'P0', algorithm = 'T' }\n")
    assert "cannot be edited by lines" in keys.refused(words, *WHY)


def test_over_and_back(keys: KeyDesk) -> None:
    """An exported key comes back under another name as the same key, by other hands' TR-31 too."""
    keys.done("generate kek --usage K0 --algorithm TDES --exportable", *WHY)
    keys.done("generate out --usage P0 --algorithm TDES --exportable", *WHY)
    said = keys.done("export out --under kek --version B", *WHY)
    block = said.splitlines()[0]
    header, material = psec.tr31.unwrap(keys.keys()["kek"].material, block)
    assert ("P0", keys.keys()["out"].material) == (header.key_usage, material)
    assert {"name": "out", "under": "kek", "block_version": "B"}.items() <= (
        keys.actions()[-1][-1]["became"].items()
    )
    right = keys.keys()["out"].kcv
    assert "not the one that was told" in keys.refused(
        "import back --under kek --kcv 000000", *WHY, told=block
    )
    assert f"KCV {right}" in keys.done(f"import back --under kek --kcv {right}", *WHY, told=block)
    assert keys.keys()["out"].material == keys.keys()["back"].material
    assert "kek" == keys.actions()[-1][-1]["became"]["under"]
    assert "is not exportable" in keys.refused("export zpk --under kek --version B", *WHY)
    changed = block[:-1] + ("0" if block[-1] != "0" else "1")
    assert "not made under this protection key" in keys.refused(
        "import other --under kek", *WHY, told=changed
    )


def test_a_ceremony(keys: KeyDesk) -> None:
    """Two persons at one terminal make a key; nobody sees a component, and both are recorded."""
    with at_terminal(
        "keys", "import-components", "zmk", *COMPONENTS,
        folder=keys.folder, settings=keys.terminal_settings(),
    ) as terminal:  # fmt: skip
        terminal.type(
            ("Custodian's name: ", "Alice Ames"),
            ("Component: ", PARTS[0]),
            ("Once more: ", PARTS[0][:-1]),  # mistyped
            ("Component: ", PARTS[0].lower()),
            ("Once more: ", f"{PARTS[0][:8]} {PARTS[0][8:]}"),
        )
        terminal.wait_for(f"KCV of this component: {kcv(PARTS[0])}")
        terminal.type(
            ("[y/N]: ", "y"),
            ("steps aside; the next person comes to the keyboard.", ""),
            ("Custodian's name: ", "Bob"),
            ("Component: ", PARTS[1]),
            ("Once more: ", PARTS[1]),
            ("[y/N]: ", "y"),
            ("all may come back.", ""),
            ("Check value that came with the key: ", kcv(WHOLE)),
        )
        assert 0 == terminal.end(), terminal.screen
    assert f"key zmk: KCV {kcv(WHOLE)}, K0 TDES" in terminal.screen
    made = keys.keys()["zmk"].material
    assert bytes(b | 1 for b in WHOLE) == bytes(b | 1 for b in made)
    assert all(byte.bit_count() % 2 for byte in made)
    action, who, why, _, details = keys.actions()[-1]
    assert ("import_key_components", "alice", "a new zone") == (action, who, why)
    assert ["Alice Ames", "Bob"] == details["became"]["custodians"]
    shown = terminal.screen.upper().replace(" ", "")
    everything = [*PARTS, WHOLE.hex().upper(), made.hex().upper()]
    for secret in (part for whole in everything for part in (whole, whole[:16], whole[16:])):
        assert secret not in shown
        assert secret not in json.dumps(details).upper()
        assert secret not in keys.path.read_text().upper()


def test_a_ceremony_that_could_not_be_recorded(keys: KeyDesk, raw_database: str) -> None:
    """Where the schema is behind, that is said before anybody is asked for a component."""
    line = keys.refused(
        "import-components zmk", *COMPONENTS, database__url=as_setting(raw_database)
    )
    assert "switch migrate" in line


def test_an_aes_key_has_ten_digits_too(keys: KeyDesk) -> None:
    """The long check value of an AES key is told as well as the short one."""
    keys.done("generate kek_aes --usage K0 --algorithm AES-256 --exportable", *WHY)
    keys.done("generate aes --usage P0 --algorithm AES-128 --exportable", *WHY)
    block = keys.done("export aes --under kek_aes --version D", *WHY).splitlines()[0]
    long = max(check_values("A", keys.keys()["aes"].material), key=len)
    assert 10 == len(long)
    keys.done(f"import aes_back --under kek_aes --kcv {long}", *WHY, told=block)
    assert keys.keys()["aes"].material == keys.keys()["aes_back"].material


#: what is typed, and the line that it ends in
BROKEN = [
    pytest.param(
        [("name: ", "Alice"), ("Component: ", PARTS[0]), ("Once more: ", PARTS[0]),
         ("[y/N]: ", "n")],
        "a component's check value was not confirmed", id="another paper",
    ),
    pytest.param(
        [("name: ", "Alice"), ("Component: ", PARTS[0]), ("Once more: ", PARTS[0]),
         ("[y/N]: ", "y"), ("Press Enter", ""), ("name: ", " ALICE ")],
        "the same person may not give two components", id="one person",
    ),
    pytest.param(
        [("name: ", "Alice")] + [("Component: ", PARTS[0]), ("Once more: ", PARTS[1])] * 3,
        "a component was mistyped too often", id="mistyped",
    ),
    pytest.param(
        [("name: ", "Alice"), ("Component: ", "0" * 32), ("Once more: ", "0" * 32)],
        "a component of zeros is none", id="zeros",
    ),
    pytest.param(
        [("name: ", "Alice"), ("Component: ", PARTS[0]), ("Once more: ", PARTS[0]),
         ("[y/N]: ", "y"), ("Press Enter", ""), ("name: ", "Bob"), ("Component: ", PARTS[1]),
         ("Once more: ", PARTS[1]), ("[y/N]: ", "y"), ("Press Enter", ""),
         ("Check value that came with the key: ", "000000")],
        "nothing is written", id="another check value",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("typed", "line"), BROKEN)
def test_ceremonies_that_are_broken_off(
    keys: KeyDesk, typed: list[tuple[str, str]], line: str
) -> None:
    """Whatever does not fit ends the ceremony with one line; nothing is written or recorded."""
    before, actions = keys.path.read_bytes(), len(keys.actions())
    with at_terminal(
        "keys", "import-components", "zmk", *COMPONENTS,
        folder=keys.folder, settings=keys.terminal_settings(),
    ) as terminal:  # fmt: skip
        terminal.type(*typed)
        assert 1 == terminal.end(), terminal.screen
    assert f"switch: key zmk: {line}" in terminal.screen or line in terminal.screen
    assert "Traceback" not in terminal.screen
    assert PARTS[0] not in terminal.screen
    assert (before, actions) == (keys.path.read_bytes(), len(keys.actions()))


def test_an_account_page_beside_key_actions(keys: KeyDesk) -> None:
    """Actions on keys are no account's: its page shows its own alone, and the books are right."""
    keys.done("generate other --usage P0 --algorithm TDES", *WHY)
    assert "generate_key" not in keys.desk.done("accounts show acc-0000001")
    said = keys.desk.type("audit")
    assert 0 == said.exit_code, said.output
