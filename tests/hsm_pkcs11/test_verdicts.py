"""Every question, right and wrong, against psec, pyemv and published vectors."""

from __future__ import annotations

import random
from dataclasses import replace

import psec
import pyemv
import pytest

from keys.hsm import (
    AmexCsc,
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Hsm,
    HsmRejected,
    HsmUnavailable,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.keyfile import Key
from keys.padding import pad_method_2
from keys.pkcs11 import Pkcs11Hsm
from keys.software.key import AES
from tests.contract.keys import KEYS, REFS
from tests.hsm_pkcs11 import softhsm

PAN = "4761739000000012"
WORDS = CardVerificationValue("3012", "201")
OPTION_A, OPTION_B = CardKeyDerivation
NONE, COMMON, MASTERCARD, EMV_2000 = SessionKeyDerivation
METHOD_1, METHOD_2 = ArpcMethod

#: What is padded, and what fills its blocks already.
LENGTHS = [0, 1, 7, 8, 9, 15, 16, 72, 255, 256, 1000]


def digits(chance: random.Random, count: int) -> str:
    """So many digits by chance."""
    return "".join(chance.choices("0123456789", k=count))


def test_it_is_an_hsm() -> None:
    """The backend answers every question of the protocol."""
    asked: Hsm = softhsm.hsm()
    assert "pkcs11" == asked.name


async def test_card_codes_are_psecs(hsm: Pkcs11Hsm) -> None:
    """Of 100 random cards each code is right, and each other code is wrong."""
    chance = random.Random(1)
    for _ in range(100):
        pan = digits(chance, chance.randint(12, 19))
        of = CardVerificationValue(digits(chance, 4), digits(chance, 3))
        code = psec.cvv.generate_cvv(KEYS["cvk"].material, pan, of.expiry, of.service_code)
        wrong = f"{(int(code) + chance.randint(1, 999)) % 1000:03}"
        assert Verdict.MATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=code)
        assert Verdict.MISMATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=wrong)


@pytest.mark.parametrize("code", ["", "41", "4130", "41a", "٤١٣"])
async def test_what_is_no_card_code_is_a_mismatch(code: str, hsm: Pkcs11Hsm) -> None:
    """Whatever stands where a card code should be, it is a mismatch and never a fault."""
    assert Verdict.MISMATCH is await hsm.verify_card_code(REFS["cvk"], WORDS, pan=PAN, code=code)


#: scheme and who makes its cryptogram's answer: the session key or the card's
SCHEMES = [
    (CryptogramScheme(OPTION_A, NONE, METHOD_1),       "session"),
    (CryptogramScheme(OPTION_A, NONE, METHOD_2),       "session"),
    (CryptogramScheme(OPTION_A, COMMON, METHOD_1),     "session"),
    (CryptogramScheme(OPTION_A, COMMON, METHOD_2),     "session"),
    (CryptogramScheme(OPTION_B, COMMON, METHOD_2),     "session"),
    (CryptogramScheme(OPTION_A, MASTERCARD, METHOD_1), "card"),
    (CryptogramScheme(OPTION_B, MASTERCARD, METHOD_2), "card"),
]  # fmt: skip


@pytest.mark.parametrize(("scheme", "answering"), SCHEMES)
async def test_cryptograms_are_pyemvs(
    scheme: CryptogramScheme, answering: str, hsm: Pkcs11Hsm
) -> None:
    """Of 20 random cards each ARQC is right and answered, and with one bit changed is wrong."""
    chance = random.Random(2)
    derive = {
        OPTION_A: pyemv.kd.derive_icc_mk_a,
        OPTION_B: pyemv.kd.derive_icc_mk_b,
    }[scheme.card_key]
    for _ in range(20):
        pan, sequence = digits(chance, chance.randint(12, 19)), digits(chance, 2)
        atc, unpredictable = chance.randbytes(2), chance.randbytes(4)
        data = pad_method_2(chance.randbytes(chance.randint(0, 90)))
        card_key = derive(KEYS["imk_ac"].material, pan, sequence)
        session_key = {
            NONE: card_key,
            COMMON: pyemv.kd.derive_common_sk(card_key, atc + bytes(6)),
            MASTERCARD: pyemv.kd.derive_common_sk(card_key, atc + bytes(2) + unpredictable),
        }[scheme.session_key]
        arqc = pyemv.ac.generate_ac(session_key, data, pyemv.ac.PaddingType.VISA)
        answer_key = {"session": session_key, "card": card_key}[answering]
        if scheme.arpc is METHOD_1:
            arpc_data = chance.randbytes(2)
            arpc = pyemv.ac.generate_arpc_1(answer_key, arqc, arpc_data)
        else:
            arpc_data = chance.randbytes(chance.randint(4, 12))
            arpc = pyemv.ac.generate_arpc_2(answer_key, arqc, arpc_data[:4], arpc_data[4:])
        right = Cryptogram(scheme, pan, sequence, atc, data, arqc, unpredictable)
        assert ArqcAnswer(Verdict.MATCH, arpc) == await hsm.verify_arqc(
            REFS["imk_ac"], right, arpc_data=arpc_data
        )
        changed = bytes([arqc[0], arqc[1] ^ 1]) + arqc[2:]
        assert ArqcAnswer(Verdict.MISMATCH) == await hsm.verify_arqc(
            REFS["imk_ac"], replace(right, arqc=changed), arpc_data=arpc_data
        )


async def test_the_published_cryptogram() -> None:
    """The ARQC of the AWS user guide's CVN 18 example is reproduced by keys derived in a token."""
    key = Key(
        bytes.fromhex("0123456789ABCDEFFEDCBA9876543210"),
        usage="E0",
        algorithm="T",
        mode_of_use="X",
    )
    data = bytes.fromhex(
        "00000000170000000000000008400080008000084016051700000000093800000B1F22010300"
        "00000000000000000000000000000000000000000000000000008000000000000000"
    )
    cryptogram = Cryptogram(
        CryptogramScheme(OPTION_A, COMMON, METHOD_1),
        "9137631040001422",
        "01",
        bytes.fromhex("000B"),
        data,
        bytes.fromhex("61EDCC708B4C97B4"),
    )
    async with softhsm.opened_with({"published_imk": key}) as hsm:
        answer = await hsm.verify_arqc(
            KeyRef("published_imk", key.kcv), cryptogram, arpc_data=b"00"
        )
    assert Verdict.MATCH is answer.verdict


async def test_iso_macs_are_psecs(hsm: Pkcs11Hsm) -> None:
    """ISO 9797-1 algorithms 1 and 3 of any length are psec's."""
    chance = random.Random(3)
    for length in LENGTHS:
        data = chance.randbytes(length)
        algorithm_1 = psec.mac.generate_cbc_mac(
            KEYS["mak_1"].material, data, 1, algorithm=psec.mac.Algorithm.DES
        )
        zak = KEYS["zak"].material
        algorithm_3 = psec.mac.generate_retail_mac(zak[:8], zak[8:], data, 1)
        assert algorithm_1 == await hsm.mac(REFS["mak_1"], data, algorithm=MacAlgorithm.ISO9797_1)
        assert algorithm_3 == await hsm.mac(REFS["zak"], data, algorithm=MacAlgorithm.ISO9797_3)


NIST = bytes.fromhex(
    "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
)

#: SP 800-38B, D.4 (two-key TDEA): length of the message and its MAC
TDES_CMACS = [
    (0,  "bd2ebf9a3ba00361"),
    (8,  "4ff2ab813c53ce83"),
    (20, "62dd1b471902bd4e"),
    (32, "31b1e431dabc4eb8"),
]  # fmt: skip

#: RFC 4493, 4: the same
AES_CMACS = [
    (0,  "bb1d6929e95937287fa37d129b756746"),
    (16, "070a16b46b4d4144f79bdd9dd04a287c"),
    (40, "dfa66747de9ae63030ca32611497c827"),
]  # fmt: skip


@pytest.mark.parametrize(("length", "mac"), TDES_CMACS)
async def test_tdes_cmacs_are_nists(length: int, mac: str, hsm: Pkcs11Hsm) -> None:
    """CMAC with two-key TDES gives the published values."""
    made = await hsm.mac(REFS["mak_tdes"], NIST[:length], algorithm=MacAlgorithm.TDES_CMAC)
    assert mac == made.hex()


async def test_aes_cmacs_are_the_rfcs() -> None:
    """CMAC with AES gives the published values."""
    key = Key(
        bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"),
        usage="M6",
        algorithm=AES,
        mode_of_use="C",
    )
    async with softhsm.opened_with({"rfc4493": key}) as hsm:
        for length, mac in AES_CMACS:
            made = await hsm.mac(
                KeyRef("rfc4493", key.kcv), NIST[:length], algorithm=MacAlgorithm.AES_CMAC
            )
            assert mac == made.hex()


#: algorithm and the key that makes it
MACS = list(zip(MacAlgorithm, ("mak_1", "zak", "mak_aes", "mak_tdes"), strict=True))


@pytest.mark.parametrize(("algorithm", "name"), MACS)
async def test_macs_are_compared(algorithm: MacAlgorithm, name: str, hsm: Pkcs11Hsm) -> None:
    """A MAC matches whole or cut to four bytes; shorter, longer or changed it does not."""
    mac = await hsm.mac(REFS[name], b"message", algorithm=algorithm)
    for given, verdict in [
        (mac, Verdict.MATCH),
        (mac[:4], Verdict.MATCH),
        (mac[:3], Verdict.MISMATCH),
        (b"", Verdict.MISMATCH),
        (mac + b"\0", Verdict.MISMATCH),
        (bytes([mac[0] ^ 1]) + mac[1:], Verdict.MISMATCH),
    ]:
        assert verdict is await hsm.verify_mac(REFS[name], b"message", given, algorithm=algorithm)


async def test_pins_are_not_verified(hsm: Pkcs11Hsm) -> None:
    """No capability speaks of PINs, and a PIN question is refused: it would have to come out."""
    assert not [c for c in hsm.capabilities if "pin" in c or "pvv" in c or "3624" in c]
    with pytest.raises(HsmRejected, match="PIN"):
        await hsm.verify_pin(
            VisaPvv(REFS["pvk"], "1", "0000"),
            zone_key=REFS["zpk"],
            pin_block_format=PinBlockFormat.ISO_0,
            pin_block=bytes(8),
            pan=PAN,
        )
    with pytest.raises(HsmRejected, match="PIN"):
        await hsm.translate_pin(
            from_key=REFS["zpk"],
            from_format=PinBlockFormat.ISO_0,
            to_key=REFS["zpk_next"],
            to_format=PinBlockFormat.ISO_0,
            pin_block=bytes(8),
            pan=PAN,
        )


async def test_what_a_key_is_not_for_is_refused(hsm: Pkcs11Hsm) -> None:
    """A key of another name, check value, usage or cipher answers nothing."""
    for key in (KeyRef("nobody", "000000"), KeyRef("cvk", "000000"), REFS["zak"]):
        with pytest.raises(HsmRejected, match=key.name):
            await hsm.verify_card_code(key, WORDS, pan=PAN, code="413")
    with pytest.raises(HsmRejected, match="cipher"):
        await hsm.mac(REFS["mak_aes"], b"", algorithm=MacAlgorithm.TDES_CMAC)
    with pytest.raises(HsmRejected, match="mak_1"):
        await hsm.mac(REFS["mak_1"], b"", algorithm=MacAlgorithm.ISO9797_3)


async def test_what_it_cannot_do_is_refused(hsm: Pkcs11Hsm) -> None:
    """Questions outside of the capabilities are refused and not answered wrongly."""
    with pytest.raises(HsmRejected, match="card code"):
        await hsm.verify_card_code(REFS["csck"], AmexCsc(1, "3012"), pan=PAN, code="1234")
    old = CryptogramScheme(OPTION_A, EMV_2000, METHOD_1)
    with pytest.raises(HsmRejected, match="EMV 2000"):
        await hsm.verify_arqc(
            REFS["imk_ac"],
            Cryptogram(old, PAN, "00", bytes(2), bytes(8), bytes(8)),
            arpc_data=b"00",
        )


CRYPTOGRAM = Cryptogram(
    CryptogramScheme(OPTION_A, MASTERCARD, METHOD_1),
    PAN,
    "00",
    bytes(2),
    bytes(8),
    bytes(8),
    bytes(4),
)

#: the field that is named, and a cryptogram and ARPC data where it is wrong
MALFORMED = [
    ("pan",                  replace(CRYPTOGRAM, pan="4761"), b"00"),
    ("pan_sequence_number",  replace(CRYPTOGRAM, pan_sequence_number="1"), b"00"),
    ("atc",                  replace(CRYPTOGRAM, atc=b"\0"), b"00"),
    ("data",                 replace(CRYPTOGRAM, data=bytes(7)), b"00"),
    ("data",                 replace(CRYPTOGRAM, data=b""), b"00"),
    ("unpredictable_number", replace(CRYPTOGRAM, unpredictable_number=b""), b"00"),
    ("arpc_data",            CRYPTOGRAM, b"0"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "cryptogram", "arpc_data"), MALFORMED)
async def test_malformed_fields_are_named(
    field: str, cryptogram: Cryptogram, arpc_data: bytes, hsm: Pkcs11Hsm
) -> None:
    """A field whose shape the formulas cannot take is named, without its value."""
    with pytest.raises(HsmRejected, match=f"^{field}: "):
        await hsm.verify_arqc(REFS["imk_ac"], cryptogram, arpc_data=arpc_data)


async def test_it_is_closed_after_closing() -> None:
    """Before it is opened and after it is closed every question is an outage, twice too."""
    backend = softhsm.hsm()
    for ask in (backend.ping(), backend.mac(REFS["zak"], b"", algorithm=MacAlgorithm.ISO9797_3)):
        with pytest.raises(HsmUnavailable):
            await ask
    await backend.open()
    await backend.ping()
    await backend.close()
    await backend.close()
    with pytest.raises(HsmUnavailable):
        await backend.ping()
    with pytest.raises(HsmUnavailable):
        backend.check(REFS["cvk"], "C0")
