"""A program's settings and the cryptogram versions that it knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from keys.hsm import ArpcMethod, Capability
from switch.rules.chip import AtcWindow, IssuerScripts
from switch.rules.cryptogram import CryptogramError, brings_cryptogram, cryptogram
from switch.rules.program import Need, Program, ProgramError
from tests.rules.support import PROGRAM, SETTINGS, case

#: Amounts, countries, TVR, currency, date, type, unpredictable number, AIP, ATC: 33 bytes.
SIGNED = {
    "9F02": "000000002500", "9F03": "000000000000", "9F1A": "0276", "95": "0000008000",
    "5F2A": "0978", "9A": "261123", "9C": "00", "9F37": "11223344", "82": "3C00", "9F36": "0001",
}  # fmt: skip
ARQC = {"9F26": "8A7F3E2D1C0B9A88"}
IAD_18, IAD_10 = "06011203A00000", "06010A03A00000"


def icc(**tags: str | None) -> dict[int, str | None]:
    """DE55 of these tags (with _ before them) instead of, or beside, a whole cryptogram's."""
    whole = SIGNED | ARQC | {"9F10": IAD_18} | {tag[1:]: value for tag, value in tags.items()}
    return {
        55: "".join(
            f"{tag}{len(value) // 2:02X}{value}"
            for tag, value in whole.items()
            if value is not None
        )
    }


def test_settings() -> None:
    """The demo program's settings are read whole."""
    assert Need.REQUIRED is PROGRAM.verification["chip"].cryptogram
    assert Need.REFUSED is PROGRAM.verification["ecommerce"].pin
    assert (bytes.fromhex("00820000"), bytes(4)) == (PROGRAM.csu_approved, PROGRAM.csu_declined)
    assert ArpcMethod.METHOD_2 is PROGRAM.cryptograms[18].arpc
    assert {"card_code", "visa_pvv", "ibm3624", "cryptogram"} == set(PROGRAM.keys.uses())
    assert (2 * 3600, 30 * 86_400) == (PROGRAM.hold_seconds("5541"), PROGRAM.hold_seconds("7011"))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s.pop("time_zone"),
        lambda s: s.update(time_zone="Atlantis/Capital"),
        lambda s: s["keys"].update(another={"name": "x", "kcv": "y"}),
        lambda s: s["cryptograms"]["18"].update(arpc="method-3"),
        lambda s: s.update(csu_approved="0082000"),
        lambda s: s.update(cvv2_expiry_format="DDMM"),
        lambda s: s["verification"]["chip"].update(pin="perhaps"),
        lambda s: s["verification"]["chip"].update(smile="required"),
        lambda s: s.update(cash_pin="perhaps"),
        lambda s: s.update(ibm3624={}),
        lambda s: s["ibm3624"].update(decimalization_table="0000000000000000"),
        lambda s: s["ibm3624"].update(decimalization_table="0123456700000123"),
        lambda s: s["ibm3624"].update(decimalization_table="012345678901234"),
        lambda s: s.update(hold_hours=168),
        lambda s: s["hold_hours"].update(fuel=2),
        lambda s: s.update(bins="47617390"),
        lambda s: s.update(atc=16),
        lambda s: s.update(atc={"behind": 64}),
        lambda s: s.update(atc={"behind": True}),
        lambda s: s.update(atc={"ahead": 0}),
        lambda s: s.update(atc={"back": 1}),
        lambda s: s.update(
            strong_authentication={"ecommerce_from_minor": 3000}
        ),  # without keys.cavv
        lambda s: s.update(strong_authentication=3000),
        lambda s: _with_cavv(s).update(strong_authentication={"ecommerce_from_minor": "30"}),
        lambda s: _with_cavv(s).update(strong_authentication={"ecommerce_from_minor": -1}),
        lambda s: _with_cavv(s).update(strong_authentication={"contactless": 3000}),
        lambda s: s.update(iad="amex"),
        lambda s: s.update(iad="mchip"),  # of which the demo's versions are none
        lambda s: s["cryptograms"].update({"14": s["cryptograms"]["18"]}),
        lambda s: s.update(issuer_scripts="72"),
        lambda s: s.update(issuer_scripts={"always": ""}),
        lambda s: s.update(issuer_scripts={"approved": 72}),
        lambda s: s.update(issuer_scripts={"approved": "zz"}),
        lambda s: s.update(issuer_scripts={"approved": "7205860384"}),  # cut short
        lambda s: s.update(issuer_scripts={"approved": "9103860184"}),  # not a script
        lambda s: s.update(issuer_scripts={"approved": "7200"}),  # no command
        lambda s: s.update(issuer_scripts={"approved": "72069F1803000001"}),
        lambda s: s.update(issuer_scripts={"approved": "7203910184"}),  # nor this one
        lambda s: s.update(issuer_scripts={"declined": "7203860184" * 26}),  # 130 bytes
    ],
)
def test_bad_settings(spoil: Callable[[dict[str, Any]], object]) -> None:
    """Settings that cannot be used refuse with the program's name."""
    settings = orjson.loads(orjson.dumps(SETTINGS))
    spoil(settings)
    with pytest.raises(ProgramError, match=r"^program 'demo': ") as raised:
        Program.parse(1, "demo", settings)
    assert "\n" not in str(raised.value)


def _with_cavv(settings: dict[str, Any]) -> dict[str, Any]:
    settings["keys"]["cavv"] = settings["keys"]["card_code"]
    return settings


def test_strong_authentication() -> None:
    """A program with a CAVV's key may demand strong authentication from an amount on."""
    settings = orjson.loads(orjson.dumps(SETTINGS))
    _with_cavv(settings)
    assert Program.parse(1, "demo", settings).strong_authentication_from_minor is None
    settings["strong_authentication"] = {"ecommerce_from_minor": 3000}
    assert 3000 == Program.parse(1, "demo", settings).strong_authentication_from_minor


def test_chips() -> None:
    """A program says where a counter may stand and which scripts are sent; else the usual."""
    assert (AtcWindow(16, None), IssuerScripts("", "")) == (PROGRAM.atc, PROGRAM.issuer_scripts)
    script = "710a9f1804000000018601 84".replace(" ", "")
    given = {"atc": {"behind": 0, "ahead": 500}, "issuer_scripts": {"declined": script * 2}}
    program = Program.parse(1, "demo", SETTINGS | given)
    assert AtcWindow(0, 500) == program.atc
    assert IssuerScripts("", script.upper() * 2) == program.issuer_scripts


def test_what_an_hsm_must_do() -> None:
    """A program needs of its HSM what its keys and cryptogram versions are for, and no more."""
    assert frozenset(
        {
            Capability.CARD_CODE, Capability.VISA_PVV, Capability.IBM_3624,
            Capability.CARD_KEY_A, Capability.CARD_KEY_B, Capability.ARQC_CARD_KEY,
            Capability.ARQC_COMMON, Capability.ARPC_1, Capability.ARPC_2,
        }
    ) == PROGRAM.needs()  # fmt: skip
    stripes = orjson.loads(orjson.dumps(SETTINGS))
    stripes["keys"] = {"card_code": SETTINGS["keys"]["card_code"]}
    assert frozenset({Capability.CARD_CODE}) == Program.parse(1, "stripes", stripes).needs()


@pytest.mark.parametrize(
    ("iad", "end"),
    [
        # all of the issuer application data, then 80 and zeros to a block
        (IAD_18, IAD_18 + "80" + "00" * 7),
        # the card verification results with their length, then zeros
        (IAD_10, "03A00000" + "00" * 3),
    ],
    ids=["version 18", "version 10"],
)
def test_signed(iad: str, end: str) -> None:
    """What a cryptogram was made over is what its version says, padded to blocks of eight."""
    made = cryptogram(case(icc(_9F10=iad)))
    assert "".join(SIGNED.values()) + end == made.data.hex().upper()
    assert (b"\x00\x01", bytes.fromhex(ARQC["9F26"])) == (made.atc, made.arqc)


@pytest.mark.parametrize(
    "tags",
    [
        *({f"_{tag}": None} for tag in (*SIGNED, "9F10")),
        {"_9F10": ""},
        {"_9F10": "0601"},
        {"_9F10": "06016303A00000"},  # version 99
        {"_9F36": "01"},
        {"_9F26": "8A7F"},
    ],
    ids=str,
)
def test_no_cryptogram(tags: dict[str, str | None]) -> None:
    """Without one of its elements, or of a version that the program has not, it is none."""
    this = case(icc(**tags))
    assert brings_cryptogram(this)
    with pytest.raises(CryptogramError) as raised:
        cryptogram(this)
    assert raised.value.__cause__ is None
