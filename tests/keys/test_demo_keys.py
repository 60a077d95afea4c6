"""The development key file holds the demo program's keys, and no clear one stands beside it."""

from __future__ import annotations

from typing import Any

import pytest

from keys.hsm import (
    CardVerificationValue,
    Ibm3624,
    KeyRef,
    PinBlockFormat,
    PinReference,
    Verdict,
    VisaPvv,
)
from keys.keyfile import Key
from keys.software import issuing
from keys.software.backend import SoftwareHsm
from tests.keys.support import DEMO, DEVELOPMENT, HERE, ref

CARDS = [pytest.param(card, id=card["name"]) for card in DEMO["cards"]]


@pytest.mark.parametrize(("name", "key"), DEMO["keys"].items(), ids=list(DEMO["keys"]))
def test_the_key_file_has_the_programs_keys(
    name: str, key: dict[str, Any], keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """Each key of the program stands in the file, under its usage and check value."""
    assert (key["clear"], key["usage"][:2]) == (keys[name].material.hex().upper(), keys[name].usage)
    hsm.check(KeyRef(name, key["kcv"]), keys[name].usage)


@pytest.mark.parametrize("card", CARDS)
async def test_every_card_code_is_the_programs(
    card: dict[str, Any], keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """CVV and iCVV use YYMM, CVV2 MMYY with service code 000."""
    yymm = card["expiry"]
    mmyy = yymm[2:] + yymm[:2]
    for expiry, service_code, code in (
        (yymm, card["service_code"], card["cvv"]),
        (yymm, "999",                card["icvv"]),
        (mmyy, "000",                card["cvv2"]),
    ):  # fmt: skip
        assert Verdict.MATCH is await hsm.verify_card_code(
            ref("cvk", keys["cvk"]),
            CardVerificationValue(expiry, service_code),
            pan=card["pan"],
            code=code,
        )


@pytest.mark.parametrize("pin_block_format", PinBlockFormat)
@pytest.mark.parametrize("card", CARDS)
async def test_every_pin_is_the_programs(
    card: dict[str, Any],
    pin_block_format: PinBlockFormat,
    keys: dict[str, Key],
    hsm: SoftwareHsm,
) -> None:
    """Each card's PIN matches its PVV or offset in every PIN block format; another does not."""
    zone = "zpk_aes" if pin_block_format is PinBlockFormat.ISO_4 else "zpk"
    other = f"{(int(card['pin'][:4]) + 1) % 10000:04}" + card["pin"][4:]
    for pin, verdict in ((card["pin"], Verdict.MATCH), (other, Verdict.MISMATCH)):
        assert verdict is await hsm.verify_pin(
            reference_of(card, keys),
            zone_key=ref(zone, keys[zone]),
            pin_block=issuing.pin_block(
                keys[zone], pin_block_format=pin_block_format, pin=pin, pan=card["pan"]
            ),
            pin_block_format=pin_block_format,
            pan=card["pan"],
        )


def reference_of(card: dict[str, Any], keys: dict[str, Key]) -> PinReference:
    """Give a card's PIN reference as its program describes it."""
    if card["pin_method"] == "visa_pvv":
        return VisaPvv(ref("pvk", keys["pvk"]), card["pvki"], card["pvv"])
    return Ibm3624(
        ref("pvk_ibm", keys["pvk_ibm"]),
        offset=card["pin_offset"],
        decimalization_table=DEMO["program"]["ibm3624"]["decimalization_table"],
        validation_data=card["pan"][-13:-1].ljust(16, "F"),
    )


def test_no_clear_key_stands_in_the_keys_room() -> None:
    """Only the development protection key is clear in keys/; the others are key blocks."""
    clear = [key["clear"] for key in DEMO["keys"].values()]
    room = DEVELOPMENT.parent
    texts = [
        path.read_text().upper()
        for path in room.rglob("*")
        if path.suffix in {".py", ".toml", ".md", ".dev"}
    ]
    assert len(texts) > 10
    assert not [key for key in clear for text in texts if key in text]
    assert (HERE / "dev_vault_keys.json").exists()
