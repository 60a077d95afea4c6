"""Right and wrong, of every operation."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from keys.aws import AwsHsm
from keys.hsm import (
    AmexCsc,
    CardCode,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    Cvc3,
    HsmRejected,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    Verdict,
    VisaPvv,
)
from tests.contract.keys import REFS
from tests.hsm_aws import cards, formulas
from tests.hsm_aws.cards import PAN, PIN
from tests.hsm_aws.rig import Rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORMATS = list(PinBlockFormat)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hsm(planes: Rig) -> AsyncIterator[AwsHsm]:
    """One backend for the page: nothing on it hurts the planes."""
    opened = planes.backend()
    await opened.open()
    yield opened
    await opened.close()


@pytest.mark.parametrize("name", cards.CODES)
async def test_card_codes(hsm: AwsHsm, name: str) -> None:
    """A right card code matches; with another digit, or another PAN, it does not."""
    key, of, pan, code = cards.CODES[name]
    wrong = cards.changed(code)
    other_pan = f"{pan[:8]}{cards.changed(pan[8])}{pan[9:]}"
    assert Verdict.MATCH is await hsm.verify_card_code(REFS[key], of, pan=pan, code=code)
    assert Verdict.MISMATCH is await hsm.verify_card_code(REFS[key], of, pan=pan, code=wrong)
    assert Verdict.MISMATCH is await hsm.verify_card_code(REFS[key], of, pan=other_pan, code=code)


async def test_cvv_like_words_of_a_cavv(hsm: AwsHsm) -> None:
    """A CAVV is a CVV over four digits of its number and the results of the authentication."""
    code = formulas.cvv(cards.material("cvk"), PAN, "4321", "017")
    of = CardVerificationValue("4321", "017")
    assert Verdict.MATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=PAN, code=code)


@pytest.mark.parametrize("code", ["", "12", "1234", "12a", "１２３"])
async def test_code_without_form(hsm: AwsHsm, planes: Rig, code: str) -> None:
    """What is no code is a mismatch, and nobody is asked."""
    planes.data.asked.clear()
    of = CardVerificationValue("2912", "201")
    assert Verdict.MISMATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=PAN, code=code)
    assert planes.data.asked == []


async def test_wrong_uses(hsm: AwsHsm) -> None:
    """A key is refused for anything but its TR-31 usage, by its name."""
    static = CardVerificationValue("2912", "201")
    uses: list[tuple[str, CardCode]] = [
        ("pvk", static),
        ("cvk", Cvc3("01", bytes(2), bytes(4), bytes(8))),
        ("imk_ac", AmexCsc(1, "2912")),
    ]
    for key, of in uses:
        with pytest.raises(HsmRejected, match=f"key '{key}': not to be used for"):
            await hsm.verify_card_code(REFS[key], of, pan=PAN, code="123")


@pytest.mark.parametrize("length", range(4, 13))
@pytest.mark.parametrize("pin_block_format", FORMATS)
async def test_visa_pvv(hsm: AwsHsm, pin_block_format: PinBlockFormat, length: int) -> None:
    """A PIN of four to twelve digits matches its PVV in every format; another does not."""
    pin = "427193850617"[:length]
    wrong = f"5{pin[1:]}"
    for given, verdict in [(pin, Verdict.MATCH), (wrong, Verdict.MISMATCH)]:
        assert verdict is await hsm.verify_pin(
            cards.visa_reference(pin),
            zone_key=REFS[cards.zone_of(pin_block_format)],
            pin_block=cards.pin_block(pin_block_format, given),
            pin_block_format=pin_block_format,
            pan=PAN,
        )


@pytest.mark.parametrize("length", range(4, 13))
async def test_ibm_3624(hsm: AwsHsm, length: int) -> None:
    """A PIN of four to twelve digits matches its offset; another does not."""
    pin = "427193850617"[:length]
    wrong = cards.changed(pin)
    for given, verdict in [(pin, Verdict.MATCH), (wrong, Verdict.MISMATCH)]:
        assert verdict is await hsm.verify_pin(
            cards.ibm_reference(pin),
            zone_key=REFS["zpk"],
            pin_block=cards.pin_block(PinBlockFormat.ISO_0, given),
            pin_block_format=PinBlockFormat.ISO_0,
            pan=PAN,
        )


@pytest.mark.parametrize("data", ["4000123456789017", "40001234567DDDDD", "4000FFFFFFFFFFFF"])
async def test_ibm_3624_validation_data(hsm: AwsHsm, planes: Rig, data: str) -> None:
    """Validation data goes as its digits and the letter that fills them up."""
    planes.data.asked.clear()
    assert Verdict.MATCH is await hsm.verify_pin(
        cards.ibm_reference(data=data),
        zone_key=REFS["zpk"],
        pin_block=cards.pin_block(PinBlockFormat.ISO_3),
        pin_block_format=PinBlockFormat.ISO_3,
        pan=PAN,
    )
    ((_, request),) = [r for r in planes.data.asked if r[0] == "VerifyPinData"]
    words = request["VerificationAttributes"]["Ibm3624Pin"]
    filled = words["PinValidationData"].ljust(16, words["PinValidationDataPadCharacter"])
    assert data == filled
    assert 4 == request["PinDataLength"]


@pytest.mark.parametrize("data", ["400A1234567DDDDD", "40001234567DDDDE", "123ABCDEFABCDEFA", ""])
async def test_ibm_3624_validation_data_that_cannot_be_said(hsm: AwsHsm, data: str) -> None:
    """Validation data that is no run of digits filled with one letter is refused, unshown."""
    reference = Ibm3624(REFS["pvk_ibm"], "1234", cards.TABLE, data)
    with pytest.raises(HsmRejected, match=r"^validation_data: 4 to 16 digits"):
        await hsm.verify_pin(
            reference,
            zone_key=REFS["zpk"],
            pin_block=bytes(8),
            pin_block_format=PinBlockFormat.ISO_0,
            pan=PAN,
        )


async def test_pvki_7(hsm: AwsHsm) -> None:
    """A PIN verification key index above 6 is refused before anybody is asked."""
    with pytest.raises(HsmRejected, match=r"^pvki: "):
        await hsm.verify_pin(
            VisaPvv(REFS["pvk"], "7", "1234"),
            zone_key=REFS["zpk"],
            pin_block=bytes(8),
            pin_block_format=PinBlockFormat.ISO_0,
            pan=PAN,
        )


@pytest.mark.parametrize("to_format", FORMATS)
@pytest.mark.parametrize("from_format", FORMATS)
async def test_translation(
    hsm: AwsHsm, planes: Rig, from_format: PinBlockFormat, to_format: PinBlockFormat
) -> None:
    """A PIN block is the same PIN's in another zone, but one bound to a PAN never gets into 1."""
    to_zone = "zpk_aes" if to_format is PinBlockFormat.ISO_4 else "zpk_next"
    planes.data.asked.clear()
    asked = hsm.translate_pin(
        from_key=REFS[cards.zone_of(from_format)],
        from_format=from_format,
        to_key=REFS[to_zone],
        to_format=to_format,
        pin_block=cards.pin_block(from_format),
        pan=PAN,
    )
    if to_format is PinBlockFormat.ISO_1 and from_format is not PinBlockFormat.ISO_1:
        with pytest.raises(HsmRejected, match="stays bound"):
            await asked
        assert planes.data.asked == []
        return
    key = cards.material(to_zone)
    name = to_format.value[-1]
    assert PIN == formulas.decipher_pin_block(key, name, await asked, PAN)


async def test_translation_of_no_pin_block(hsm: AwsHsm) -> None:
    """What is no PIN block is refused, and so is one of another size."""
    for block in (bytes(8), bytes(16)):
        with pytest.raises(HsmRejected):
            await hsm.translate_pin(
                from_key=REFS["zpk"],
                from_format=PinBlockFormat.ISO_0,
                to_key=REFS["zpk_next"],
                to_format=PinBlockFormat.ISO_0,
                pin_block=block,
                pan=PAN,
            )


@pytest.mark.parametrize("pan", [PAN, f"{PAN}301"])
@pytest.mark.parametrize("scheme", cards.SCHEMES)
async def test_cryptograms(hsm: AwsHsm, scheme: CryptogramScheme, pan: str) -> None:
    """A right cryptogram gets its ARPC, by every scheme; a wrong one gets none."""
    made, arpc_data, arpc = cards.cryptogram(scheme, pan)
    answer = await hsm.verify_arqc(REFS["imk_ac"], made, arpc_data=arpc_data)
    assert (Verdict.MATCH, arpc) == (answer.verdict, answer.arpc)
    other = replace(made, data=bytes(8) + made.data[8:], arqc=made.arqc[::-1])
    answer = await hsm.verify_arqc(REFS["imk_ac"], other, arpc_data=arpc_data)
    assert (Verdict.MISMATCH, None) == (answer.verdict, answer.arpc)


async def test_cryptogram_of_another_length(hsm: AwsHsm, planes: Rig) -> None:
    """What is no cryptogram is a mismatch, and nobody is asked."""
    made, arpc_data, _ = cards.cryptogram(cards.SCHEMES[0])
    planes.data.asked.clear()
    for arqc in (b"", made.arqc[:4], made.arqc + b"\0"):
        cut = replace(made, arqc=arqc)
        answer = await hsm.verify_arqc(REFS["imk_ac"], cut, arpc_data=arpc_data)
        assert (Verdict.MISMATCH, None) == (answer.verdict, answer.arpc)
    assert planes.data.asked == []


async def test_published_cryptogram() -> None:
    """The simulator's cryptogram is the one that AWS's guide prints for CVN 18."""
    vectors = json.loads((Path(__file__).parents[1] / "keys" / "vectors.json").read_text("utf-8"))
    (vector,) = [v for v in vectors["vectors"] if v["name"] == "aws-visa-CVN18"]
    words = vector["inputs"]
    card_key = formulas.card_key(bytes.fromhex(words["imk_ac"]), "A", words["pan"], words["psn"])
    key, _ = formulas.session_keys("EmvCommon", card_key, bytes.fromhex(words["atc"]), b"")
    arqc = formulas.application_cryptogram(key, bytes.fromhex(words["txn_data"]))
    assert vector["outputs"]["arqc"] == arqc.hex().upper()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("atc", {"atc": b"1"}),
        ("data", {"data": bytes(7)}),
        ("data", {"data": bytes(520)}),
        ("pan", {"pan": "4000"}),
        ("unpredictable_number", {"unpredictable_number": b""}),
    ],
)
async def test_cryptogram_without_form(hsm: AwsHsm, field: str, change: dict[str, Any]) -> None:
    """A field of another shape is refused by its name."""
    made: Cryptogram = cards.cryptogram(cards.SCHEMES[4])[0]
    with pytest.raises(HsmRejected, match=f"^{field}: "):
        await hsm.verify_arqc(REFS["imk_ac"], replace(made, **change), arpc_data=b"00")


MACS = {
    MacAlgorithm.ISO9797_1: ("mak_1", formulas.iso9797_1),
    MacAlgorithm.ISO9797_3: ("zak", formulas.iso9797_3),
    MacAlgorithm.AES_CMAC: ("mak_aes", lambda key, data: formulas.cmac(key, data, "A")),
    MacAlgorithm.TDES_CMAC: ("mak_tdes", lambda key, data: formulas.cmac(key, data, "T")),
}


@pytest.mark.parametrize("length", [1, 7, 8, 9, 300])
@pytest.mark.parametrize("algorithm", MACS)
async def test_macs(hsm: AwsHsm, algorithm: MacAlgorithm, length: int) -> None:
    """A MAC is whole when made; it matches whole and cut down to four bytes, not to three."""
    name, compute = MACS[algorithm]
    data = bytes(range(1, 256)) + bytes(45)
    data = data[:length]
    whole = compute(cards.material(name), data)
    assert whole == await hsm.mac(REFS[name], data, algorithm=algorithm)
    for size in range(4, len(whole) + 1):
        given = whole[:size]
        wrong = given[:-1] + bytes([given[-1] ^ 1])
        verify = hsm.verify_mac
        assert Verdict.MATCH is await verify(REFS[name], data, given, algorithm=algorithm)
        assert Verdict.MISMATCH is await verify(REFS[name], data, wrong, algorithm=algorithm)
    for given in (whole[:3], b"", whole + b"\0"):
        assert Verdict.MISMATCH is await hsm.verify_mac(
            REFS[name], data, given, algorithm=algorithm
        )


async def test_mac_of_too_much(hsm: AwsHsm) -> None:
    """A message of more than 4096 bytes is refused before anybody is asked."""
    with pytest.raises(HsmRejected, match=r"^data: 1 to 4096 bytes"):
        await hsm.mac(REFS["zak"], bytes(4097), algorithm=MacAlgorithm.ISO9797_3)
