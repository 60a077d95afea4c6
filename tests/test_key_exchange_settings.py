"""What a link and its dialect must say where zone keys are exchanged, and what is seen of a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from keys.hsm import Capability
from keys.keyfile import Key, KeyEntry
from keys.software.backend import SoftwareHsm
from specs.spec import SpecError
from specs.spec import load as load_spec
from switch import key_checks
from switch.settings import Settings, SettingsError
from switch.wire.describe import as_json, describe
from switch.wire.key_data import read_key_data, write_key_data
from switch.wire.message import Message, MessageError
from tests.keys.test_zone_keys import KBPK, ZMK, ZMK_AES
from tests.traffic import KEYS, ROOT

ASCII = (ROOT / "specs/iso87_ascii.toml").read_text()
TABLE = re.compile(r"^\[key_exchange\]\n(?:\w.*\n)+", re.MULTILINE)
LINK = '[[links]]\nname = "a"\nlisten = "127.0.0.1:9001"\nzone_master_key = "zmk"\n'
BLOCK = "B0080P0TB00N0000" + "0123456789ABCDEF" * 4


def dialect(folder: Path, text: str) -> str:
    """A dialect of one's own."""
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("field       = 123", "field = 43", "field: must be a DE whose sensitivity is secret"),
        ("field       = 123", "field = 300", "field: must be a DE"),
        ("field       = 123", "field = 96", "DE 96: notation must be ans"),
        ('layout      = "key-block"', 'layout = "clear"', "layout: 'clear' is not one of"),
        ('["161", "101"]', "[]", "new_key: must be a list of DE70 values"),
        ('["161", "101"]', '["16"]', "new_key: '16' is not of the form"),
        ('["162"]', '["161"]', "DE70 161 stands twice"),
        ('refused     = "63"', 'refused = "6"', "refused: not a value of DE 39"),
        ('refused     = "63"', "", "key_exchange: refused is missing"),
        ('refused     = "63"', 'refused = "63"\nmore = 1', "key_exchange: more is unknown"),
    ],
)
def test_dialects_that_are_refused(tmp_path: Path, good: str, bad: str, message: str) -> None:
    """A key exchange that does not make sense is refused with one line."""
    assert good in ASCII
    with pytest.raises(SpecError, match=message):
        load_spec(dialect(tmp_path, ASCII.replace(good, bad, 1)))


def test_both_dialects_have_the_same() -> None:
    """In both generic dialects keys travel in DE123, which no log and no description shows."""
    one, other = load_spec("iso87-ascii"), load_spec("iso87-binary")
    assert one.key_exchange == other.key_exchange is not None
    assert one.key_exchange is not None
    assert "secret" == one.fields[one.key_exchange.field].sensitivity


def _entry(name: str, key: Key, places: Mapping[str, str] | None = None) -> KeyEntry:
    return KeyEntry(name, key.kcv, key.usage, key.algorithm, "00", places or {"block": ""})


@pytest.mark.parametrize(
    ("master", "with_kbpk", "change", "line"),
    [
        (ZMK, True, None, None),
        (ZMK_AES, True, None, None),
        (KEYS["cvk"], True, None, "zone_master_key: key 'zmk': is C0, not K0 or K1"),
        (ZMK, False, None, "zone_master_key: the software backend cannot do import-zone-key"),
        (ZMK, True, "no table", "has no key_exchange"),
        (ZMK_AES, True, "cryptogram", "zone_master_key: must be a TDES key for"),
        (ZMK, True, "cryptogram", None),
    ],
)
def test_links_that_are_refused(
    tmp_path: Path, master: Key, with_kbpk: bool, change: str | None, line: str | None
) -> None:
    """A link whose zone keys could never come is refused at start."""
    text = {
        None: ASCII,
        "no table": TABLE.sub("", ASCII),
        "cryptogram": ASCII.replace('"key-block"\n', '"cryptogram"\n'),
    }[change]
    path = dialect(tmp_path, text)
    config = tmp_path / "switch.toml"
    config.write_text(f"{LINK}dialect = '{path}'\n")
    settings = Settings.load(config)
    keys = {"zpk": KEYS["zpk"], "zmk": master}
    hsm = SoftwareHsm(keys, kbpk=KBPK if with_kbpk else None)
    assert with_kbpk == (Capability.IMPORT_ZONE_KEY in hsm.capabilities)
    entries = {name: _entry(name, key) for name, key in keys.items()}
    specs = {path: load_spec(path)}
    if line is None:
        key_checks.check_links(settings, hsm, entries, specs)
        return
    with pytest.raises(SettingsError, match=re.escape(line)):
        key_checks.check_links(settings, hsm, entries, specs)


@pytest.mark.parametrize("name", ["iso87-ascii", "iso87-binary"])
def test_a_key_is_not_described(name: str) -> None:
    """`switch describe` shows how long a key is, and none of it."""
    message = Message("0800", {7: "1122120000", 11: "1", 70: "161", 123: f"{BLOCK}5CA55B"})
    text = f"{describe(message, load_spec(name))}{as_json(message, spec=load_spec(name))}"
    assert "*** (86 characters)" in text
    assert not [part for part in (BLOCK[16:24], "5CA55B") if part in text]
    assert BLOCK not in repr(message)


#: what the data element holds, by layout: the wrapped key and its check value, or none
DATA = [
    ("key-block", f"{BLOCK}5CA55B", (BLOCK, "5CA55B")),
    ("key-block", f"{BLOCK}5ca55b", (BLOCK, "5CA55B")),
    ("key-block", f"{BLOCK}27038990B9 ", (BLOCK, "27038990B9")),
    ("key-block", BLOCK, None),
    ("key-block", f"{BLOCK}5CA5", None),
    ("key-block", f"{BLOCK}5CA55B00", None),
    ("key-block", f"{BLOCK[:-1]}", None),
    ("key-block", "x", None),
    ("key-block", "", None),
    ("cryptogram", "AB" * 16 + "5CA55B", ("AB" * 16, "5CA55B")),
    ("cryptogram", "ab" * 24 + "5ca55b", ("AB" * 24, "5CA55B")),
    ("cryptogram", "AB" * 8 + "5CA55B", None),
    ("cryptogram", "XY" * 16 + "5CA55B", None),
    ("cryptogram", "AB" * 16, None),
]


@pytest.mark.parametrize(("layout", "text", "found"), DATA)
def test_the_data_element(
    tmp_path: Path, layout: str, text: str, found: tuple[str, str] | None
) -> None:
    """A key and its check value are taken apart as the dialect says; anything else is none."""
    spec = load_spec(dialect(tmp_path, ASCII.replace('"key-block"\n', f'"{layout}"\n')))
    message = Message("0800", {7: "1122120000", 11: "000001", 70: "161", 123: text})
    if found is None:
        with pytest.raises(MessageError) as refused:
            read_key_data(message, spec)
        assert "format: private_123" == str(refused.value)
        return
    data = read_key_data(message, spec)
    assert found == (data.wrapped, data.kcv)
    assert data.wrapped not in repr(data)
    assert write_key_data(*found) == text.strip().upper()


def test_a_data_element_that_is_not_there() -> None:
    """A message without its key says which data element it lacks."""
    message = Message("0800", {7: "1122120000", 11: "000001", 70: "161"})
    with pytest.raises(MessageError, match="missing: private_123"):
        read_key_data(message, load_spec("iso87-ascii"))
