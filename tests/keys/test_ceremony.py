"""Keys that are made, put together and carried: what is refused, and what two oracles say."""

from __future__ import annotations

import secrets

import psec.tr31
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import ceremony
from keys.attributes import ALGORITHMS, USAGES, AttributeProblem, mode_for, require_sound, strength
from keys.ceremony import CeremonyRefused, Made, Wanted
from keys.keyfile import Kbpk, Key
from keys.software.key import AES, TDES
from keys.software.keyblock import Header, read_header, unwrap, wrap
from keys.software.parity import has_odd_parity, is_degenerate, set_odd_parity

KBPK = Kbpk(bytes(range(32)))
ZMK = Key(
    bytes.fromhex("6E5D4C3B2A19080F1E2D3C4B5A697887"), usage="K0", algorithm=TDES, mode_of_use="B"
)
ZMK_AES = Key(bytes(range(100, 132)), usage="K1", algorithm=AES, mode_of_use="B")
ZPK = bytes.fromhex("5B37C8D9E0A4F2168C73DA29B5E60E4A")

algorithms = st.sampled_from(sorted(ALGORITHMS))


@pytest.mark.parametrize("usage", sorted(USAGES))
@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_what_is_made_is_what_was_asked_for(usage: str, algorithm: str) -> None:
    """A key of every usage has its length, its check value and a header that says what it is."""
    wanted = Wanted(usage, algorithm, is_exportable=usage == "P0", version="07")
    if ALGORITHMS[algorithm].code not in USAGES[usage].algorithms:
        with pytest.raises(CeremonyRefused, match=f"algorithm: not one for {usage}"):
            ceremony.generate(wanted, KBPK)
        return
    made = ceremony.generate(wanted, KBPK)
    key, header = unwrap(KBPK.material, made.block), read_header(made.block)
    assert (usage, algorithm, "07") == (header.usage, made.algorithm, header.key_version)
    assert ("E" if usage == "P0" else "N") == header.exportability
    assert (ALGORITHMS[algorithm].size, made.kcv) == (len(key.material), key.kcv)
    assert key.algorithm != TDES or has_odd_parity(key.material)
    assert key.material.hex() not in f"{made!r} {made.told}".lower()
    assert made.block != ceremony.generate(wanted, KBPK).block


@pytest.mark.parametrize(
    ("usage", "algorithm", "mode", "is_allowed"),
    [
        ("P0", TDES, "B", True),
        ("P0", TDES, "D", True),
        ("P0", TDES, "V", False),
        ("P0", TDES, "BD", False),
        ("P0", TDES, "", False),
        ("C0", TDES, "G", True),
        ("C0", AES, None, False),
        ("E0", TDES, "X", True),
        ("E0", TDES, "B", False),
        ("Z9", TDES, None, False),
    ],
)
def test_modes_of_use(usage: str, algorithm: str, mode: str | None, is_allowed: bool) -> None:
    """A key gets only a mode of use that its usage has."""
    if is_allowed:
        assert mode == mode_for(usage, algorithm, mode)
    else:
        with pytest.raises(AttributeProblem):
            mode_for(usage, algorithm, mode)


@given(algorithms, st.integers(2, 3), st.data())
def test_components_make_the_key_whatever_their_order(
    algorithm: str, count: int, data: st.DataObject
) -> None:
    """The key is the exclusive or of its components, in any order; TDES gets odd parity."""
    size = ALGORITHMS[algorithm].size
    parts = [data.draw(st.binary(min_size=size, max_size=size)) for _ in range(count)]
    plain = bytes(size)
    for part in parts:
        plain = bytes(a ^ b for a, b in zip(plain, part, strict=True))
    code = ALGORITHMS[algorithm].code
    try:
        require_sound(code, plain)
    except AttributeProblem:
        with pytest.raises(CeremonyRefused):
            ceremony.combine([bytearray(part) for part in parts], algorithm)
        return
    whole = ceremony.combine([bytearray(part) for part in parts], algorithm)
    backwards = ceremony.combine([bytearray(part) for part in reversed(parts)], algorithm)
    assert whole == backwards
    assert ceremony.kcv_of(code, plain) == ceremony.kcv_of(code, whole)
    if code == TDES:
        assert has_odd_parity(whole)
        assert bytes(b | 1 for b in plain) == bytes(b | 1 for b in whole)
    else:
        assert plain == whole


@given(algorithms, st.data())
def test_a_split_key_comes_back(algorithm: str, data: st.DataObject) -> None:
    """A key of odd parity that somebody split with random components is the same afterwards."""
    size = ALGORITHMS[algorithm].size
    key = bytearray(data.draw(st.binary(min_size=size, max_size=size).filter(any)))
    if ALGORITHMS[algorithm].code == TDES:
        set_odd_parity(key)
        if is_degenerate(key):
            return
    one, two = secrets.token_bytes(size), secrets.token_bytes(size)
    three = bytes(a ^ b ^ c for a, b, c in zip(key, one, two, strict=True))
    parts = [bytearray(part) for part in (one, two, three)]
    assert key == ceremony.combine(parts, algorithm)


@pytest.mark.parametrize(
    ("components", "line"),
    [
        (["01" * 16], "at least two"),
        (["01" * 16, "01" * 16], "all zeros"),
        (["01" * 16, "0123456789ABCDEF" * 2], "two parts of the key are the same"),
        # the same but for parity bits, which DES does not look at
        (["01" * 16, "0123456789ABCDEF0022446688AACCEE"], "two parts of the key are the same"),
    ],
)
def test_keys_that_are_none(components: list[str], line: str) -> None:
    """Components that make no key, or one that is no better than DES, are refused."""
    with pytest.raises(CeremonyRefused, match=line):
        ceremony.combine([bytearray.fromhex(part) for part in components], "TDES")


@pytest.mark.parametrize(
    ("component", "line"),
    [
        ("00" * 16, "a component of zeros is none"),
        ("AB" * 15, "has 32 hexadecimal digits"),
        ("11" * 16, "was given already"),
    ],
)
def test_components_that_add_nothing(component: str, line: str) -> None:
    """Zeros, another length, and what somebody gave before are no component."""
    with pytest.raises(CeremonyRefused, match=line):
        ceremony.require_component(
            bytearray.fromhex(component), "TDES", [bytearray.fromhex("11" * 16)]
        )


@pytest.mark.parametrize("name", ["Alice Ames", "alice ames", "  Alice   Ames ", "ALICE AMES"])
def test_a_person_has_one_component(name: str) -> None:
    """The same person under any spelling gives no second component."""
    ceremony.require_another("Bob", ["Alice Ames"])
    with pytest.raises(CeremonyRefused, match="the same person"):
        ceremony.require_another(name, ["Carol", "Alice Ames"])


@pytest.mark.parametrize(
    ("told", "is_right"),
    [("270389", True), (" 270389 ", True), ("27038990B9", False), ("270380", False), ("", False),
     ("2703", False), ("27038G", False)],
)  # fmt: skip
def test_check_values_that_are_typed(told: str, is_right: bool) -> None:
    """A check value is compared in all its digits, and less than six are none."""
    material = bytes.fromhex("0F1E2D3C4B5A69788796A5B4C3D2E1F0")
    kcv = ceremony.kcv_of(AES, material)
    assert is_right == ceremony.is_kcv(AES, material, told.replace("270389", kcv))


def test_wiped() -> None:
    """What is wiped is zeros, and as long as it was."""
    one, two = bytearray(b"secret"), bytearray(b"key")
    ceremony.wipe(one, two)
    assert (bytearray(6), bytearray(3)) == (one, two)


@pytest.mark.parametrize("version", ["A", "B", "C", "D"])
@pytest.mark.parametrize("export", ["E", "S", "N"])
def test_a_block_comes_in(version: str, export: str) -> None:
    """A block of every version, made by another implementation, keeps its attributes."""
    under = ZMK_AES if version == "D" else ZMK
    header = psec.tr31.Header(version, "P0", "T", "B", "05", export)
    block = psec.tr31.KeyBlock(under.material, header).wrap(ZPK)
    made = ceremony.import_block(block, under, KBPK)
    key = unwrap(KBPK.material, made.block)
    assert (ZPK, "P0", "B", "05") == (key.material, key.usage, key.mode_of_use, key.version)
    assert (export, "D", "TDES") == (
        read_header(made.block).exportability, made.block[0], made.algorithm
    )  # fmt: skip


def _made(exportability: str, algorithm: str = "TDES") -> Made:
    header = Header("D", "P0", ALGORITHMS[algorithm].code, "B", exportability=exportability)
    material = bytearray(ZPK) if algorithm == "TDES" else bytearray(range(1, 33))
    return ceremony.sealed(material, header, KBPK)


@pytest.mark.parametrize(("version", "under"), [("B", ZMK), ("D", ZMK_AES)])
@pytest.mark.parametrize("export", ["E", "S"])
def test_a_block_goes_out(version: str, under: Key, export: str) -> None:
    """An exportable key goes out as a block that another implementation reads."""
    out = ceremony.export_block(_made(export).block, under, KBPK, version=version)
    header, material = psec.tr31.unwrap(under.material, out.block)
    assert (ZPK, "P0", version, export) == (
        material, header.key_usage, header.version_id, header.exportability
    )  # fmt: skip
    assert out.block not in repr(out)


@pytest.mark.parametrize(
    ("made", "under", "version", "line"),
    [
        (_made("N"), ZMK, "B", "is not exportable"),
        (_made("E"), ZMK_AES, "B", "a block of version B is under a key of TDES"),
        (_made("E"), ZMK, "D", "a block of version D is under a key of AES"),
        (_made("E", "AES-256"), ZMK, "B", "weaker than the key that it would protect"),
        (_made("E"), Key(ZPK, usage="P0", algorithm=TDES, mode_of_use="B"), "B", "K0 or K1"),
        (_made("E"), Key(ZPK, usage="K0", algorithm=TDES, mode_of_use="D"), "B", "mode of use"),
    ],
)
def test_exports_that_are_refused(made: Made, under: Key, version: str, line: str) -> None:
    """A key that must stay, and one under the wrong or a weaker key, does not go out."""
    with pytest.raises(CeremonyRefused, match=line) as caught:
        ceremony.export_block(made.block, under, KBPK, version=version)
    assert ZPK.hex() not in str(caught.value).lower()


@pytest.mark.parametrize(
    ("block", "line"),
    [
        (wrap(bytes(16), Header("B", "P0", "T", "B"), ZPK), "not made under this protection key"),
        (wrap(ZMK.material, Header("B", "P0", "T", "B"), b"ABCDEFGH" * 2), "two parts"),
        ("B0080P0TB00N0000", "length is not"),
        ("", "header"),
    ],
    ids=["another protection key", "a weak key", "cut off", "nothing"],
)
def test_imports_that_are_refused(block: str, line: str) -> None:
    """A block under another key, and one with a key that is no better than DES, is refused."""
    with pytest.raises(CeremonyRefused, match=line):
        ceremony.import_block(block, ZMK, KBPK)


def test_a_weak_protection_key_protects_no_strong_key() -> None:
    """An AES-256 key does not lie under a key block protection key of AES-128."""
    with pytest.raises(CeremonyRefused, match="weaker"):
        ceremony.generate(Wanted("D0", "AES-256"), Kbpk(bytes(range(16))))
    assert [80, 112, 128, 256, 256] == [
        strength("T", 16), strength("T", 24), strength("A", 16), strength("A", 32),
        strength("H", 64),
    ]  # fmt: skip
