"""Published vectors, each asked of the software HSM or of the formula itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from keys.hsm import (
    ArpcMethod,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    DynamicCvv,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.padding import pad_method_1, pad_method_2
from keys.software import cryptogram as emv
from keys.software import issuing, pin, pinblock, tdes
from keys.software.backend import SoftwareHsm
from keys.software.digits import xor
from keys.software.key import check_values
from tests.keys.support import make_key, ref, vectors

ZPK = make_key("P0", "5B37C8D9E0A4F2168C73DA29B5E60E4A")

#: How vectors name what is done to data before a backend sees it.
PADDINGS: dict[object, Callable[[bytes], bytes]] = {
    "none": bytes,
    "already padded": bytes,
    1: pad_method_1,
    "ISO9797-1 m1 (00)": pad_method_1,
    2: pad_method_2,
    "ISO9797-1 m2 (80)": pad_method_2,
}


#: How vectors name a session key.
SESSION_KEYS = {
    "none": SessionKeyDerivation.NONE,
    "csk": SessionKeyDerivation.COMMON,
    "mc": SessionKeyDerivation.MASTERCARD,
}


def card_key_of(kind: str) -> CardKeyDerivation:
    """Read a vector's `mk`."""
    return CardKeyDerivation.OPTION_B if "option B" in kind else CardKeyDerivation.OPTION_A


@pytest.mark.parametrize(("given", "expected"), vectors("CVV", "CVV1", "CVV2", "iCVV"))
async def test_card_codes(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """CVV, CVV2 and iCVV are one formula that differs by service code and expiry order."""
    key = make_key("C0", given["cvk"])
    card = {name: given[name] for name in ("pan", "expiry", "service_code")}

    assert expected["cvv"] == issuing.card_code(key, **card)
    made_of = CardVerificationValue(card["expiry"], card["service_code"])
    assert Verdict.MATCH is await SoftwareHsm({"cvk": key}).verify_card_code(
        ref("cvk", key), made_of, pan=card["pan"], code=expected["cvv"]
    )


@pytest.mark.parametrize(("given", "expected"), vectors("CAVV"))
async def test_cardholder_authentication(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A CAVV of usage 3, version 7 is a card code over its transaction number and results."""
    key = make_key("C0", given["cavv_key"])
    made_of = CardVerificationValue(
        given["un_last4_of_atn"], given["auth_result_code"] + given["second_factor_code"]
    )
    assert Verdict.MATCH is await SoftwareHsm({"cavv": key}).verify_card_code(
        ref("cavv", key), made_of, pan=given["pan"], code=expected["cavv"]
    )


@pytest.mark.parametrize(("given", "expected"), vectors("dCVV"))
async def test_dynamic_cvvs(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A dCVV is of the card's own key and its transaction counter."""
    key = make_key("E6", given["imk"])
    card = {name: given[name] for name in ("expiry", "service_code", "atc")}
    card["pan_sequence_number"] = given.get("psn", "00")

    assert expected["dcvv"] == issuing.dynamic_cvv(key, pan=given["pan"], **card)
    assert Verdict.MATCH is await SoftwareHsm({"imk": key}).verify_card_code(
        ref("imk", key), DynamicCvv(**card), pan=given["pan"], code=expected["dcvv"]
    )


@pytest.mark.parametrize(("given", "expected"), vectors("CVC3"))
async def test_dynamic_card_codes(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A CVC3 is compared by as many of its last digits as the track has."""
    key = make_key("E4", given["imk_cvc3"])
    made_of = Cvc3(
        pan_sequence_number=given["psn"],
        atc=bytes.fromhex(given["atc"]),
        unpredictable_number=bytes.fromhex(given["un"]),
        track_data=bytes.fromhex(given.get("track2") or given["track"]),
    )
    code = expected.get("cvc3") or expected["cvc3_last3"]

    for length in range(3, len(code) + 1):
        assert Verdict.MATCH is await SoftwareHsm({"imk": key}).verify_card_code(
            ref("imk", key), made_of, pan=given["pan"], code=code[-length:]
        )


@pytest.mark.parametrize(("given", "expected"), vectors("PVV"))
async def test_pin_verification_values(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A PIN in a block matches its Visa PVV."""
    key, pan = make_key("V2", given["pvk"]), given["pan"]

    assert expected["pvv"] == issuing.visa_pvv(key, pan=pan, pvki=given["pvki"], pin=given["pin"])
    assert Verdict.MATCH is await SoftwareHsm({"pvk": key, "zpk": ZPK}).verify_pin(
        VisaPvv(ref("pvk", key), given["pvki"], expected["pvv"]),
        zone_key=ref("zpk", ZPK),
        pin_block=issuing.pin_block(
            ZPK, pin_block_format=PinBlockFormat.ISO_0, pin=given["pin"], pan=pan
        ),
        pin_block_format=PinBlockFormat.ISO_0,
        pan=pan,
    )


@pytest.mark.parametrize(("given", "expected"), vectors("IBM3624"))
async def test_ibm3624_offsets(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A PIN in a block matches its IBM 3624 offset, and the natural PIN is the published one."""
    key, pan = make_key("V1", given["pvk"]), "4012345678909"
    customer_pin = given.get("pin") or expected["customer_pin"]
    offset = expected.get("offset") or given["offset"]
    account = {name: given[name] for name in ("validation_data", "decimalization_table")}

    natural_pin = pin.ibm3624_natural_pin(
        tdes.encryptor(key.material), **account, length=len(customer_pin)
    )
    assert expected["natural_pin"] == natural_pin
    assert offset == issuing.ibm3624_offset(key, pin=customer_pin, **account)
    assert Verdict.MATCH is await SoftwareHsm({"pvk": key, "zpk": ZPK}).verify_pin(
        Ibm3624(ref("pvk", key), offset, **account),
        zone_key=ref("zpk", ZPK),
        pin_block=issuing.pin_block(
            ZPK, pin_block_format=PinBlockFormat.ISO_0, pin=customer_pin, pan=pan
        ),
        pin_block_format=PinBlockFormat.ISO_0,
        pan=pan,
    )


@pytest.mark.parametrize(("given", "expected"), vectors("PINBLOCK0", "PINBLOCK1", "PINBLOCK3"))
def test_eight_byte_pin_blocks(
    given: dict[str, Any], expected: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    """Blocks of formats 0, 1 and 3 give their PIN, and formats without random fill are remade."""
    kind = PinBlockFormat(f"iso-{request.node.callspec.id[len('PINBLOCK')]}")
    pan = given.get("pan", "4012345678909").split(" ")[0]
    key = pinblock.ZoneKey.prepare_tdes(bytes.fromhex(given.get("key", "00" * 16)))
    made = pinblock.encipher(key, kind, given["pin"], pan)

    if enciphered := expected.get("encrypted_block"):
        assert enciphered == made.hex().upper()
    elif prefix := expected.get("block_prefix"):
        assert key.decrypt(made).hex().upper().startswith(prefix)
    else:
        block = bytes.fromhex(expected["block"])
        assert given["pin"] == pinblock.decipher(key, kind, key.encrypt(block), pan)
        if kind is PinBlockFormat.ISO_0:
            assert block == key.decrypt(made)


@pytest.mark.parametrize(("given", "expected"), vectors("PINBLOCK4"))
def test_sixteen_byte_pin_blocks(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Blocks of format 4 give their PIN, and both their fields are as published."""
    key = pinblock.ZoneKey.prepare_aes(bytes.fromhex(given["aes_key"]))
    block = bytes.fromhex(expected["encrypted_block"])
    pan_field = pinblock.pan_field_iso_4(given["pan"])
    pin_field = key.decrypt(xor(key.decrypt(block), pan_field))

    assert given["pan_field"] == pan_field.hex().upper()
    assert given["pin_field"] == pin_field.hex().upper()
    assert given["pin"] == pinblock.decipher(key, PinBlockFormat.ISO_4, block, given["pan"])


@pytest.mark.parametrize(("given", "expected"), vectors("ARQC"))
async def test_cryptograms(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """An ARQC matches, and is answered with the ARPC of each method that the vector has."""
    key = make_key("E0", given["imk_ac"])
    session = SESSION_KEYS[given["session_key"]]
    arqc = bytes.fromhex(expected["arqc"])
    for method, arpc_data, arpc in arpc_cases(given, expected):
        answer = await SoftwareHsm({"imk": key}).verify_arqc(
            ref("imk", key),
            Cryptogram(
                scheme=CryptogramScheme(card_key_of(given["mk"]), session, method),
                pan=given["pan"],
                pan_sequence_number=given["psn"],
                atc=bytes.fromhex(given["atc"]),
                data=PADDINGS[given["padding"]](bytes.fromhex(given["txn_data"])),
                arqc=arqc,
                unpredictable_number=bytes.fromhex(given.get("un") or ""),
            ),
            arpc_data=bytes.fromhex(arpc_data),
        )
        assert Verdict.MATCH is answer.verdict
        assert answer.arpc is not None
        assert arpc in (None, answer.arpc.hex().upper())


def arpc_cases(
    given: dict[str, Any], expected: dict[str, Any]
) -> list[tuple[ArpcMethod, str, str | None]]:
    """Give the ARPCs that a vector knows, else one call without an expectation."""
    if "arpc_m1" in expected:
        return [
            (ArpcMethod.METHOD_1, given["arc"], expected["arpc_m1"]),
            (ArpcMethod.METHOD_2, given["csu"], expected["arpc_m2"]),
        ]
    method = ArpcMethod(f"method-{expected.get('arpc_method', 1)}")
    return [(method, given.get("arc_or_csu", "3030"), expected.get("arpc"))]


@pytest.mark.parametrize(
    ("given", "expected"),
    [case for case in vectors("ARQC") if "icc_mk_kcv" in case.values[1]],
)
def test_derived_keys(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """Card and session keys have the published check values."""
    card_key = emv.card_key(
        tdes.encryptor(bytes.fromhex(given["imk_ac"])),
        card_key_of(given["mk"]),
        pan=given["pan"],
        pan_sequence_number=given["psn"],
    )
    session_key = emv.session_key(
        SESSION_KEYS[given["session_key"]],
        card_key,
        atc=bytes.fromhex(given["atc"]),
        unpredictable_number=bytes.fromhex(given.get("un") or ""),
    )

    assert {expected["icc_mk_kcv"]} == check_values("T", card_key)
    assert {expected["sk_kcv"]} == check_values("T", session_key)


#: kind, algorithm, usage and cipher of its key
MACS = [
    ("MAC-ALG1",      MacAlgorithm.ISO9797_1, "M1", "T"),
    ("MAC-ALG1-TDES", MacAlgorithm.ISO9797_1, "M1", "T"),
    ("MAC-ALG3",      MacAlgorithm.ISO9797_3, "M3", "T"),
    ("AES-CMAC",      MacAlgorithm.AES_CMAC,  "M6", "A"),
    ("TDES-CMAC",     MacAlgorithm.TDES_CMAC, "M6", "T"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("algorithm", "usage", "cipher", "given", "expected"),
    [
        pytest.param(algorithm, usage, cipher, *case.values, id=case.id)
        for kind, algorithm, usage, cipher in MACS
        for case in vectors(kind)
    ],
)
async def test_message_authentication_codes(
    algorithm: MacAlgorithm,
    usage: str,
    cipher: str,
    given: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    """A MAC is the published one, and is verified whole and cut to four bytes."""
    key = make_key(usage, given["key"], algorithm=cipher)
    hsm, zak = SoftwareHsm({"zak": key}), ref("zak", key)
    data = PADDINGS[given.get("padding", "none")](bytes.fromhex(given["message"]))
    mac = bytes.fromhex(expected["mac"])

    assert mac == await hsm.mac(zak, data, algorithm=algorithm)
    for length in (4, len(mac)):
        assert Verdict.MATCH is await hsm.verify_mac(zak, data, mac[:length], algorithm=algorithm)


@pytest.mark.parametrize(("given", "expected"), vectors("KCV"))
def test_check_values(given: dict[str, Any], expected: dict[str, Any]) -> None:
    """A TDES key's check value is three bytes of encrypted zeros."""
    assert {expected["kcv"]} == check_values("T", bytes.fromhex(given["key"]))
