"""Codes and cryptograms of one transaction: what is refused, and what is only wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from keys.hsm import (
    AmexCsc,
    ArpcMethod,
    ArqcAnswer,
    Capability,
    CardKeyDerivation,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    HsmRejected,
    HsmUnavailable,
    SessionKeyDerivation,
    Verdict,
)
from keys.software import issuing
from keys.software.backend import SoftwareHsm
from tests.contract.keys import KEYS, REFS

PAN = "4761739000000012"
DCVV = DynamicCvv("01", "3012", "201", "0007")
CVC3 = Cvc3("01", b"\0\7", b"\1\2\3\4", bytes.fromhex("4761739000000012D30122010000000000000F"))
MASTERCARD, EMV_2000 = SessionKeyDerivation.MASTERCARD, SessionKeyDerivation.EMV_2000


def scheme(session_key: SessionKeyDerivation) -> CryptogramScheme:
    """Option A and method 1, which all of them go with."""
    return CryptogramScheme(CardKeyDerivation.OPTION_A, session_key, ArpcMethod.METHOD_1)


@pytest.mark.parametrize("code", ["", "62", "6250", "62a", "٤١٣"])
async def test_what_is_no_dcvv_is_a_mismatch(code: str) -> None:
    """A dCVV has three digits; anything else is a mismatch, as a wrong one is."""
    assert Verdict.MISMATCH is await SoftwareHsm(KEYS).verify_card_code(
        REFS["imk_dcvv"], DCVV, pan=PAN, code=code
    )


async def test_two_digits_of_a_cvc3_prove_nothing() -> None:
    """The last three digits of a CVC3 are its least: two, or six, are a mismatch."""
    right = issuing.cvc3(
        KEYS["imk_cvc3"],
        pan=PAN,
        pan_sequence_number="01",
        atc=CVC3.atc,
        unpredictable_number=CVC3.unpredictable_number,
        track_data=CVC3.track_data,
    )
    verdicts = {
        code: await SoftwareHsm(KEYS).verify_card_code(REFS["imk_cvc3"], CVC3, pan=PAN, code=code)
        for code in (right, right[-3:], right[-2:], "0" + right)
    }
    assert [Verdict.MATCH] * 2 + [Verdict.MISMATCH] * 2 == list(verdicts.values())


#: a question's field and what it must not be
MISSHAPEN = [
    (DCVV, "pan_sequence_number", "1"),
    (DCVV, "expiry",              "301"),
    (DCVV, "service_code",        "20"),
    (DCVV, "atc",                 "007"),
    (CVC3, "pan_sequence_number", ""),
    (CVC3, "atc",                 b"\7"),
    (CVC3, "unpredictable_number", b"\1\2\3"),
    (CVC3, "track_data",          b""),
]  # fmt: skip


@pytest.mark.parametrize(("question", "field", "wrong"), MISSHAPEN)
async def test_a_misshapen_question_is_refused(
    question: DynamicCvv | Cvc3, field: str, wrong: Any
) -> None:
    """What the formula cannot take is refused, by the field's name."""
    key = "imk_dcvv" if isinstance(question, DynamicCvv) else "imk_cvc3"
    with pytest.raises(HsmRejected, match=f"^{field}: "):
        await SoftwareHsm(KEYS).verify_card_code(
            REFS[key], dataclasses.replace(question, **{field: wrong}), pan=PAN, code="123"
        )


@pytest.mark.parametrize("name", sorted(KEYS.keys() - {"imk_dcvv", "imk_cvc3"}))
async def test_dynamic_codes_have_keys_of_their_own(name: str) -> None:
    """Only a key for dynamic numbers makes dynamic codes: not even the one for cryptograms."""
    for question in (DCVV, CVC3):
        with pytest.raises(HsmRejected, match="not to be used for dynamic card codes"):
            await SoftwareHsm(KEYS).verify_card_code(REFS[name], question, pan=PAN, code="123")


async def test_a_closed_hsm_verifies_no_dynamic_code() -> None:
    """After it is closed these questions are unavailable too."""
    hsm = SoftwareHsm(KEYS)
    await hsm.close()
    for name, question in (("imk_dcvv", DCVV), ("imk_cvc3", CVC3)):
        with pytest.raises(HsmUnavailable):
            await hsm.verify_card_code(REFS[name], question, pan=PAN, code="123")


@pytest.mark.parametrize("version", [1, 2])
async def test_american_express_is_refused(version: int) -> None:
    """The security codes of American Express are no capability, and are refused when asked."""
    hsm = SoftwareHsm(KEYS)
    assert Capability(f"amex-csc-{version}") not in hsm.capabilities
    with pytest.raises(HsmRejected, match="cannot verify this one"):
        await hsm.verify_card_code(REFS["csck"], AmexCsc(version, "3012"), pan=PAN, code="1234")


async def test_emv_2000_is_off_unless_asked_for() -> None:
    """EMV 2000 session keys are refused unless they were allowed."""
    question = Cryptogram(scheme(EMV_2000), PAN, "01", b"\0\1", bytes(16), bytes(8))
    off, on = SoftwareHsm(KEYS), SoftwareHsm(KEYS, emv_2000=True)

    assert {Capability.ARQC_EMV_2000} == on.capabilities - off.capabilities
    with pytest.raises(HsmRejected, match="EMV 2000 is off"):
        await off.verify_arqc(REFS["imk_ac"], question, arpc_data=b"00")
    assert ArqcAnswer(Verdict.MISMATCH) == await on.verify_arqc(
        REFS["imk_ac"], question, arpc_data=b"00"
    )


@pytest.mark.parametrize("number", [b"", b"\1\2\3"])
async def test_mchip_needs_the_terminals_number(number: bytes) -> None:
    """M/Chip's session keys are made of the unpredictable number: without it, it is refused."""
    question = Cryptogram(scheme(MASTERCARD), PAN, "01", b"\0\1", bytes(16), bytes(8), number)
    with pytest.raises(HsmRejected, match="unpredictable_number"):
        await SoftwareHsm(KEYS).verify_arqc(REFS["imk_ac"], question, arpc_data=b"00")
