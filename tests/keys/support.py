"""Vectors, the demo program and keys made of clear hex, for the tests of the keys room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psec
import pytest
from hypothesis import assume, settings
from hypothesis import strategies as st

from keys.hsm import KeyRef
from keys.keyfile import Key
from keys.software.card_code import CODE_LENGTH

HERE = Path(__file__).parent
DEVELOPMENT = HERE.parents[1] / "keys" / "dev"
DEMO: dict[str, Any] = json.loads((HERE.parent / "demo_secrets.json").read_text())

#: Left out, for nothing here makes or checks them: LMK variants and payShield frames.
VECTORS: list[dict[str, Any]] = json.loads((HERE / "vectors.json").read_text())["vectors"]

#: A mode of use that each usage is used with where a test does not care.
MODES = {"C0": "V", "V1": "V", "V2": "V", "E0": "X", "E4": "X", "E6": "X", "P0": "B", "D0": "B"}


def vectors(*kinds: str) -> list[Any]:
    """Give the inputs and outputs of these kinds, named for pytest."""
    return [
        pytest.param(v["inputs"], v["outputs"], id=f"{v['kind']}-{v['name']}")
        for v in VECTORS
        if v["kind"] in kinds
    ]


def make_key(usage: str, clear: str, *, algorithm: str = "T", mode: str = "") -> Key:
    """Make a key of clear hex; a single-length TDES key is written K‖K‖K."""
    material = bytes.fromhex(clear) * (3 if algorithm == "T" and len(clear) == 16 else 1)
    return Key(
        material, usage=usage, algorithm=algorithm, mode_of_use=mode or MODES.get(usage, "C")
    )


def ref(name: str, key: Key) -> KeyRef:
    """Refer to a key by its name and its true check value."""
    return KeyRef(name, key.kcv)


#: How many random cards an oracle is asked about.
CARDS = settings(max_examples=500, deadline=None, database=None)

#: Where each card costs a whole crowd of keys, fewer do.
FEWER_CARDS = settings(max_examples=150, deadline=None, database=None)


def digits(low: int, high: int | None = None) -> st.SearchStrategy[str]:
    """Digits of ASCII, `low` to `high` of them; two numbers are drawn, for letters cost more."""
    high = high or low
    number = st.integers(0, 10**high - 1).map(lambda drawn: f"{drawn:0{high}}")
    return number if low == high else st.builds(cut, number, st.integers(low, high))


def cut(text: str, length: int) -> str:
    """Keep so many characters of it."""
    return text[:length]


double_keys = st.binary(min_size=16, max_size=16)
pans = digits(13, 19)


def other_digits(right: str) -> str:
    """As many digits, the last of them another."""
    return right[:-1] + str((int(right[-1]) + 1) % 10)


def psec_cvv(key: bytes, pan: str, expiry: str, service_code: str) -> str:
    """psec's card code. Of one block in twenty thousand it makes too few digits, for it stops at
    those that are decimal: there is nothing to compare with then, and a vector of its own says
    what is right (test_oracles_card_keys).
    """
    code: str = psec.cvv.generate_cvv(key, pan, expiry, service_code)
    assume(len(code) == CODE_LENGTH)
    return code
