"""A block that is no PIN block costs nobody a try, and no service is believed about it."""

from __future__ import annotations

import pytest

from keys.aws import AwsHsm
from keys.hsm import HsmRejected, HsmUnavailable, PinBlockFormat, Verdict
from tests.contract.keys import REFS
from tests.hsm_aws import cards
from tests.hsm_aws.operations import Refused
from tests.hsm_aws.rig import Rig

FORMATS = list(PinBlockFormat)
ISO_0 = PinBlockFormat.ISO_0

#: Under the key that the zone has next: deciphered with the zone's own it is no PIN block.
STALE = cards.pin_block(ISO_0, zone="zpk_next")


async def ask(hsm: AwsHsm, block: bytes, pin_block_format: PinBlockFormat = ISO_0) -> Verdict:
    """Ask about a block for the card's PIN."""
    return await hsm.verify_pin(
        cards.visa_reference(),
        zone_key=REFS[cards.zone_of(pin_block_format)],
        pin_block=block,
        pin_block_format=pin_block_format,
        pan=cards.PAN,
    )


@pytest.mark.parametrize("invalid_pin", [True, False])
@pytest.mark.parametrize("pin_block_format", FORMATS)
async def test_no_pin_block(
    hsm: AwsHsm, mended: Rig, pin_block_format: PinBlockFormat, invalid_pin: bool
) -> None:
    """What deciphers to no PIN block is unreadable, whatever VerifyPinData calls it."""
    mended.data.operations.no_pin_block_is_invalid_pin = invalid_pin
    right = cards.pin_block(pin_block_format)
    broken = right[:-1] + bytes([right[-1] ^ 0x55])
    assert Verdict.UNREADABLE is await ask(hsm, broken, pin_block_format)
    assert Verdict.MATCH is await ask(hsm, right, pin_block_format)


async def test_stale_zone_key(hsm: AwsHsm) -> None:
    """Blocks under another zone key are unreadable, before a right PIN was seen and after."""
    assert Verdict.UNREADABLE is await ask(hsm, STALE)
    assert Verdict.MATCH is await ask(hsm, cards.pin_block(ISO_0))
    assert Verdict.UNREADABLE is await ask(hsm, STALE)


async def test_block_of_another_size(hsm: AwsHsm, mended: Rig) -> None:
    """A block that has not its format's size is unreadable, and nobody is asked."""
    assert Verdict.UNREADABLE is await ask(hsm, bytes(16))
    assert Verdict.UNREADABLE is await ask(hsm, bytes(8), PinBlockFormat.ISO_4)
    assert Verdict.UNREADABLE is await ask(hsm, b"")
    assert [] == mended.data.asked


async def test_right_and_wrong_cost_the_same(hsm: AwsHsm, mended: Rig) -> None:
    """A right PIN and a wrong one are the same two questions, side by side."""
    for pin in (cards.PIN, "9999"):
        mended.data.asked.clear()
        await ask(hsm, cards.pin_block(ISO_0, pin))
        assert ["TranslatePinData", "VerifyPinData"] == sorted(mended.data.operations_asked())


@pytest.mark.parametrize("operation", ["TranslatePinData", "VerifyPinData"])
@pytest.mark.parametrize("pin", [cards.PIN, "9999"])
async def test_no_verdict_without_both(hsm: AwsHsm, mended: Rig, operation: str, pin: str) -> None:
    """Where one of the two has no answer there is no verdict, of a right PIN or a wrong one."""
    mended.data.refusals[operation] = Refused("ThrottlingException", 429)
    with pytest.raises(HsmUnavailable):
        await ask(hsm, cards.pin_block(ISO_0, pin))
    mended.data.refusals.clear()
    verdict = Verdict.MATCH if pin == cards.PIN else Verdict.MISMATCH
    assert verdict is await ask(hsm, cards.pin_block(ISO_0, pin))


async def test_service_that_cannot_tell(hsm: AwsHsm, mended: Rig) -> None:
    """Where a right PIN's block is refused too, a wrong PIN counts from then on, and costs one
    question.
    """
    mended.data.operations.untranslated.add("0")
    wrong = cards.pin_block(ISO_0, "9999")
    assert Verdict.UNREADABLE is await ask(hsm, wrong)
    assert Verdict.MATCH is await ask(hsm, cards.pin_block(ISO_0))
    mended.data.asked.clear()
    assert Verdict.MISMATCH is await ask(hsm, wrong)
    assert Verdict.MISMATCH is await ask(hsm, STALE)
    assert ["VerifyPinData"] * 2 == mended.data.operations_asked()


async def test_zones_are_learned_apart(hsm: AwsHsm, mended: Rig) -> None:
    """What is learned of one format says nothing of another."""
    mended.data.operations.untranslated.add("0")
    assert Verdict.MATCH is await ask(hsm, cards.pin_block(ISO_0))
    other = PinBlockFormat.ISO_3
    assert Verdict.UNREADABLE is await ask(hsm, STALE, other)
    assert Verdict.MISMATCH is await ask(hsm, cards.pin_block(other, "9999"), other)


async def test_refused_reference(hsm: AwsHsm, mended: Rig) -> None:
    """A question that is refused though its block can be read is a refusal, not a verdict."""
    mended.data.refusals["VerifyPinData"] = Refused("ValidationException")
    with pytest.raises(HsmRejected, match="'pvk' 'zpk': ValidationException"):
        await ask(hsm, cards.pin_block(ISO_0))
    assert Verdict.UNREADABLE is await ask(hsm, STALE)
