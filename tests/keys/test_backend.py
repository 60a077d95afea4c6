"""What the software HSM answers, and what it refuses to be asked."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Hsm,
    HsmRejected,
    HsmUnavailable,
    Ibm3624,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.keyfile import Key
from keys.software import issuing, pinblock, tdes
from keys.software.backend import SoftwareHsm
from keys.software.digits import xor
from tests.keys.support import make_key, ref

PAN = "4761739000000012"
ISO_0, ISO_1, ISO_3, ISO_4 = PinBlockFormat

#: CVN 18 (EMV common session keys) and CVN 10 (the card's own key).
CVN_18 = CryptogramScheme(
    CardKeyDerivation.OPTION_B, SessionKeyDerivation.COMMON, ArpcMethod.METHOD_2
)
CVN_10 = CryptogramScheme(
    CardKeyDerivation.OPTION_A, SessionKeyDerivation.NONE, ArpcMethod.METHOD_1
)


def pvv_block(keys: dict[str, Key], pin: str, pin_block_format: PinBlockFormat = ISO_0) -> bytes:
    """Make the demo card's PIN block under the demo zone key of its format."""
    zone = keys["zpk_aes" if pin_block_format is ISO_4 else "zpk"]
    return issuing.pin_block(zone, pin_block_format=pin_block_format, pin=pin, pan=PAN)


def enciphered(keys: dict[str, Key], field: str, *, pan: str = PAN) -> bytes:
    """Encipher a clear PIN field as it stands, well formed or not."""
    zone = pinblock.ZoneKey.prepare_tdes(keys["zpk"].material)
    block = bytes.fromhex(field)
    return zone.encrypt(xor(block, pinblock.pan_field(pan)))


def test_it_is_an_hsm(hsm: SoftwareHsm) -> None:
    """The backend answers every question of the protocol."""
    asked: Hsm = hsm
    assert asked is hsm


@pytest.mark.parametrize("code", ["413", "", "41", "4130", "41a", "٤١٣"])
async def test_a_wrong_card_code_is_a_mismatch(
    code: str, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """Whatever stands where a card code should be, it is a mismatch and never a fault."""
    verdict = await hsm.verify_card_code(
        ref("cvk", keys["cvk"]), CardVerificationValue("3012", "201"), pan=PAN, code=code
    )
    assert Verdict.MISMATCH is verdict


#: PIN and its verdict against the PVV that 1234 has
PINS = [
    ("1234",         Verdict.MATCH),
    ("123456",       Verdict.MATCH),
    ("123400000000", Verdict.MATCH),
    ("1235",         Verdict.MISMATCH),
    ("0234",         Verdict.MISMATCH),
]  # fmt: skip


@pytest.mark.parametrize(("pin", "verdict"), PINS)
async def test_a_pvv_is_of_the_first_four_digits(
    pin: str, verdict: Verdict, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A PVV compares the PIN's leftmost four digits, however long the PIN."""
    assert verdict is await hsm.verify_pin(
        VisaPvv(ref("pvk", keys["pvk"]), "1", "0385"),
        zone_key=ref("zpk", keys["zpk"]),
        pin_block=pvv_block(keys, pin),
        pin_block_format=ISO_0,
        pan=PAN,
    )


#: PIN and its verdict against a four-digit offset that was made for the six-digit PIN 852036
CHECK_LENGTH_PINS = [
    ("852036", Verdict.MATCH),
    ("002036", Verdict.MATCH),
    ("852037", Verdict.MISMATCH),
    ("8520",   Verdict.MISMATCH),
]  # fmt: skip


@pytest.mark.parametrize(("pin", "verdict"), CHECK_LENGTH_PINS)
async def test_a_short_offset_checks_the_rightmost_digits(
    pin: str, verdict: Verdict, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """An IBM offset shorter than the PIN checks as many digits from the right as it has."""
    account = {"validation_data": "739000000021FFFF", "decimalization_table": "0123456789012345"}
    offset = issuing.ibm3624_offset(keys["pvk_ibm"], pin="852036", **account)[-4:]
    assert verdict is await hsm.verify_pin(
        Ibm3624(ref("pvk_ibm", keys["pvk_ibm"]), offset, **account),
        zone_key=ref("zpk", keys["zpk"]),
        pin_block=pvv_block(keys, pin),
        pin_block_format=ISO_0,
        pan=PAN,
    )


#: format and clear PIN field before the PAN is XORed over it, each with one thing wrong
UNREADABLE = [
    pytest.param(ISO_0, "141234FFFFFFFFFF", id="format 1 where 0 is said"),
    pytest.param(ISO_0, "341234FFFFFFFFFF", id="format 3 where 0 is said"),
    pytest.param(ISO_0, "03123FFFFFFFFFFF", id="three digits"),
    pytest.param(ISO_0, "0D1234567890123F", id="thirteen digits"),
    pytest.param(ISO_0, "0012345678901234", id="no length"),
    pytest.param(ISO_0, "0412A4FFFFFFFFFF", id="a letter in the PIN"),
    pytest.param(ISO_0, "041234FFFFFFFFF0", id="fill that is not F"),
    pytest.param(ISO_3, "041234FFFFFFFFFF", id="format 0 where 3 is said"),
    pytest.param(ISO_3, "341234ABCDEFABC0", id="fill that is a digit"),
    pytest.param(ISO_0, "041234FFFFFFFF",   id="seven bytes"),
    pytest.param(ISO_0, "",                 id="nothing"),
]  # fmt: skip


@pytest.mark.parametrize(("pin_block_format", "field"), UNREADABLE)
async def test_what_is_no_pin_block_is_unreadable(
    pin_block_format: PinBlockFormat, field: str, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A block that does not decode is unreadable, neither a wrong PIN nor a fault."""
    whole = len(field) == 16
    assert Verdict.UNREADABLE is await hsm.verify_pin(
        VisaPvv(ref("pvk", keys["pvk"]), "1", "0385"),
        zone_key=ref("zpk", keys["zpk"]),
        pin_block=enciphered(keys, field) if whole else bytes.fromhex(field),
        pin_block_format=pin_block_format,
        pan=PAN,
    )


@pytest.mark.parametrize("pin_block_format", [ISO_0, ISO_3, ISO_4])
async def test_another_cards_block_is_not_read(
    pin_block_format: PinBlockFormat, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A block of formats 0, 3 and 4 is bound to its PAN: under another it does not match."""
    zone = "zpk_aes" if pin_block_format is ISO_4 else "zpk"
    verdict = await hsm.verify_pin(
        VisaPvv(ref("pvk", keys["pvk"]), "1", "0385"),
        zone_key=ref(zone, keys[zone]),
        pin_block=pvv_block(keys, "1234", pin_block_format),
        pin_block_format=pin_block_format,
        pan="4761739999999982",
    )
    assert Verdict.MATCH is not verdict


async def test_a_stale_zone_key_gives_unreadable_blocks(
    keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """Nearly every block under another zone key is unreadable, so that it costs no PIN try."""
    stale = make_key("P0", "00112233445566778899AABBCCDDEEFF")
    verdicts = [
        await hsm.verify_pin(
            VisaPvv(ref("pvk", keys["pvk"]), "1", "0385"),
            zone_key=ref("zpk", keys["zpk"]),
            pin_block=issuing.pin_block(stale, pin_block_format=ISO_0, pin=f"{pin:04}", pan=PAN),
            pin_block_format=ISO_0,
            pan=PAN,
        )
        for pin in range(200)
    ]
    assert {Verdict.UNREADABLE} == set(verdicts)


@pytest.mark.parametrize("scheme", [CVN_10, CVN_18])
async def test_a_wrong_cryptogram_is_not_answered(
    scheme: CryptogramScheme, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A cryptogram over other data, or cut short, is a mismatch and has no ARPC."""
    arqc = issuing.arqc(
        keys["imk_ac"], scheme, pan=PAN, pan_sequence_number="01", atc=b"\0\1", data=bytes(16)
    )
    arpc_data = b"00" if scheme.arpc is ArpcMethod.METHOD_1 else bytes(4)
    for data, given in ((b"\1" + bytes(15), arqc), (bytes(16), arqc[:4]), (bytes(16), b"")):
        answer = await hsm.verify_arqc(
            ref("imk_ac", keys["imk_ac"]),
            Cryptogram(scheme, PAN, "01", b"\0\1", data, given),
            arpc_data=arpc_data,
        )
        assert ArqcAnswer(Verdict.MISMATCH) == answer


@pytest.mark.parametrize("length", [0, 1, 3, 9])
async def test_a_mac_of_another_length_is_a_mismatch(
    length: int, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """Less than four bytes of a MAC prove nothing; more than there are cannot match."""
    zak = ref("zak", keys["zak"])
    mac = await hsm.mac(zak, b"0800", algorithm=MacAlgorithm.ISO9797_3)
    assert Verdict.MISMATCH is await hsm.verify_mac(
        zak, b"0800", (mac + b"\0")[:length], algorithm=MacAlgorithm.ISO9797_3
    )


Question = Callable[[SoftwareHsm, KeyRef], Awaitable[object]]

#: the key that each question needs, and the question
QUESTIONS: dict[str, Question] = {
    "cvk": lambda hsm, key: hsm.verify_card_code(
        key, CardVerificationValue("3012", "201"), pan=PAN, code="625"
    ),
    "pvk": lambda hsm, key: hsm.verify_pin(
        VisaPvv(key, "1", "0385"),
        zone_key=KeyRef("zpk", "5CA55B"), pin_block=bytes(8), pin_block_format=ISO_0, pan=PAN,
    ),
    "pvk_ibm": lambda hsm, key: hsm.verify_pin(
        Ibm3624(key, "6727", "0123456789012345", "739000000021FFFF"),
        zone_key=KeyRef("zpk", "5CA55B"), pin_block=bytes(8), pin_block_format=ISO_0, pan=PAN,
    ),
    "zpk": lambda hsm, key: hsm.verify_pin(
        VisaPvv(KeyRef("pvk", "C182E5"), "1", "0385"),
        zone_key=key, pin_block=bytes(8), pin_block_format=ISO_0, pan=PAN,
    ),
    "zpk_aes": lambda hsm, key: hsm.verify_pin(
        VisaPvv(KeyRef("pvk", "C182E5"), "1", "0385"),
        zone_key=key, pin_block=bytes(16), pin_block_format=ISO_4, pan=PAN,
    ),
    "imk_ac": lambda hsm, key: hsm.verify_arqc(
        key, Cryptogram(CVN_10, PAN, "01", b"\0\1", bytes(16), bytes(8)), arpc_data=b"00"
    ),
    "zak": lambda hsm, key: hsm.mac(key, b"0800", algorithm=MacAlgorithm.ISO9797_3),
}  # fmt: skip


@pytest.mark.parametrize("needed", QUESTIONS)
async def test_a_key_answers_its_own_question_only(
    needed: str, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A key of another usage is refused, whatever the operation: no key does two things."""
    await QUESTIONS[needed](hsm, ref(needed, keys[needed]))
    for other in keys.keys() - {needed}:
        with pytest.raises(HsmRejected, match="not to be used for"):
            await QUESTIONS[needed](hsm, ref(other, keys[other]))


@pytest.mark.parametrize(("usage", "mode"), [("C0", "G"), ("V2", "G"), ("E0", "V"), ("P0", "E")])
async def test_a_key_is_kept_to_its_mode_of_use(usage: str, mode: str) -> None:
    """A key that may only generate or encrypt does not verify."""
    names = {"C0": "cvk", "V2": "pvk", "E0": "imk_ac", "P0": "zpk"}
    key = make_key(usage, "5B37C8D9E0A4F2168C73DA29B5E60E4A", mode=mode)
    others = {"pvk": make_key("V2", "32EF49C2708AB51F6DC8A7430E9B2F58"),
              "zpk": make_key("P0", "5B37C8D9E0A4F2168C73DA29B5E60E4A")}  # fmt: skip
    name = names[usage]
    with pytest.raises(HsmRejected, match="not to be used for"):
        await QUESTIONS[name](SoftwareHsm(others | {name: key}), ref(name, key))


async def test_a_key_with_another_check_value_is_refused(
    keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A pinned check value that differs is refused at start and at every question."""
    for wrong in (KeyRef("cvk", "000000"), KeyRef("nothing", "BA6A21"), KeyRef("cvk", "")):
        with pytest.raises(HsmRejected):
            hsm.check(wrong, "C0")
        with pytest.raises(HsmRejected):
            await QUESTIONS["cvk"](hsm, wrong)
    hsm.check(KeyRef("cvk", "ba6a21"), "C0")
    hsm.check(KeyRef("zpk_aes", "270389"), "P0")
    hsm.check(KeyRef("zpk_aes", "270389F4B0"), "K0", "P0")
    with pytest.raises(HsmRejected, match="C0, not V2"):
        hsm.check(KeyRef("cvk", "BA6A21"), "V2")


def test_a_triple_length_card_key_is_refused_at_start() -> None:
    """A key that the formula is not defined for is named when it is prepared."""
    with pytest.raises(HsmRejected, match="'cvk': a double-length"):
        SoftwareHsm({"cvk": make_key("C0", bytes(range(24)).hex())})


@pytest.mark.parametrize("method", ArpcMethod)
async def test_arpc_data_is_of_its_methods_length(
    method: ArpcMethod, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """Method 1 takes two bytes, method 2 four to twelve; anything else is refused."""
    scheme = CryptogramScheme(CardKeyDerivation.OPTION_A, SessionKeyDerivation.NONE, method)
    question = Cryptogram(scheme, PAN, "01", b"\0\1", bytes(16), bytes(8))
    for length in {ArpcMethod.METHOD_1: (0, 1, 3), ArpcMethod.METHOD_2: (0, 3, 13)}[method]:
        with pytest.raises(HsmRejected, match="arpc_data"):
            await hsm.verify_arqc(ref("imk_ac", keys["imk_ac"]), question, arpc_data=bytes(length))


async def test_a_closed_hsm_is_unavailable(keys: dict[str, Key]) -> None:
    """After it is closed an HSM is unavailable, which is never a mismatch."""
    hsm = SoftwareHsm(keys)
    await hsm.ping()
    await hsm.close()
    with pytest.raises(HsmUnavailable):
        await hsm.ping()
    for name, ask in QUESTIONS.items():
        with pytest.raises(HsmUnavailable):
            await ask(hsm, ref(name, keys[name]))


@pytest.mark.parametrize("length", [1, 7, 9])
def test_part_of_a_block_does_not_spoil_the_next(length: int) -> None:
    """A reused context refuses part of a block and answers the next one right."""
    encrypt = tdes.encryptor(bytes(16))
    before = encrypt(bytes(8))
    with pytest.raises(ValueError, match="whole blocks"):
        encrypt(bytes(length))
    assert before == encrypt(bytes(8))


@pytest.mark.parametrize(
    ("table", "is_taken"),
    [
        ("0123456789012345", True),
        ("0000111122223456", False),
        ("0123456701234567", True),
        ("0123456777777777", False),
        ("0000000000000000", False),
        ("012345678901234", False),
        ("012345678901234A", False),
    ],
)
async def test_a_weak_decimalization_table_is_refused(
    table: str, is_taken: bool, keys: dict[str, Key], hsm: SoftwareHsm
) -> None:
    """A table of fewer than eight digits, or with one more than four times, is no table."""
    asked = Ibm3624(ref("pvk_ibm", keys["pvk_ibm"]), "6727", table, "739000000021FFFF")
    refused = contextlib.nullcontext() if is_taken else pytest.raises(HsmRejected, match="table")
    with refused:
        await hsm.verify_pin(
            asked,
            zone_key=ref("zpk", keys["zpk"]),
            pin_block=pvv_block(keys, "1234"),
            pin_block_format=ISO_0,
            pan=PAN,
        )
