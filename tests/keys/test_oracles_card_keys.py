"""What is made with a card's own key, against pyemv and psec, which were written by others."""

from __future__ import annotations

import pyemv
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    SessionKeyDerivation,
    Verdict,
)
from keys.padding import pad_method_2
from keys.software import issuing
from keys.software.backend import SoftwareHsm
from keys.software.digits import decimalize
from tests.keys.support import (
    CARDS,
    FEWER_CARDS,
    digits,
    double_keys,
    make_key,
    other_digits,
    pans,
    psec_cvv,
    ref,
)

A, B = CardKeyDerivation
NONE, COMMON, MASTERCARD, EMV_2000 = SessionKeyDerivation
METHOD_1, METHOD_2 = ArpcMethod

CARD_KEYS = {A: pyemv.kd.derive_icc_mk_a, B: pyemv.kd.derive_icc_mk_b}

two_bytes, four_bytes = (st.binary(min_size=size, max_size=size) for size in (2, 4))


def session_key(kind: SessionKeyDerivation, card_key: bytes, atc: bytes, number: bytes) -> bytes:
    """Derive a session key with pyemv."""
    match kind:
        case SessionKeyDerivation.COMMON:
            return pyemv.kd.derive_common_sk(card_key, atc + bytes(6))
        case SessionKeyDerivation.MASTERCARD:
            return pyemv.kd.derive_common_sk(card_key, atc + bytes(2) + number)
        case SessionKeyDerivation.EMV_2000:
            return pyemv.kd.derive_emv2000_tree_sk(card_key, atc)
    return card_key


def arpc_of(method: ArpcMethod, key: bytes, arqc: bytes, data: bytes) -> bytes:
    """Answer a cryptogram with pyemv."""
    if method is METHOD_1:
        return pyemv.ac.generate_arpc_1(key, arqc, data)
    return pyemv.ac.generate_arpc_2(key, arqc, data[:4], data[4:])


@pytest.mark.parametrize("kind", SessionKeyDerivation)
@CARDS
@given(
    master=double_keys,
    card_key=st.sampled_from(CardKeyDerivation),
    method=st.sampled_from(ArpcMethod),
    pan=digits(12, 19),
    pan_sequence_number=digits(2),
    atc=two_bytes,
    number=four_bytes,
    data=st.binary(min_size=1, max_size=80),
    extra=st.binary(max_size=8),
)
async def test_cryptograms_agree(
    kind: SessionKeyDerivation,
    master: bytes,
    card_key: CardKeyDerivation,
    method: ArpcMethod,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    number: bytes,
    data: bytes,
    extra: bytes,
) -> None:
    """ARQC and ARPC are pyemv's for every scheme, PAN length and proprietary data."""
    scheme, padded = CryptogramScheme(card_key, kind, method), pad_method_2(data)
    theirs = CARD_KEYS[card_key](master, pan, pan_sequence_number)
    made_under = session_key(kind, theirs, atc, number)
    arqc = pyemv.ac.generate_ac(made_under, data, pyemv.ac.PaddingType.EMV)
    arpc_data = b"00" if method is METHOD_1 else b"\0\x82\0\0" + extra
    answer = arpc_of(method, theirs if kind is MASTERCARD else made_under, arqc, arpc_data)
    key = make_key("E0", master.hex())
    hsm = SoftwareHsm({"imk": key}, emv_2000=True)

    def asked(cryptogram: bytes) -> Cryptogram:
        return Cryptogram(scheme, pan, pan_sequence_number, atc, padded, cryptogram, number)

    found = await hsm.verify_arqc(ref("imk", key), asked(arqc), arpc_data=arpc_data)
    assert (Verdict.MATCH, answer) == (found.verdict, found.arpc)
    wrong = arqc[:-1] + bytes([arqc[-1] ^ 1])
    assert ArqcAnswer(Verdict.MISMATCH) == await hsm.verify_arqc(
        ref("imk", key), asked(wrong), arpc_data=arpc_data
    )
    assert arqc == issuing.arqc(
        key,
        scheme,
        pan=pan,
        pan_sequence_number=pan_sequence_number,
        atc=atc,
        data=padded,
        unpredictable_number=number,
    )


@pytest.mark.parametrize("profile", [pyemv.cvn.MasterCardCVN16, pyemv.cvn.MasterCardCVN20])
@FEWER_CARDS
@given(
    master=double_keys,
    pan=digits(16),
    atc=two_bytes,
    number=four_bytes,
    amount=st.binary(min_size=6, max_size=6),
)
async def test_mastercards_profiles_agree(
    profile: type[pyemv.cvn.MasterCardCVN16 | pyemv.cvn.MasterCardCVN20],
    master: bytes,
    pan: str,
    atc: bytes,
    number: bytes,
    amount: bytes,
) -> None:
    """M/Chip's CVN 16 is answered under the card's key and CVN 20 under the session's, as pyemv's
    profiles are.
    """
    card = profile(master, master, master, pan, "01")
    fields = (amount, bytes(6), b"\2\x50", bytes(5), b"\x09\x78", b"\x26\x11\x23", b"\0", number)
    arqc = card.generate_ac(*fields, b"\x19\x80", atc, bytes(6))
    kind = MASTERCARD if profile is pyemv.cvn.MasterCardCVN16 else COMMON
    key = make_key("E0", master.hex())

    if isinstance(card, pyemv.cvn.MasterCardCVN16):
        arpc = card.generate_arpc(arqc, b"00")
    else:
        arpc = card.generate_arpc(arqc, atc, b"00")

    found = await SoftwareHsm({"imk": key}).verify_arqc(
        ref("imk", key),
        Cryptogram(
            CryptogramScheme(A, kind, METHOD_1),
            pan,
            "01",
            atc,
            pad_method_2(b"".join(fields) + b"\x19\x80" + atc + bytes(6)),
            arqc,
            number,
        ),
        arpc_data=b"00",
    )
    assert (Verdict.MATCH, arpc) == (found.verdict, found.arpc)


@FEWER_CARDS
@given(double_keys, pans, digits(2), digits(4), digits(3), digits(4))
async def test_dynamic_cvvs_agree(
    master: bytes, pan: str, pan_sequence_number: str, expiry: str, service_code: str, atc: str
) -> None:
    """A dCVV is psec's CVV under pyemv's card key, with the ATC for the PAN's first four digits."""
    key = make_key("E6", master.hex())
    card_key = pyemv.kd.derive_icc_mk_a(master, pan, pan_sequence_number)
    code = psec_cvv(card_key, atc + pan[4:], expiry, service_code)
    made_of = DynamicCvv(pan_sequence_number, expiry, service_code, atc)

    for given_code, verdict in ((code, Verdict.MATCH), (other_digits(code), Verdict.MISMATCH)):
        assert verdict is await SoftwareHsm({"imk": key}).verify_card_code(
            ref("imk", key), made_of, pan=pan, code=given_code
        )


async def test_a_dynamic_cvv_of_letters() -> None:
    """Where a block has two decimal digits the third is its first letter less ten (Visa's rule)."""
    block = bytes.fromhex("EDEFACDBCDF46DBB")  # 4, 6, then E - 10
    assert "464" == decimalize(block, 3)
    key = make_key("E6", "58B29E7496403C6A522EC2E044B4EA96")
    made_of = DynamicCvv("80", "3259", "080", "3259")  # whose block that is
    hsm = SoftwareHsm({"imk": key})
    for code, verdict in (("464", Verdict.MATCH), ("465", Verdict.MISMATCH)):
        assert verdict is await hsm.verify_card_code(
            ref("imk", key), made_of, pan="0" * 16, code=code
        )


@FEWER_CARDS
@given(double_keys, pans, digits(2), two_bytes, four_bytes, st.binary(min_size=1, max_size=24))
async def test_dynamic_card_codes_agree(
    master: bytes,
    pan: str,
    pan_sequence_number: str,
    atc: bytes,
    number: bytes,
    track_data: bytes,
) -> None:
    """A CVC3 is pyemv's, whole and cut to the last four or three digits."""
    key = make_key("E4", master.hex())
    hsm = SoftwareHsm({"imk": key})
    card_key = pyemv.kd.derive_icc_mk_a(master, pan, pan_sequence_number)
    code = pyemv.cvv.generate_cvc3(card_key, track_data, atc, number).rjust(5, "0")
    made_of = Cvc3(pan_sequence_number, atc, number, track_data)

    for length in (3, 4, 5):
        cut = code[-length:]
        for given_code, verdict in ((cut, Verdict.MATCH), (other_digits(cut), Verdict.MISMATCH)):
            assert verdict is await hsm.verify_card_code(
                ref("imk", key), made_of, pan=pan, code=given_code
            )
