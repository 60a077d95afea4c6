"""Codes that a chip gives out anew for each reading of its stripe's data, as tracks tell them."""

from __future__ import annotations

from typing import Any

import pyemv
import pytest

from keys.hsm import Cvc3, DynamicCvv
from switch.rules.card import Plastic
from switch.rules.program import Program, ProgramError
from switch.rules.track_code import TrackCode
from switch.wire.track import parse_track_2
from tests.rules.support import SETTINGS

PLASTIC = Plastic("01", "3512", "101")
DCVV: dict[str, Any] = {"contactless_stripe": "dcvv", "code": [5, 3], "atc": [8, 4]}
CVC3: dict[str, Any] = {
    "contactless_stripe": "cvc3", "un": [1, 3], "atc": [4, 5], "code": [9, 3], "zeros": [12],
}  # fmt: skip
KEYS = SETTINGS["keys"] | {
    "dcvv": {"name": "imk_dcvv", "kcv": "000000"},
    "cvc3": {"name": "imk_cvc3", "kcv": "000000"},
}


def test_dcvv() -> None:
    """A dCVV is made of what we know of the plastic and of the four digits that tell its ATC."""
    track = parse_track_2("5123456789012345=35121011038542200947")
    found = TrackCode.parse(DCVV).read(track, PLASTIC)
    assert (DynamicCvv("01", "3512", "101", "0094"), "422") == found


def test_cvc3() -> None:
    """A CVC3 is made of the track as it stands in the card: pyemv makes the same of the parts."""
    # Number of the reader 899, ATC 94, code 488, and how many digits the number has.
    track = parse_track_2("5123456789012345=35121010899000944883")
    found = TrackCode.parse(CVC3).read(track, PLASTIC)
    assert found is not None
    made_of, code = found
    assert isinstance(made_of, Cvc3)
    assert bytes.fromhex("5123456789012345D35121010000000000000F") == made_of.track_data
    card_key = pyemv.kd.derive_icc_mk_a(
        bytes.fromhex("01234567899876543210012345678998"), "5123456789012345", "00"
    )
    theirs = pyemv.cvv.generate_cvc3(
        card_key, made_of.track_data, made_of.atc, made_of.unpredictable_number
    )
    assert ("01", "29488", "488") == (made_of.pan_sequence_number, theirs, code)


@pytest.mark.parametrize(
    ("settings", "discretionary"),
    [
        (DCVV, "10385422009"),
        (DCVV, ""),
        (CVC3, "0899000944"),
        (CVC3, "089965536488"),  # one digit short
        (CVC3, "0899655364883"),  # no ATC is above 65535
        (CVC3 | {"zeros": [13]}, "0899000944883"),
    ],
)
def test_no_code(settings: dict[str, Any], discretionary: str) -> None:
    """A track that is too short, or tells an ATC that cannot be, has no code to verify."""
    track = parse_track_2(f"5123456789012345=3512101{discretionary}")
    assert TrackCode.parse(settings).read(track, PLASTIC) is None


@pytest.mark.parametrize("settings", [DCVV, CVC3, {}, {"contactless_stripe": "cvv"}])
def test_settings(settings: dict[str, Any]) -> None:
    """A program says which code it is and where its parts stand; without a word it is the CVV."""
    program = Program.parse(1, "demo", SETTINGS | {"track_code": settings, "keys": KEYS})
    assert settings.get("contactless_stripe", "cvv") == program.track_code.kind


@pytest.mark.parametrize(
    "settings",
    [
        "dcvv",
        {"contactless_stripe": "icvv"},
        {"contactless_stripe": ["dcvv"]},
        {"contactless_stripe": "dcvv"},
        DCVV | {"atc": [8, 5]},
        DCVV | {"atc": [8]},
        DCVV | {"atc": [-1, 4]},
        DCVV | {"un": [1, 1]},
        DCVV | {"zeros": [1]},
        CVC3 | {"code": [9, 2]},
        CVC3 | {"un": "13"},
        CVC3 | {"zeros": 12},
        CVC3 | {"zeros": [True]},
        {"code": [5, 3]},
    ],
)
def test_bad_settings(settings: Any) -> None:
    """Settings that cannot be used refuse with the program's name."""
    with pytest.raises(ProgramError, match=r"^program 'demo': setting track_code"):
        Program.parse(1, "demo", SETTINGS | {"track_code": settings, "keys": KEYS})


def test_key_is_missing() -> None:
    """A program whose tracks carry a dynamic code must have its key."""
    with pytest.raises(ProgramError, match=r"keys\.dcvv"):
        Program.parse(1, "demo", SETTINGS | {"track_code": DCVV})
