"""What is no answer is an outage, never a verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from keys.aws import AwsHsm
from keys.hsm import CardVerificationValue, HsmRejected, HsmUnavailable, MacAlgorithm, Verdict
from keys.hsm import PinBlockFormat as Format
from tests.contract.keys import REFS
from tests.hsm_aws import cards
from tests.hsm_aws.cards import PAN
from tests.hsm_aws.operations import Refused
from tests.hsm_aws.rig import Rig

CVV = CardVerificationValue("2912", "201")
CODE = cards.CODES["cvv"][3]


async def ask_code(hsm: AwsHsm, code: str = CODE) -> Verdict:
    """Ask about a card code."""
    return await hsm.verify_card_code(REFS["cvk"], CVV, pan=PAN, code=code)


async def ask_pin(hsm: AwsHsm, pin: str = cards.PIN) -> Verdict:
    """Ask about a PIN."""
    return await hsm.verify_pin(
        cards.visa_reference(),
        zone_key=REFS["zpk"],
        pin_block=cards.pin_block(Format.ISO_0, pin),
        pin_block_format=Format.ISO_0,
        pan=PAN,
    )


async def ask_arqc(hsm: AwsHsm) -> object:
    """Ask about a cryptogram."""
    made, arpc_data, _ = cards.cryptogram(cards.SCHEMES[0])
    return await hsm.verify_arqc(REFS["imk_ac"], made, arpc_data=arpc_data)


async def ask_translation(hsm: AwsHsm) -> object:
    """Ask for a PIN block under another key."""
    return await hsm.translate_pin(
        from_key=REFS["zpk"],
        from_format=Format.ISO_0,
        to_key=REFS["zpk_next"],
        to_format=Format.ISO_3,
        pin_block=cards.pin_block(Format.ISO_0),
        pan=PAN,
    )


async def ask_mac(hsm: AwsHsm) -> object:
    """Ask for a MAC."""
    return await hsm.mac(REFS["zak"], b"message", algorithm=MacAlgorithm.ISO9797_3)


async def ask_mac_verification(hsm: AwsHsm) -> object:
    """Ask about a MAC."""
    return await hsm.verify_mac(REFS["zak"], b"message", bytes(8), algorithm=MacAlgorithm.ISO9797_3)


async def ask_ping(hsm: AwsHsm) -> object:
    """Ask whether it is there."""
    await hsm.ping()
    return None


Ask = Callable[[AwsHsm], Awaitable[object]]

#: Questions whose right answer is yes, or a value.
ASKED: list[Ask] = [ask_code, ask_pin, ask_arqc, ask_translation, ask_mac]
ALL: list[Ask] = [*ASKED, ask_mac_verification, ask_ping]


async def is_unavailable(ask: Ask, hsm: AwsHsm) -> None:
    """Ask, and see it answered with an outage."""
    with pytest.raises(HsmUnavailable):
        await ask(hsm)


async def test_dead(hsm: AwsHsm, mended: Rig) -> None:
    """A service that is gone is an outage for every question; when it is back so are answers."""
    mended.data.stop()
    for ask in ALL:
        await is_unavailable(ask, hsm)
    mended.data.start()
    assert Verdict.MATCH is await ask_code(hsm)


@pytest.mark.parametrize(
    "refusal",
    [
        Refused("ThrottlingException", 429, message="Rate exceeded"),
        Refused("InternalServerException", 500, message="oops"),
        Refused("ServiceUnavailable", 503),
        Refused("ExpiredTokenException", 403, message="expired"),
        Refused("UnrecognizedClientException", 403, message="token"),
        Refused("RequestTimeout", 408),
        Refused("", 400),
    ],
    ids=lambda refusal: refusal.code or "unnamed",
)
async def test_refusals_that_are_outages(hsm: AwsHsm, mended: Rig, refusal: Refused) -> None:
    """Throttling, server errors, credentials that ran out and unnamed errors are outages."""
    mended.data.refusal = refusal
    for ask in ALL:
        await is_unavailable(ask, hsm)


async def test_no_retry(hsm: AwsHsm, mended: Rig) -> None:
    """A throttled or failed question is sent once."""
    for refusal in (Refused("ThrottlingException", 429), Refused("InternalServerException", 500)):
        mended.data.refusal = refusal
        mended.data.asked.clear()
        await is_unavailable(ask_code, hsm)
        assert ["VerifyCardValidationData"] == mended.data.operations_asked()


async def test_no_retry_whatever_the_environment_says(
    mended: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK's variables do not turn retries on."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "5")
    monkeypatch.setenv("AWS_RETRY_MODE", "legacy")
    hsm = mended.backend()
    await hsm.open()
    try:
        mended.data.refusal = Refused("ThrottlingException", 429)
        mended.data.asked.clear()
        await is_unavailable(ask_code, hsm)
        assert 1 == len(mended.data.asked)
    finally:
        await hsm.close()


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ValidationException", 400),
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
    ],
)
async def test_refusals_of_the_question(hsm: AwsHsm, mended: Rig, code: str, status: int) -> None:
    """What the service refuses of a question names the key, and is no verdict."""
    mended.data.refusals["VerifyCardValidationData"] = Refused(code, status)
    with pytest.raises(HsmRejected, match=f"'cvk': {code}"):
        await ask_code(hsm)


@pytest.mark.parametrize(
    "lie", ["garbage", "nothing", "other-key", "other-arn", "truncated", "no-code"]
)
async def test_lies(hsm: AwsHsm, mended: Rig, lie: str) -> None:
    """An answer that is none, or is of another key than was asked with, is an outage."""
    mended.data.lie = lie
    for ask in ASKED:
        await is_unavailable(ask, hsm)


async def test_lies_about_what_is_wrong(hsm: AwsHsm, mended: Rig) -> None:
    """A no that is about something else than was asked is an outage, not a mismatch."""
    mended.data.lie = "other-reason"
    for ask in ALL:
        await is_unavailable(ask, hsm)
    mended.data.lie = ""
    mended.data.refusal = Refused(
        "VerificationFailedException", Message="failed", Reason="INVALID_MAC"
    )
    for ask in ASKED:
        await is_unavailable(ask, hsm)


async def test_cut_values(hsm: AwsHsm, mended: Rig) -> None:
    """An ARPC, a PIN block or a MAC of another length than its own is an outage."""
    mended.data.lie = "short"
    for ask in (ask_arqc, ask_translation, ask_mac):
        await is_unavailable(ask, hsm)


async def test_slow(mended: Rig) -> None:
    """What takes longer than the budget is an outage; the service quick again, so are we."""
    hsm = mended.backend(budget=1.5)
    await hsm.open()
    try:
        mended.data.delay = 4.0
        asked = await asyncio.gather(*(ask(hsm) for ask in ALL), return_exceptions=True)
        assert {HsmUnavailable} == {type(answer) for answer in asked}
        mended.data.delay = 0.0
        assert Verdict.MATCH is await _patiently(ask_code, hsm)
    finally:
        await hsm.close()


async def test_half_open(mended: Rig) -> None:
    """A service that accepts and never answers is an outage; threads come back by their timeout."""
    hsm = mended.backend(budget=1.5)
    await hsm.open()
    try:
        mended.data.silent = True
        asked = await asyncio.gather(*(ask(hsm) for ask in ALL), return_exceptions=True)
        assert {HsmUnavailable} == {type(answer) for answer in asked}
        mended.data.silent = False
        assert Verdict.MATCH is await _patiently(ask_code, hsm)
    finally:
        await hsm.close()


async def test_outage_at_the_second_question_about_a_pin(hsm: AwsHsm, mended: Rig) -> None:
    """A PIN whose block could not be asked about is an outage, right or wrong: it counts no try."""
    mended.data.refusals["TranslatePinData"] = Refused("ThrottlingException", 429)
    with pytest.raises(HsmUnavailable):
        await ask_pin(hsm, "9999")
    assert ["TranslatePinData", "VerifyPinData"] == sorted(mended.data.operations_asked())


async def test_closed(mended: Rig) -> None:
    """Before it is opened and after it is closed, every question is an outage."""
    hsm = mended.backend()
    for ask in ALL:
        await is_unavailable(ask, hsm)
    await hsm.open()
    await hsm.close()
    for ask in ALL:
        await is_unavailable(ask, hsm)
    await hsm.close()


async def _patiently(ask: Ask, hsm: AwsHsm) -> object:
    """Ask until the threads that wait for the past have come back."""
    for _ in range(20):
        try:
            return await ask(hsm)
        except HsmUnavailable:
            await asyncio.sleep(0.2)
    return await ask(hsm)
