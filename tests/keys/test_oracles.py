"""Our formulas against psec and pyemv, which were written by others."""

from __future__ import annotations

import psec
import pyemv
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    Cryptogram,
    CryptogramScheme,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
)
from keys.padding import pad_method_1, pad_method_2
from keys.software import issuing, pin, pinblock, tdes
from keys.software.backend import SoftwareHsm
from tests.keys.support import make_key, ref

few = settings(max_examples=30, deadline=None)


def digits(low: int, high: int | None = None) -> st.SearchStrategy[str]:
    """Digits of ASCII, `low` to `high` of them."""
    return st.text("0123456789", min_size=low, max_size=high or low)


double_keys = st.binary(min_size=16, max_size=16)
pans = digits(13, 19)


@few
@given(double_keys, pans, digits(4), digits(3))
def test_card_codes_agree(key: bytes, pan: str, expiry: str, service_code: str) -> None:
    """A card code is psec's, for every PAN length."""
    assert psec.cvv.generate_cvv(key, pan, expiry, service_code) == issuing.card_code(
        make_key("C0", key.hex()), pan=pan, expiry=expiry, service_code=service_code
    )


@few
@given(double_keys, pans, digits(1), digits(4, 12))
def test_pin_verification_values_agree(key: bytes, pan: str, pvki: str, clear_pin: str) -> None:
    """A PVV is psec's; of a longer PIN only the first four digits count."""
    assert psec.pin.generate_visa_pvv(key, pvki, clear_pin[:4], pan) == issuing.visa_pvv(
        make_key("V2", key.hex()), pan=pan, pvki=pvki, pin=clear_pin
    )


@few
@given(double_keys, digits(16), digits(16), digits(4, 12))
def test_natural_pins_agree(key: bytes, account: str, table: str, clear_pin: str) -> None:
    """A natural PIN and an offset are psec's."""
    natural_pin = pin.ibm3624_natural_pin(
        tdes.encryptor(key),
        validation_data=account,
        decimalization_table=table,
        length=len(clear_pin),
    )
    offset = issuing.ibm3624_offset(
        make_key("V1", key.hex()),
        pin=clear_pin,
        validation_data=account,
        decimalization_table=table,
    )
    assert natural_pin == psec.pin.generate_ibm3624_pin(
        key, table, "0" * len(clear_pin), account, 0, 16, "F"
    )
    assert offset == psec.pin.generate_ibm3624_offset(key, table, clear_pin, account, 0, 16, "F")


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
@given(
    master=double_keys,
    card_key=st.sampled_from(CardKeyDerivation),
    session_key=st.sampled_from(SessionKeyDerivation),
    arpc=st.sampled_from(ArpcMethod),
    pan=digits(12, 19),
    pan_sequence_number=digits(2),
    atc=st.binary(min_size=2, max_size=2),
    data=st.binary(min_size=1, max_size=80),
    extra=st.binary(max_size=8),
)
async def test_cryptograms_agree(
    master: bytes,
    card_key: CardKeyDerivation,
    session_key: SessionKeyDerivation,
    arpc: ArpcMethod,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    data: bytes,
    extra: bytes,
) -> None:
    """ARQC and ARPC are pyemv's for every scheme, PAN length and proprietary data."""
    scheme = CryptogramScheme(card_key, session_key, arpc)
    derive = {
        CardKeyDerivation.OPTION_A: pyemv.kd.derive_icc_mk_a,
        CardKeyDerivation.OPTION_B: pyemv.kd.derive_icc_mk_b,
    }[card_key]
    theirs = derive(master, pan, pan_sequence_number)
    if session_key is SessionKeyDerivation.COMMON:
        theirs = pyemv.kd.derive_common_sk(theirs, atc + bytes(6))
    arqc = pyemv.ac.generate_ac(theirs, data, pyemv.ac.PaddingType.EMV)
    if arpc is ArpcMethod.METHOD_1:
        arpc_data, answer = b"00", pyemv.ac.generate_arpc_1(theirs, arqc, b"00")
    else:
        arpc_data = b"\0\x82\0\0" + extra
        answer = pyemv.ac.generate_arpc_2(theirs, arqc, arpc_data[:4], extra)
    key = make_key("E0", master.hex())
    question = Cryptogram(scheme, pan, pan_sequence_number, atc, pad_method_2(data), arqc)

    found = await SoftwareHsm({"imk": key}).verify_arqc(
        ref("imk", key), question, arpc_data=arpc_data
    )
    assert (Verdict.MATCH, answer) == (found.verdict, found.arpc)
    assert arqc == issuing.arqc(
        key,
        scheme,
        pan=pan,
        pan_sequence_number=pan_sequence_number,
        atc=atc,
        data=pad_method_2(data),
    )


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
