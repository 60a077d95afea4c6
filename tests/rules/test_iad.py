"""What the cryptograms of Visa's and M/Chip's versions are made over, as pyemv has it."""

from __future__ import annotations

from typing import Any

import pyemv
import pytest

from switch.rules.cryptogram import CryptogramError, cryptogram
from tests.rules.support import PAN, case
from tests.rules.test_program import ARQC, SIGNED, icc

MASTER = bytes.fromhex("0123456789ABCDEFFEDCBA9876543210")
CVR = "A50003040000"
COUNTERS = "00000001234501FF"
MCHIP_IAD = "01{:02X}" + CVR + "BEEF"
LONG_IAD = "1F2201" + "A000000000" + "00" * 24
SCHEMES: dict[str, dict[str, str]] = {
    str(version): {"card_key": "option-a", "session_key": session_key, "arpc": "method-1"}
    for version, session_key in (
        (16, "mastercard"), (17, "mastercard"), (20, "common"), (21, "common"),
    )
}  # fmt: skip
MCHIP: dict[str, Any] = {"iad": "mchip", "cryptograms": SCHEMES}
VISA: dict[str, Any] = {
    "cryptograms": {
        number: {"card_key": "option-b", "session_key": "common", "arpc": "method-2"}
        for number in ("18", "22")
    }
}
UN, ATC = bytes.fromhex(SIGNED["9F37"]), bytes.fromhex(SIGNED["9F36"])
#: A chip of pyemv's, and how its session key is made.
CHIPS: dict[str, tuple[Any, Any]] = {
    "16": (pyemv.cvn.MasterCardCVN16, lambda chip: chip._derive_sk_ac_mastercard(ATC, UN)),
    "17": (pyemv.cvn.MasterCardCVN17, lambda chip: chip._derive_sk_ac_mastercard(ATC, UN)),
    "20": (pyemv.cvn.MasterCardCVN20, lambda chip: chip._derive_sk_ac_common(ATC)),
    "21": (pyemv.cvn.MasterCardCVN21, lambda chip: chip._derive_sk_ac_common(ATC)),
    "22": (pyemv.cvn.VisaCVN22, lambda chip: chip._derive_sk_ac_common(ATC)),
}


@pytest.mark.parametrize(
    ("version", "iad", "own"),
    [
        ("16", MCHIP_IAD.format(16) + COUNTERS, {"cvr": CVR}),
        ("16", MCHIP_IAD.format(16) + COUNTERS + "0001", {"cvr": CVR}),
        ("17", MCHIP_IAD.format(17) + COUNTERS, {"cvr": CVR, "counters": COUNTERS}),
        ("17", MCHIP_IAD.format(17) + COUNTERS * 2, {"cvr": CVR, "counters": COUNTERS * 2}),
        ("20", MCHIP_IAD.format(20) + COUNTERS, {"cvr": CVR}),
        ("20", MCHIP_IAD.format(20) + COUNTERS * 2 + "0001", {"cvr": CVR}),
        ("21", MCHIP_IAD.format(21) + COUNTERS, {"cvr": CVR, "counters": COUNTERS}),
        ("22", LONG_IAD, {"tag_9f10": LONG_IAD}),
    ],
)
def test_signed(version: str, iad: str, own: dict[str, str]) -> None:
    """The data are those that pyemv's chip of this version signs, padded as it pads them."""
    made = cryptogram(case(icc(_9F10=iad), **(VISA if version == "22" else MCHIP)))
    kind, session_key = CHIPS[version]
    chip = kind(MASTER, MASTER, MASTER, PAN, "01")
    tags = {f"tag_{tag.lower()}": bytes.fromhex(value) for tag, value in SIGNED.items()}
    theirs = chip.generate_ac(**tags, **{name: bytes.fromhex(text) for name, text in own.items()})
    key = session_key(chip)
    assert theirs == pyemv.mac.mac_iso9797_3(key[:8], key[8:], made.data, 1)
    assert len(made.data) % 8 == 0
    assert bytes.fromhex(ARQC["9F26"]) == made.arqc


@pytest.mark.parametrize(("version", "random"), [(16, UN), (17, UN), (20, b""), (21, b"")])
def test_unpredictable_number(version: int, random: bytes) -> None:
    """M/Chip's own session keys are made with the terminal's unpredictable number."""
    made = cryptogram(case(icc(_9F10=MCHIP_IAD.format(version) + COUNTERS), **MCHIP))
    assert random == made.unpredictable_number


@pytest.mark.parametrize(
    ("settings", "tags"),
    [
        (MCHIP, {"_9F10": "06010A03A00000"}),
        (MCHIP, {"_9F10": MCHIP_IAD.format(18) + COUNTERS}),
        (MCHIP, {"_9F10": MCHIP_IAD.format(16) + COUNTERS + "00"}),
        (MCHIP, {"_9F10": MCHIP_IAD.format(17) + COUNTERS + "0001"}),
        (MCHIP, {"_9F10": MCHIP_IAD.format(16) + COUNTERS, "_9F37": "112233"}),
        (
            MCHIP | {"cryptograms": {"16": SCHEMES["16"]}},
            {"_9F10": MCHIP_IAD.format(20) + COUNTERS},
        ),
        (VISA, {"_9F10": LONG_IAD[:-2]}),
        (VISA, {"_9F10": "1F1201" + LONG_IAD[6:]}),
        (VISA, {"_9F10": "06011603A00000"}),  # 22 in the short form
        ({}, {"_9F10": LONG_IAD}),  # the demo has no 22
    ],
)
def test_no_cryptogram(settings: dict[str, Any], tags: dict[str, str]) -> None:
    """Of another form, or of a version that the program has not, it is none."""
    with pytest.raises(CryptogramError):
        cryptogram(case(icc(**tags), **settings))
