"""PIN blocks between zones: which go over, what they carry, and what never happens to them."""

from __future__ import annotations

import psec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.hsm import HsmRejected, PinBlockFormat
from keys.software.backend import SoftwareHsm
from tests.contract.keys import KEYS, REFS
from tests.keys.support import CARDS, digits, pans

ISO_0, ISO_1, ISO_3, ISO_4 = PinBlockFormat
HSM = SoftwareHsm(KEYS)

formats = st.sampled_from(PinBlockFormat)


def key_of(pin_block_format: PinBlockFormat, *, is_target: bool = False) -> str:
    """Name the zone key of a format, another one for the zone that a block goes to."""
    if pin_block_format is ISO_4:
        return "zpk_aes"
    return "zpk_next" if is_target else "zpk"


def block_of(pin_block_format: PinBlockFormat, pin: str, pan: str) -> bytes:
    """Make an enciphered block with psec, or for format 1, which it has not, by hand."""
    key = KEYS[key_of(pin_block_format)].material
    match pin_block_format:
        case PinBlockFormat.ISO_0:
            field = psec.pinblock.encode_pinblock_iso_0(pin, pan)
        case PinBlockFormat.ISO_1:
            field = bytes.fromhex(f"1{len(pin):x}{pin}".ljust(16, "7"))
        case PinBlockFormat.ISO_3:
            field = psec.pinblock.encode_pinblock_iso_3(pin, pan)
        case PinBlockFormat.ISO_4:
            return psec.pinblock.encipher_pinblock_iso_4(key, pin, pan)
    return psec.des.encrypt_tdes_ecb(key, field)


def pin_of(pin_block_format: PinBlockFormat, block: bytes, pan: str) -> str:
    """Read the PIN of a translated block likewise; raise `ValueError` where it is none."""
    key = KEYS[key_of(pin_block_format, is_target=True)].material
    if pin_block_format is ISO_4:
        return psec.pinblock.decipher_pinblock_iso_4(key, block, pan)
    field = psec.des.decrypt_tdes_ecb(key, block)
    if pin_block_format is ISO_1:
        return field.hex()[2 : 2 + int(field.hex()[1], 16)]
    decode = {
        ISO_0: psec.pinblock.decode_pinblock_iso_0,
        ISO_3: psec.pinblock.decode_pinblock_iso_3,
    }
    return decode[pin_block_format](field, pan)


async def translate(
    from_format: PinBlockFormat, to_format: PinBlockFormat, block: bytes, pan: str
) -> bytes:
    """Ask for a block of one zone under the key of another."""
    return await HSM.translate_pin(
        from_key=REFS[key_of(from_format)],
        from_format=from_format,
        to_key=REFS[key_of(to_format, is_target=True)],
        to_format=to_format,
        pin_block=block,
        pan=pan,
    )


@CARDS
@given(from_format=formats, to_format=formats, pin=digits(4, 12), pan=pans)
async def test_a_block_keeps_its_pin_and_its_pan(
    from_format: PinBlockFormat, to_format: PinBlockFormat, pin: str, pan: str
) -> None:
    """Every pair of formats carries the same PIN over, but none leaves its PAN for format 1."""
    block = block_of(from_format, pin, pan)
    if to_format is ISO_1 and from_format is not ISO_1:
        with pytest.raises(HsmRejected, match="to_format"):
            await translate(from_format, to_format, block, pan)
    else:
        assert pin == pin_of(to_format, await translate(from_format, to_format, block, pan), pan)


@CARDS
@given(
    from_format=st.sampled_from([ISO_0, ISO_3, ISO_4]),
    to_format=formats,
    pin=digits(4, 12),
    pan=pans,
    moved=st.integers(1, 9),
)
async def test_a_block_is_never_anothers(
    from_format: PinBlockFormat, to_format: PinBlockFormat, pin: str, pan: str, moved: int
) -> None:
    """Asked for under another PAN, a block is refused or has another PIN: it changes no owner."""
    # The two digits that formats 0 and 3 lay over the PIN itself; over the fill, format 3 cannot
    # tell some PANs from each other, whoever reads it.
    at = len(pan) - 13
    changed = "".join(str((int(digit) + moved) % 10) for digit in pan[at : at + 2])
    other = pan[:at] + changed + pan[at + 2 :]
    try:
        block = await translate(from_format, to_format, block_of(from_format, pin, pan), other)
    except HsmRejected as error:
        assert str(error).split(":")[0] in ("pin_block", "to_format")  # noqa: PT017 - or another PIN
    else:
        assert pin != pin_of(to_format, block, other)
