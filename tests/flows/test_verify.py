"""What the HSM is asked of a card that has several plastics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest

from keys.hsm import CardCode, CardVerificationValue, DynamicCvv, Hsm, KeyRef, Verdict
from keys.vault import Vault
from switch.flows.issuer import Issuer
from switch.flows.verify import verify
from switch.ledger.ledger import Ledger
from switch.rules.card import Plastic
from switch.rules.checks import Verdicts
from tests.flows.support import DataKeys, ScriptedHsm
from tests.rules.support import PAN, SETTINGS, case

NEW, OLD = Plastic("02", "3012", "221"), Plastic("01", "2611", "201")
ICVV = "999"
STRIPE, KEYED = {22: "901", 55: None}, {22: "012", 55: None}


class NotingHsm(ScriptedHsm):
    """Notes over which expiry and service code each card code was to be made."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.codes: list[tuple[str, CardCode, str]] = []  #: key, what it is made of, the code

    async def verify_card_code(self, _: KeyRef, of: CardCode, **over: str) -> Verdict:
        self.codes.append((_.name, of, over["code"]))
        if isinstance(of, CardVerificationValue):
            self.asked.append((of.expiry, of.service_code))
        return await super().verify_card_code(_, of, **over)


async def asked_hsm(fields: Mapping[int, str | None], **settings: Any) -> NotingHsm:
    """The HSM after a message about a card with an old and a new plastic."""
    hsm = NotingHsm()
    await verdicts_of(hsm, fields, **settings)
    return hsm


async def verdicts_of(
    hsm: NotingHsm, fields: Mapping[int, str | None], **settings: Any
) -> Verdicts:
    """What it says of such a message."""
    issuer = Issuer(
        ledger=cast(Ledger, None),
        hsm=cast(Hsm, hsm),
        vault=Vault(DataKeys()),
        programs={},
        pin_zones={},
        hsm_budget=1.0,
    )
    return await verify(case(fields, {"plastics": (NEW, OLD)}, **settings), issuer)


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
    assert asked == (await asked_hsm(fields)).asked


DYNAMIC: dict[str, Any] = {
    "track_code": {"contactless_stripe": "dcvv", "code": [5, 3], "atc": [8, 4]},
    "keys": SETTINGS["keys"] | {name: {"name": name, "kcv": "000000"} for name in ("dcvv", "cavv")},
}
TRACK = f"{PAN}=301222110385422009400"
OVER_THE_AIR = {22: "911", 55: None}


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        (OVER_THE_AIR | {35: TRACK}, [("dcvv", DynamicCvv("02", "3012", "221", "0094"), "422")]),
        # the stripe itself has the CVV, and a chip the iCVV
        (STRIPE | {35: TRACK}, [("cvk", CardVerificationValue("3012", "221"), "422")]),
        ({35: TRACK}, [("cvk", CardVerificationValue("3012", ICVV), "422")]),
        # too short, or track 1, whose places are others
        (OVER_THE_AIR | {35: f"{PAN}=301222110385422009"}, []),
        (OVER_THE_AIR | {45: f"B{PAN}^DOE/JANE^301222110385422009400"}, []),
        # the cardholder's authentication
        (
            {22: "812", 25: "59", 55: None, 48: "43101108100439"},
            [("cavv", CardVerificationValue("1108", "100"), "439")],
        ),
    ],
)  # fmt: skip
async def test_other_codes(
    fields: Mapping[int, Any], asked: list[tuple[str, CardCode, str]]
) -> None:
    """Each code is asked for with the key of its use, over its own words."""
    assert asked == (await asked_hsm(fields, **DYNAMIC)).codes


async def test_no_key_for_it() -> None:
    """A CAVV of a program that has no key for it is not asked for."""
    assert [] == (await asked_hsm({22: "812", 25: "59", 55: None, 48: "43101108100439"})).codes


class InlineHsm(NotingHsm):
    """One that never waits."""

    is_inline = True


@pytest.mark.parametrize("make", [NotingHsm, InlineHsm])
async def test_an_hsm_that_does_not_answer(make: type[NotingHsm]) -> None:
    """Its silence is a fault and no verdict, whether it is asked inline or not; and what it does
    answer counts.
    """
    hsm = make()
    hsm.is_down()
    silent = await verdicts_of(hsm, STRIPE | {35: f"{PAN}=301222110385625"})
    assert (None, True) == (silent.track_code, silent.hsm_fault)
    answered = await verdicts_of(make(), STRIPE | {35: f"{PAN}=301222110385625"})
    assert (Verdict.MATCH, False) == (answered.track_code, answered.hsm_fault)
