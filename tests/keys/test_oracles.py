"""Card codes, PINs, PIN blocks and MACs against psec, which was written by others."""

from __future__ import annotations

import psec
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.hsm import (
    CardVerificationValue,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    Verdict,
    VisaPvv,
)
from keys.padding import pad_method_1, pad_method_2
from keys.software import issuing, pinblock
from keys.software.backend import SoftwareHsm
from tests.keys.support import (
    CARDS,
    digits,
    double_keys,
    make_key,
    other_digits,
    pans,
    psec_cvv,
    ref,
)

few = settings(max_examples=30, deadline=None, database=None)

ZPK = make_key("P0", "5B37C8D9E0A4F2168C73DA29B5E60E4A")
ISO_0 = PinBlockFormat.ISO_0


@CARDS
@given(double_keys, pans, digits(4), digits(3))
async def test_card_codes_agree(key: bytes, pan: str, expiry: str, service_code: str) -> None:
    """psec's card code matches, for every PAN length, and another one does not."""
    cvk = make_key("C0", key.hex())
    hsm = SoftwareHsm({"cvk": cvk})
    code = psec_cvv(key, pan, expiry, service_code)
    made_of = CardVerificationValue(expiry, service_code)

    assert code == issuing.card_code(cvk, pan=pan, expiry=expiry, service_code=service_code)
    for given_code, verdict in ((code, Verdict.MATCH), (other_digits(code), Verdict.MISMATCH)):
        assert verdict is await hsm.verify_card_code(
            ref("cvk", cvk), made_of, pan=pan, code=given_code
        )


async def pin_verdict(
    hsm: SoftwareHsm, reference: PinReference, clear_pin: str, pan: str
) -> Verdict:
    """Ask for a PIN in a block of format 0 that psec made."""
    field = psec.pinblock.encode_pinblock_iso_0(clear_pin, pan)
    return await hsm.verify_pin(
        reference,
        zone_key=ref("zpk", ZPK),
        pin_block=psec.des.encrypt_tdes_ecb(ZPK.material, field),
        pin_block_format=ISO_0,
        pan=pan,
    )


@CARDS
@given(double_keys, pans, digits(1), digits(4, 12))
async def test_pin_verification_values_agree(
    key: bytes, pan: str, pvki: str, clear_pin: str
) -> None:
    """psec's PVV matches its PIN; of a longer PIN only the first four digits count."""
    pvk = make_key("V2", key.hex())
    hsm = SoftwareHsm({"pvk": pvk, "zpk": ZPK})
    pvv = psec.pin.generate_visa_pvv(key, pvki, clear_pin[:4], pan)

    assert pvv == issuing.visa_pvv(pvk, pan=pan, pvki=pvki, pin=clear_pin)
    for reference, verdict in ((pvv, Verdict.MATCH), (other_digits(pvv), Verdict.MISMATCH)):
        asked = VisaPvv(ref("pvk", pvk), pvki, reference)
        assert verdict is await pin_verdict(hsm, asked, clear_pin, pan)


#: Decimalization tables: ten digits in any order, and six of them again.
tables = st.permutations("0123456789012345").map("".join)


@CARDS
@given(double_keys, pans, digits(16), tables, digits(4, 12))
async def test_ibm_offsets_agree(
    key: bytes, pan: str, account: str, table: str, clear_pin: str
) -> None:
    """psec's IBM 3624 offset matches its PIN, of four to twelve digits."""
    pvk = make_key("V1", key.hex())
    hsm = SoftwareHsm({"pvk": pvk, "zpk": ZPK})
    offset = psec.pin.generate_ibm3624_offset(key, table, clear_pin, account, 0, 16, "F")

    assert offset == issuing.ibm3624_offset(
        pvk, pin=clear_pin, validation_data=account, decimalization_table=table
    )
    for reference, verdict in ((offset, Verdict.MATCH), (other_digits(offset), Verdict.MISMATCH)):
        asked = Ibm3624(ref("pvk", pvk), reference, table, account)
        assert verdict is await pin_verdict(hsm, asked, clear_pin, pan)


@few
@given(double_keys, pans, digits(4, 12))
def test_pin_blocks_agree(key: bytes, pan: str, clear_pin: str) -> None:
    """PIN blocks of formats 0, 3 and 4 read both ways between psec and us."""
    zone = pinblock.ZoneKey.prepare_tdes(key)
    aes = pinblock.ZoneKey.prepare_aes(key)
    ours_0 = pinblock.encipher(zone, PinBlockFormat.ISO_0, clear_pin, pan)
    ours_3 = pinblock.encipher(zone, PinBlockFormat.ISO_3, clear_pin, pan)
    ours_4 = pinblock.encipher(aes, PinBlockFormat.ISO_4, clear_pin, pan)
    theirs_0 = zone.encrypt(psec.pinblock.encode_pinblock_iso_0(clear_pin, pan))
    theirs_3 = zone.encrypt(psec.pinblock.encode_pinblock_iso_3(clear_pin, pan))
    theirs_4 = psec.pinblock.encipher_pinblock_iso_4(key, clear_pin, pan)

    assert theirs_0 == ours_0
    assert clear_pin == psec.pinblock.decode_pinblock_iso_3(zone.decrypt(ours_3), pan)
    assert clear_pin == psec.pinblock.decipher_pinblock_iso_4(key, ours_4, pan)
    assert clear_pin == pinblock.decipher(zone, PinBlockFormat.ISO_3, theirs_3, pan)
    assert clear_pin == pinblock.decipher(aes, PinBlockFormat.ISO_4, theirs_4, pan)


@few
@given(double_keys, st.binary(max_size=70))
async def test_retail_macs_agree(key: bytes, data: bytes) -> None:
    """ISO 9797-1 algorithms 1 and 3 are psec's, with both paddings."""
    cbc, retail = make_key("M1", key.hex()), make_key("M3", key.hex())
    hsm = SoftwareHsm({"cbc": cbc, "retail": retail})
    for method, pad in ((1, pad_method_1), (2, pad_method_2)):
        assert psec.mac.generate_cbc_mac(key, data, method, 8) == await hsm.mac(
            ref("cbc", cbc), pad(data), algorithm=MacAlgorithm.ISO9797_1
        )
        assert psec.mac.generate_retail_mac(key[:8], key[8:], data, method, 8) == await hsm.mac(
            ref("retail", retail), pad(data), algorithm=MacAlgorithm.ISO9797_3
        )
