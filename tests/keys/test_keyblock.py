"""TR-31 key blocks: published ones, another implementation's, and damaged ones."""

from __future__ import annotations

from typing import Any

import psec
import pytest
from hypothesis import given as arbitrary
from hypothesis import settings
from hypothesis import strategies as st

from keys.software.keyblock import Header, KeyBlockError, unwrap, wrap
from tests.keys.support import vectors

KBPK = bytes(range(32))
CVK = bytes.fromhex("A1C4E6B9D38F527A5E7C2FB0946D803E")


@pytest.mark.parametrize(("given", "expected"), vectors("TR31"))
def test_published_key_blocks(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Published blocks of versions A, B and D give their key and its usage."""
    key = unwrap(bytes.fromhex(given["kbpk"]), given["key_block"])

    assert expected["key"] == key.material.hex().upper()
    assert given["key_block"][5:9] == key.usage + key.algorithm + key.mode_of_use


@settings(max_examples=25, deadline=None)
@arbitrary(
    version=st.sampled_from("BD"),
    algorithm_size=st.sampled_from([("T", 16), ("T", 24), ("A", 16), ("A", 32)]),
    kbpk=st.binary(min_size=16, max_size=16),
    material=st.binary(min_size=32, max_size=32),
)
def test_blocks_read_each_way(
    version: str, algorithm_size: tuple[str, int], kbpk: bytes, material: bytes
) -> None:
    """psec reads the blocks that we write, and we read those that it writes."""
    algorithm, size = algorithm_size
    if version == "B" and algorithm == "A":
        algorithm, size = "T", min(size, 24)
    key = material[:size]
    header = Header(version, "P0", algorithm, "B")

    assert key == psec.tr31.unwrap(kbpk, wrap(kbpk, header, key))[1]
    theirs = psec.tr31.wrap(kbpk, f"{version}0000P0{algorithm}B00N0000", key)
    assert key == unwrap(kbpk, theirs).material


@pytest.mark.parametrize("version", ["A", "C"])
def test_variant_blocks_are_read(version: str) -> None:
    """Blocks of versions A and C are read as psec writes them."""
    block = psec.tr31.wrap(KBPK[:16], f"{version}0000C0TV00N0000", CVK)
    assert unwrap(KBPK[:16], block).material == CVK


@pytest.mark.parametrize("version", ["A", "C"])
def test_variant_blocks_are_never_written(version: str) -> None:
    """Versions A and C are refused where a block is to be made."""
    with pytest.raises(KeyBlockError, match="only versions B and D"):
        wrap(KBPK[:16], Header(version, "C0", "T", "V"), CVK)


def test_an_aes_key_is_not_wrapped_under_tdes() -> None:
    """A key is not put under a protection weaker than itself."""
    with pytest.raises(KeyBlockError, match="too weak"):
        wrap(KBPK[:16], Header("B", "P0", "A", "B"), bytes(16))


def test_optional_blocks_are_padded_to_cipher_blocks() -> None:
    """Optional blocks are filled up by a PB block, and the key block reads everywhere."""
    header = Header("D", "M7", "H", "C", key_version="01", optional=(("HM", "21"),))
    block = wrap(KBPK, header, bytes(32))

    assert block[16:32] == "HM0621PB0A000000"
    assert (unwrap(KBPK, block).version, unwrap(KBPK, block).usage) == ("01", "M7")
    assert bytes(32) == psec.tr31.unwrap(KBPK, block)[1]


def test_a_long_optional_block_is_read() -> None:
    """An optional block with an extended length is read."""
    text = "ZZ00020108" + "X" * (0x108 - 10)
    kb = psec.tr31.KeyBlock(KBPK)
    kb.header.load("D0000P0TB00N0000")
    kb.header.blocks["ZZ"] = text[10:]
    assert unwrap(KBPK, kb.wrap(CVK)).material == CVK


def test_a_block_does_not_tell_its_keys_length() -> None:
    """Keys of one algorithm give blocks of one length."""
    lengths = {len(wrap(KBPK, Header("D", "P0", "A", "B"), bytes(n))) for n in (16, 24, 32)}
    assert len(lengths) == 1


def test_every_changed_character_is_noticed() -> None:
    """No character of a block can be changed: neither what the key is for nor the key."""
    block = wrap(KBPK, Header("D", "C0", "T", "V"), CVK)
    for at, character in enumerate(block):
        changed = block[:at] + ("1" if character != "1" else "2") + block[at + 1 :]
        with pytest.raises(KeyBlockError):
            unwrap(KBPK, changed)


def test_another_protection_key_reads_nothing() -> None:
    """A block under another protection key is refused, and so is one of another size."""
    block = wrap(KBPK, Header("D", "C0", "T", "V"), CVK)
    with pytest.raises(KeyBlockError, match="not made under this protection key"):
        unwrap(bytes(32), block)
    with pytest.raises(KeyBlockError, match="another kind of protection key"):
        unwrap(bytes(20), block)


@settings(max_examples=100, deadline=None)
@arbitrary(
    start=st.integers(0, 112),
    junk=st.text(st.characters(max_codepoint=0x2FF), max_size=40),
    whole=st.booleans(),
)
def test_junk_is_refused_with_one_kind_of_error(start: int, junk: str, whole: bool) -> None:
    """Whatever stands in a block, it is read or refused as a key block, and never otherwise."""
    block = wrap(KBPK, Header("D", "C0", "T", "V"), CVK)
    damaged = junk if whole else block[:start] + junk + block[start + len(junk) :]
    if damaged != block:
        with pytest.raises(KeyBlockError):
            unwrap(KBPK, damaged)
