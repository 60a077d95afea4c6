"""What the HSM is asked of a card that has several plastics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from keys.hsm import CardCode, CardVerificationValue, Hsm, KeyRef, Verdict
from keys.vault import Vault
from switch.flows.issuer import Issuer
from switch.flows.verify import verify
from switch.ledger.ledger import Ledger
from switch.rules.card import Plastic
from tests.flows.support import DataKeys, ScriptedHsm
from tests.rules.support import PAN, case

NEW, OLD = Plastic("02", "3012", "221"), Plastic("01", "2611", "201")
ICVV = "999"
STRIPE, KEYED = {22: "901", 55: None}, {22: "012", 55: None}


class NotingHsm(ScriptedHsm):
    """Notes over which expiry and service code each card code was to be made."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    async def verify_card_code(self, _: KeyRef, of: CardCode, **over: str) -> Verdict:
        assert isinstance(of, CardVerificationValue)
        self.asked.append((of.expiry, of.service_code))
        return await super().verify_card_code(_, of, **over)


async def codes_asked(fields: Mapping[int, str | None]) -> list[tuple[str, str]]:
    """What the HSM is asked of a message about a card with an old and a new plastic."""
    hsm = NotingHsm()
    issuer = Issuer(
        ledger=cast(Ledger, None),
        hsm=cast(Hsm, hsm),
        vault=Vault(DataKeys()),
        programs={},
        pin_zones={},
        hsm_budget=1.0,
    )
    await verify(case(fields, {"plastics": (NEW, OLD)}), issuer)
    return hsm.asked


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        (STRIPE | {35: f"{PAN}=261120110385625"},        [("2611", "201")]),
        (STRIPE | {35: f"{PAN}=301222110385625"},        [("3012", "221")]),
        # over what we know of the plastic, not over the track's own words
        (STRIPE | {35: f"{PAN}=301220110385625"},        [("3012", "221")]),
        ({35: f"{PAN}=261120110385625"},                 [("2611", ICVV)]),  # a chip
        (KEYED | {48: "9203123", 14: "2611"},            [("1126", "000")]),  # CVV2: MMYY
        (KEYED | {48: "9203123", 14: "3012"},            [("1230", "000")]),
        (KEYED | {48: "9203123"},                        [("1230", "000")]),
        # of no plastic: refused before anything is asked
        (KEYED | {48: "9203123", 14: "2912"},            []),
        (STRIPE | {35: f"{PAN}=291220110385625"},        []),
    ],
)  # fmt: skip
async def test_codes_of_the_plastic(
    fields: Mapping[int, Any], asked: list[tuple[str, str]]
) -> None:
    """A card code is verified over the plastic that the message speaks of."""
    assert asked == await codes_asked(fields)
