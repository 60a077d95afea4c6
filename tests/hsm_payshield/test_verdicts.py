"""Every command, right and wrong, under both kinds of LMK; psec and pyemv say what is right."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psec
import pytest
from pyemv import ac, kd

from keys.hsm import (
    AmexCsc,
    ArpcMethod,
    ArqcAnswer,
    Capability,
    CardKeyDerivation,
    CardVerificationValue,
    Cryptogram,
    CryptogramScheme,
    HsmRejected,
    Ibm3624,
    MacAlgorithm,
    PinBlockFormat,
    SessionKeyDerivation,
    Verdict,
    VisaPvv,
)
from keys.payshield import PayShieldHsm
from tests.contract.keys import KEYS, REFS
from tests.hsm_payshield import support
from tests.hsm_payshield.lmk import wrap_as
from tests.hsm_payshield.peer import Peer
from tests.hsm_payshield.request import encode_pin

PAN = "4540001234567890"
LONG_PAN = "6304000123456789012"
PIN = "73914"
TABLE = "0123456789012345"
MATCH, MISMATCH, UNREADABLE = Verdict.MATCH, Verdict.MISMATCH, Verdict.UNREADABLE
ISO_0, ISO_1, ISO_3, ISO_4 = PinBlockFormat
CODES = {ISO_0: "01", ISO_1: "05", ISO_3: "47"}


@pytest.fixture(params=["variant", "key-block"])
async def hsm(request: pytest.FixtureRequest) -> AsyncIterator[PayShieldHsm]:
    """The backend under each kind of LMK."""
    has_blocks = request.param == "key-block"
    async with support.opened(Peer(has_key_blocks=has_blocks, lmk_id="01" * has_blocks)) as opened:
        yield opened


def clear(name: str) -> bytes:
    """A test key in clear."""
    return KEYS[name].material


def block(pin: str, block_format: PinBlockFormat, key: str = "zpk", pan: str = PAN) -> bytes:
    """An enciphered PIN block."""
    return encode_pin(clear(key), pin, CODES[block_format], pan[-13:-1])


def offset(pin: str, check: int) -> Ibm3624:
    """The IBM reference of a PIN, its last `check` digits checked."""
    account = PAN[-13:-1]
    whole = psec.pin.generate_ibm3624_offset(clear("pvk_ibm"), TABLE, pin, account, 0, 12, "F")
    return Ibm3624(REFS["pvk_ibm"], whole[-check:], TABLE, f"{account}FFFF")


def pvv(pin: str) -> VisaPvv:
    """The Visa reference of a PIN."""
    return VisaPvv(REFS["pvk"], "3", psec.pin.generate_visa_pvv(clear("pvk"), "3", pin[:4], PAN))


@pytest.mark.parametrize("service_code", ["101", "000", "999"])
@pytest.mark.parametrize("pan", [PAN, LONG_PAN, "454000123456"])
async def test_card_code(hsm: PayShieldHsm, pan: str, service_code: str) -> None:
    """A CVV, CVV2 or iCVV is right or wrong; what is not three digits is wrong, unasked."""
    of = CardVerificationValue("2709", service_code)
    right = psec.cvv.generate_cvv(clear("cvk"), pan, of.expiry, of.service_code)
    wrong = f"{(int(right) + 1) % 1000:03d}"
    assert MATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=right)
    assert MISMATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=wrong)
    for nonsense in ("", "12", "1234", "12;", "٣٣٣"):
        assert MISMATCH is await hsm.verify_card_code(REFS["cvk"], of, pan=pan, code=nonsense)


@pytest.mark.parametrize("block_format", CODES)
async def test_pvv(hsm: PayShieldHsm, block_format: PinBlockFormat) -> None:
    """A PIN has its Visa verification value, another has not, in every format offered."""
    for pin, expected in ((PIN, MATCH), ("7392", MISMATCH)):
        verdict = await hsm.verify_pin(
            pvv(PIN),
            zone_key=REFS["zpk"],
            pin_block=block(pin, block_format),
            pin_block_format=block_format,
            pan=PAN,
        )
        assert expected is verdict


@pytest.mark.parametrize("block_format", CODES)
@pytest.mark.parametrize("check", [4, 5])
async def test_ibm_offset(hsm: PayShieldHsm, block_format: PinBlockFormat, check: int) -> None:
    """A PIN has its IBM offset, which a warning of the double-length PVK does not hide; another
    PIN, and one shorter than the offset, have not.
    """
    short = MISMATCH if check == 5 else None
    for pin, expected in ((PIN, MATCH), ("73915", MISMATCH), ("7391", short)):
        if expected is not None:
            verdict = await hsm.verify_pin(
                offset(PIN, check),
                zone_key=REFS["zpk"],
                pin_block=block(pin, block_format),
                pin_block_format=block_format,
                pan=PAN,
            )
            assert expected is verdict


async def test_unreadable_pin_block(hsm: PayShieldHsm) -> None:
    """A block under a stale zone key, of another format or length is unreadable: no wrong PIN."""
    stale = block(PIN, ISO_0, key="zpk_next")
    for reference in (pvv(PIN), offset(PIN, 4)):
        for pin_block in (stale, block(PIN, ISO_3), bytes(8), bytes(16), b""):
            verdict = await hsm.verify_pin(
                reference,
                zone_key=REFS["zpk"],
                pin_block=pin_block,
                pin_block_format=ISO_0,
                pan=PAN,
            )
            assert UNREADABLE is verdict


async def test_validation_data_without_the_account_are_refused(hsm: PayShieldHsm) -> None:
    """An IBM reference that the HSM cannot be given is refused as configuration."""
    reference = Ibm3624(REFS["pvk_ibm"], "1234", TABLE, "0000000000000000")
    with pytest.raises(HsmRejected, match="validation_data"):
        await hsm.verify_pin(
            reference,
            zone_key=REFS["zpk"],
            pin_block=block(PIN, ISO_0),
            pin_block_format=ISO_0,
            pan=PAN,
        )


async def test_lopsided_decimalization_table_is_refused(hsm: PayShieldHsm) -> None:
    """A table that would give PINs away is refused, and that is configuration."""
    reference = Ibm3624(REFS["pvk_ibm"], "1234", "0" * 16, f"{PAN[-13:-1]}FFFF")
    with pytest.raises(HsmRejected, match="decimalization_table"):
        await hsm.verify_pin(
            reference,
            zone_key=REFS["zpk"],
            pin_block=block(PIN, ISO_0),
            pin_block_format=ISO_0,
            pan=PAN,
        )


@pytest.mark.parametrize("from_format", CODES)
@pytest.mark.parametrize("to_format", CODES)
async def test_translation(
    hsm: PayShieldHsm, from_format: PinBlockFormat, to_format: PinBlockFormat
) -> None:
    """A PIN is the same under another zone's key; never from a bound format into format 1."""
    pin_block = block(PIN, from_format)
    asked = hsm.translate_pin(
        from_key=REFS["zpk"],
        from_format=from_format,
        to_key=REFS["zpk_next"],
        to_format=to_format,
        pin_block=pin_block,
        pan=PAN,
    )
    if to_format is ISO_1 and from_format is not ISO_1:
        with pytest.raises(HsmRejected, match="to_format"):
            await asked
        return
    verdict = await hsm.verify_pin(
        pvv(PIN),
        zone_key=REFS["zpk_next"],
        pin_block=await asked,
        pin_block_format=to_format,
        pan=PAN,
    )
    assert MATCH is verdict


async def test_unreadable_block_is_not_translated(hsm: PayShieldHsm) -> None:
    """A block that cannot be read is refused."""
    for pin_block in (block(PIN, ISO_0, key="zpk_next"), b"short"):
        with pytest.raises(HsmRejected, match="cannot be read under from_key"):
            await hsm.translate_pin(
                from_key=REFS["zpk"],
                from_format=ISO_0,
                to_key=REFS["zpk_next"],
                to_format=ISO_3,
                pin_block=pin_block,
                pan=PAN,
            )


def card_key(option: CardKeyDerivation, pan: str) -> bytes:
    """A card's key by pyemv."""
    derive = kd.derive_icc_mk_a if option is CardKeyDerivation.OPTION_A else kd.derive_icc_mk_b
    return bytes(derive(clear("imk_ac"), pan, "01"))


ATC, NUMBER, ARC, CSU = b"\x12\x34", bytes.fromhex("C2C6A091"), b"00", bytes.fromhex("00820000")
DATA = bytes.fromhex("00000000000000000000000009780000000000097820121431C2C6A0915800123480")
A, B = CardKeyDerivation
NONE, COMMON, MASTERCARD, EMV_2000 = SessionKeyDerivation
ARPC_1, ARPC_2 = ArpcMethod


def cryptogram(scheme: CryptogramScheme, pan: str, key: bytes) -> Cryptogram:
    """A cryptogram by pyemv, over data that are padded already."""
    data = DATA + bytes(-len(DATA) % 8)
    arqc = bytes(ac.generate_ac(key, data, ac.PaddingType.VISA))
    return Cryptogram(scheme, pan, "01", ATC, data, arqc, NUMBER)


async def compare(hsm: PayShieldHsm, right: Cryptogram, arpc_data: bytes, expected: bytes) -> None:
    """The right cryptogram is answered as expected, one changed in any part has no answer."""
    asked = await hsm.verify_arqc(REFS["imk_ac"], right, arpc_data=arpc_data)
    assert ArqcAnswer(MATCH, expected) == asked
    changed = Cryptogram(right.scheme, right.pan, "02", right.atc, right.data, right.arqc, NUMBER)
    cut = Cryptogram(right.scheme, right.pan, "01", right.atc, right.data, right.arqc[:4], NUMBER)
    for wrong in (changed, cut):
        asked = await hsm.verify_arqc(REFS["imk_ac"], wrong, arpc_data=arpc_data)
        assert ArqcAnswer(MISMATCH) == asked


@pytest.mark.parametrize("pan", [PAN, LONG_PAN])
async def test_arqc_under_the_card_key(hsm: PayShieldHsm, pan: str) -> None:
    """Visa CVN 10: cryptogram and answer are under the card's key."""
    key = card_key(A, pan)
    right = cryptogram(CryptogramScheme(A, NONE, ARPC_1), pan, key)
    await compare(hsm, right, ARC, ac.generate_arpc_1(key, right.arqc, ARC))


async def test_arqc_under_mchip_session_key(hsm: PayShieldHsm) -> None:
    """M/Chip CVN 16 and 17: a session key of ATC and number, but an answer under the card's key."""
    key = card_key(A, PAN)
    session = kd.derive_common_sk(key, ATC + bytes(2) + NUMBER)
    right = cryptogram(CryptogramScheme(A, MASTERCARD, ARPC_1), PAN, session)
    await compare(hsm, right, ARC, ac.generate_arpc_1(key, right.arqc, ARC))


@pytest.mark.parametrize("option", [A, B])
@pytest.mark.parametrize("pan", [PAN, LONG_PAN, "63040001234567890"])
async def test_arqc_under_common_session_key(
    hsm: PayShieldHsm, option: CardKeyDerivation, pan: str
) -> None:
    """EMV common: both card key options and both methods, the answer under the session key."""
    session = kd.derive_common_sk(card_key(option, pan), ATC + bytes(6))
    right = cryptogram(CryptogramScheme(option, COMMON, ARPC_1), pan, session)
    await compare(hsm, right, ARC, ac.generate_arpc_1(session, right.arqc, ARC))
    right = cryptogram(CryptogramScheme(option, COMMON, ARPC_2), pan, session)
    for proprietary in (b"", b"\x80", bytes(range(8))):
        expected = ac.generate_arpc_2(session, right.arqc, CSU, proprietary)
        await compare(hsm, right, CSU + proprietary, expected)


@pytest.mark.parametrize(
    ("scheme", "number", "arpc_data", "data"),
    [
        (CryptogramScheme(A, EMV_2000, ARPC_1), NUMBER, ARC, bytes(8)),
        (CryptogramScheme(A, NONE, ARPC_2), NUMBER, CSU, bytes(8)),
        (CryptogramScheme(B, MASTERCARD, ARPC_1), NUMBER, ARC, bytes(8)),
        (CryptogramScheme(A, MASTERCARD, ARPC_1), b"", ARC, bytes(8)),
        (CryptogramScheme(A, COMMON, ARPC_1), NUMBER, CSU, bytes(8)),
        (CryptogramScheme(A, COMMON, ARPC_1), NUMBER, ARC, bytes(7)),
        (CryptogramScheme(A, COMMON, ARPC_1), NUMBER, ARC, b""),
        (CryptogramScheme(A, COMMON, ARPC_1), NUMBER, ARC, bytes(256)),
    ],
)
async def test_cryptogram_that_no_command_takes(
    hsm: PayShieldHsm, scheme: CryptogramScheme, number: bytes, arpc_data: bytes, data: bytes
) -> None:
    """Schemes that no command has, and malformed fields, are refused before anything is sent."""
    asked = Cryptogram(scheme, LONG_PAN, "01", ATC, data, bytes(8), number)
    with pytest.raises(HsmRejected):
        await hsm.verify_arqc(REFS["imk_ac"], asked, arpc_data=arpc_data)


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 8])
@pytest.mark.parametrize("algorithm", [MacAlgorithm.ISO9797_1, MacAlgorithm.ISO9797_3])
async def test_mac(hsm: PayShieldHsm, algorithm: MacAlgorithm, data: bytes) -> None:
    """A MAC is made whole and compared cut, but not below four bytes nor above eight."""
    padded = data or bytes(8)
    if algorithm is MacAlgorithm.ISO9797_1:
        ref, expected = REFS["mak_1"], psec.mac.generate_cbc_mac(clear("mak_1"), padded, 1)
    else:
        key = clear("zak")
        ref, expected = REFS["zak"], psec.mac.generate_retail_mac(key[:8], key[8:], padded, 1)
    assert expected == await hsm.mac(ref, data, algorithm=algorithm)
    for size in range(4, 9):
        right = expected[:size]
        wrong = right[:-1] + bytes([right[-1] ^ 1])
        assert MATCH is await hsm.verify_mac(ref, data, right, algorithm=algorithm)
        assert MISMATCH is await hsm.verify_mac(ref, data, wrong, algorithm=algorithm)
    for mac in (b"", expected[:3], expected + b"\0"):
        assert MISMATCH is await hsm.verify_mac(ref, data, mac, algorithm=algorithm)


async def test_what_it_cannot_do_is_refused(hsm: PayShieldHsm) -> None:
    """What is not among its capabilities is refused and not tried."""
    assert not hsm.capabilities & {
        Capability.PIN_ISO_4,
        Capability.AMEX_CSC_1,
        Capability.MAC_AES_CMAC,
        Capability.MAC_TDES_CMAC,
        Capability.ARQC_EMV_2000,
    }
    with pytest.raises(HsmRejected, match="pin_block_format"):
        await hsm.verify_pin(
            pvv(PIN),
            zone_key=REFS["zpk"],
            pin_block=bytes(16),
            pin_block_format=ISO_4,
            pan=PAN,
        )
    with pytest.raises(HsmRejected, match="algorithm"):
        await hsm.mac(REFS["mak_1"], b"", algorithm=MacAlgorithm.AES_CMAC)
    with pytest.raises(HsmRejected, match="card code"):
        await hsm.verify_card_code(REFS["csck"], AmexCsc(1, "2709"), pan=PAN, code="123")


async def test_a_key_is_used_for_its_usage_alone(hsm: PayShieldHsm) -> None:
    """A key of another usage, name or check value is refused by its name."""
    with pytest.raises(HsmRejected, match="'zpk': is P0, not C0"):
        hsm.check(REFS["zpk"], "C0")
    with pytest.raises(HsmRejected, match="'zpk': is P0"):
        await hsm.mac(REFS["zpk"], b"", algorithm=MacAlgorithm.ISO9797_3)
    with pytest.raises(HsmRejected, match="'nobody'"):
        hsm.check(type(REFS["zpk"])("nobody", "000000"), "P0")
    with pytest.raises(HsmRejected, match="check value"):
        hsm.check(type(REFS["zpk"])("zpk", "000000"), "P0")
    hsm.check(REFS["zpk"], "P0", "C0")


async def test_terminal_key() -> None:
    """PINs under a terminal's key go by DC, DA and CA, and are not translated into its zone."""
    entries = support.variant_entries()
    entries["zpk"] = support.entry("zpk", f"002:{wrap_as(clear('zpk'), '002')}")
    peer = Peer()
    async with support.started(peer):
        hsm = support.hsm_over(peer, entries=entries)
        await hsm.open()
        try:
            for reference in (pvv(PIN), offset(PIN, 4)):
                verdict = await hsm.verify_pin(
                    reference,
                    zone_key=REFS["zpk"],
                    pin_block=block(PIN, ISO_0),
                    pin_block_format=ISO_0,
                    pan=PAN,
                )
                assert MATCH is verdict
            anew = await hsm.translate_pin(
                from_key=REFS["zpk"],
                from_format=ISO_0,
                to_key=REFS["zpk_next"],
                to_format=ISO_0,
                pin_block=block(PIN, ISO_0),
                pan=PAN,
            )
            assert block(PIN, ISO_0, key="zpk_next") == anew
            assert (1, 1, 1) == (peer.asked["DC"], peer.asked["DA"], peer.asked["CA"])
            with pytest.raises(HsmRejected, match="to_key"):
                await hsm.translate_pin(
                    from_key=REFS["zpk_next"],
                    from_format=ISO_0,
                    to_key=REFS["zpk"],
                    to_format=ISO_0,
                    pin_block=anew,
                    pan=PAN,
                )
        finally:
            await hsm.close()
