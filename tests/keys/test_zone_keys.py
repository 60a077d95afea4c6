"""Zone keys under a zone master key: what another implementation sends, and what is not taken."""

from __future__ import annotations

import psec.des
import psec.tr31
import pytest

from keys.hsm import Capability, Hsm, HsmRejected, KeyRef, PinBlockFormat, Verdict, VisaPvv
from keys.keyfile import Kbpk, Key
from keys.software import issuing
from keys.software.backend import SoftwareHsm
from keys.software.key import AES, TDES, check_values
from keys.software.keyblock import Header, wrap
from keys.zone_keys import ZoneKeyForm, zone_keys_of

KBPK = Kbpk(bytes(range(32)))
PAN, PIN = "4761739001010119", "1234"
ZMK = Key(
    bytes.fromhex("6E5D4C3B2A19080F1E2D3C4B5A697887"), usage="K0", algorithm=TDES, mode_of_use="B"
)
ZMK_AES = Key(bytes(range(200, 232)), usage="K1", algorithm=AES, mode_of_use="B")
PVK = Key(
    bytes.fromhex("32EF49C2708AB51F6DC8A7430E9B2F58"), usage="V2", algorithm=TDES, mode_of_use="V"
)
ZPK = bytes.fromhex("1F2E3D4C5B6A798897A8B9CADBECFD0E")
ZPK_AES = bytes(range(50, 82))
MASTERS = {"zmk": ZMK, "zmk_aes": ZMK_AES}
BLOCK, CRYPTOGRAM = ZoneKeyForm.KEY_BLOCK, ZoneKeyForm.CRYPTOGRAM


def hsm_of(**more: Key) -> SoftwareHsm:
    """A software HSM with the two zone master keys."""
    return SoftwareHsm({**MASTERS, "pvk": PVK, **more}, kbpk=KBPK)


def master(name: str) -> KeyRef:
    """A zone master key as the switch asks for it."""
    return KeyRef(name, MASTERS[name].kcv)


def kcv(algorithm: str, material: bytes) -> str:
    """A check value of six digits."""
    return min(check_values(algorithm, material), key=len)


def key_block(under: Key, version: str, material: bytes, *, usage: str = "P0", mode: str = "B",
              algorithm: str = "T") -> str:  # fmt: skip
    """A block as another implementation makes it."""
    header = psec.tr31.Header(version, usage, algorithm, mode, "00", "N")
    return psec.tr31.KeyBlock(under.material, header).wrap(material)


def cryptogram(under: Key, material: bytes) -> str:
    """A key in ECB as another implementation makes it."""
    return psec.des.encrypt_tdes_ecb(under.material, material).hex().upper()


async def verdict(hsm: SoftwareHsm, ref: KeyRef, zone: Key, pin: str = PIN) -> Verdict:
    """What the HSM says of a PIN block under a zone key."""
    is_aes = zone.algorithm == AES
    block_format = PinBlockFormat.ISO_4 if is_aes else PinBlockFormat.ISO_0
    pvv = issuing.visa_pvv(PVK, pan=PAN, pvki="1", pin=PIN)
    return await hsm.verify_pin(
        VisaPvv(KeyRef("pvk", PVK.kcv), "1", pvv),
        zone_key=ref,
        pin_block=issuing.pin_block(zone, pin_block_format=block_format, pin=pin, pan=PAN),
        pin_block_format=block_format,
        pan=PAN,
    )


@pytest.mark.parametrize(
    ("wrapped", "under", "form", "algorithm", "clear"),
    [
        (key_block(ZMK, "A", ZPK), "zmk", BLOCK, TDES, ZPK),
        (key_block(ZMK, "B", ZPK), "zmk", BLOCK, TDES, ZPK),
        (key_block(ZMK, "C", ZPK, mode="D"), "zmk", BLOCK, TDES, ZPK),
        (key_block(ZMK_AES, "D", ZPK), "zmk_aes", BLOCK, TDES, ZPK),
        (key_block(ZMK_AES, "D", ZPK_AES, algorithm="A"), "zmk_aes", BLOCK, AES, ZPK_AES),
        (cryptogram(ZMK, ZPK), "zmk", CRYPTOGRAM, TDES, ZPK),
    ],
    ids=["block A", "block B", "block C", "block D", "block D of AES", "cryptogram"],
)
async def test_a_key_comes_in_and_reads_pin_blocks(
    wrapped: str, under: str, form: ZoneKeyForm, algorithm: str, clear: bytes
) -> None:
    """A key in each form is imported by one process, and learned by it and by another."""
    importer, other = hsm_of(), hsm_of()
    stored = await importer.import_zone_key(
        wrapped, under=master(under), form=form, algorithm=algorithm, kcv=kcv(algorithm, clear)
    )
    zone = Key(clear, usage="P0", algorithm=algorithm, mode_of_use="B")
    assert zone.kcv == stored.kcv
    assert clear.hex() not in f"{stored!r} {stored.stored}".lower()
    ref = KeyRef("zpk#7", stored.kcv)
    for hsm in (importer, other):
        with pytest.raises(HsmRejected, match="there is none of this name"):
            await verdict(hsm, ref, zone)
        await hsm.learn_zone_key(ref, stored.stored)
        assert Verdict.MATCH is await verdict(hsm, ref, zone)
        assert Verdict.MISMATCH is await verdict(hsm, ref, zone, "4321")
        hsm.forget_zone_key(ref)
        with pytest.raises(HsmRejected, match="there is none of this name"):
            await verdict(hsm, ref, zone)
        hsm.forget_zone_key(ref)


RIGHT = kcv("T", ZPK)
WEAK = bytes.fromhex("0123456789ABCDEF" * 2)


def changed(block: str) -> str:
    """A key block with another last digit, whichever it has."""
    return block[:-1] + ("1" if block[-1] == "0" else "0")


#: What comes, the master key, its form, the check value that is told, and what the refusal says.
NOT_TAKEN = [
    (key_block(ZMK, "B", ZPK), "zmk", BLOCK, "000000", "not the one that came with it"),
    (cryptogram(ZMK, ZPK), "zmk", CRYPTOGRAM, "000000", "not the one that came with it"),
    (cryptogram(ZMK, ZPK)[:16], "zmk", CRYPTOGRAM, RIGHT, "16 or 24 bytes"),
    ("XY" * 16, "zmk", CRYPTOGRAM, RIGHT, "hexadecimal"),
    (cryptogram(ZMK, ZPK), "zmk_aes", CRYPTOGRAM, RIGHT, "under a TDES key"),
    (changed(key_block(ZMK, "B", ZPK)), "zmk", BLOCK, RIGHT, "changed since"),
    (wrap(bytes(16), Header("B", "P0", "T", "B"), ZPK), "zmk", BLOCK, RIGHT, "changed since"),
    (key_block(ZMK, "B", ZPK), "zmk_aes", BLOCK, RIGHT, "another kind of protection key"),
    (key_block(ZMK, "B", ZPK, usage="D0"), "zmk", BLOCK, RIGHT, "not for reading PIN blocks"),
    (key_block(ZMK, "B", ZPK, mode="E"), "zmk", BLOCK, RIGHT, "not for reading PIN blocks"),
    (key_block(ZMK, "B", WEAK), "zmk", BLOCK, kcv("T", WEAK), "two parts"),
    (cryptogram(ZMK, WEAK), "zmk", CRYPTOGRAM, kcv("T", WEAK), "two parts"),
    (
        key_block(ZMK_AES, "D", ZPK_AES, algorithm="A"), "zmk_aes", BLOCK, kcv("A", ZPK_AES),
        "not for the cipher",
    ),
    (key_block(ZMK, "B", ZPK), "pvk", BLOCK, RIGHT, "not to be used for this"),
    (key_block(ZMK, "B", ZPK), "nothing", BLOCK, RIGHT, "there is none of this name"),
    ("", "zmk", BLOCK, RIGHT, "header"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrapped", "under", "form", "told", "line"),
    NOT_TAKEN,
    ids=[f"{number} {row[-1]}" for number, row in enumerate(NOT_TAKEN)],
)
async def test_keys_that_are_not_taken(
    wrapped: str, under: str, form: ZoneKeyForm, told: str, line: str
) -> None:
    """Another check value, a changed block, another use: refused, and no value is told."""
    key = {**MASTERS, "pvk": PVK}.get(under)
    ref = KeyRef(under, key.kcv if key else "000000")
    with pytest.raises(HsmRejected, match=line) as caught:
        await hsm_of().import_zone_key(wrapped, under=ref, form=form, algorithm=TDES, kcv=told)
    text = str(caught.value).upper()
    assert not [v for v in (wrapped, ZPK.hex().upper(), RIGHT) if v and v.upper() in text]


@pytest.mark.parametrize(
    ("under", "form", "algorithm", "size"),
    [
        ("zmk", BLOCK, TDES, 16),
        ("zmk", CRYPTOGRAM, TDES, 16),
        ("zmk_aes", BLOCK, TDES, 16),
        ("zmk_aes", BLOCK, AES, 32),
    ],
)
async def test_a_key_that_is_made_is_the_same_for_both(
    under: str, form: ZoneKeyForm, algorithm: str, size: int
) -> None:
    """What the other side opens is the key that we learn, random and of odd parity."""
    hsm = hsm_of()
    made = await hsm.make_zone_key(under=master(under), form=form, algorithm=algorithm)
    if form is BLOCK:
        header, clear = psec.tr31.unwrap(MASTERS[under].material, made.wrapped)
        assert ("P0", "B", "N") == (header.key_usage, header.mode_of_use, header.exportability)
        assert header.version_id == ("D" if under == "zmk_aes" else "B")
    else:
        clear = psec.des.decrypt_tdes_ecb(MASTERS[under].material, bytes.fromhex(made.wrapped))
    assert (size, made.ours.kcv) == (len(clear), kcv(algorithm, clear))
    assert algorithm == AES or all(byte.bit_count() % 2 for byte in clear)
    ref = KeyRef("zpk#1", made.ours.kcv)
    await hsm.learn_zone_key(ref, made.ours.stored)
    zone = Key(clear, usage="P0", algorithm=algorithm, mode_of_use="B")
    assert Verdict.MATCH is await verdict(hsm, ref, zone)
    again = await hsm.make_zone_key(under=master(under), form=form, algorithm=algorithm)
    assert again.ours.kcv != made.ours.kcv
    assert made.wrapped not in repr(made)


@pytest.mark.parametrize(
    ("under", "form", "algorithm"), [("zmk", BLOCK, AES), ("zmk_aes", CRYPTOGRAM, TDES)]
)
async def test_keys_that_are_not_made(under: str, form: ZoneKeyForm, algorithm: str) -> None:
    """No AES key goes under a TDES master key, and no cryptogram under an AES one."""
    with pytest.raises(HsmRejected):
        await hsm_of().make_zone_key(under=master(under), form=form, algorithm=algorithm)


async def test_a_stored_key_is_bound_to_its_protection_key() -> None:
    """What one house stored another cannot learn, nor under another check value."""
    made = await hsm_of().make_zone_key(under=master("zmk"), form=BLOCK, algorithm=TDES)
    other = SoftwareHsm({}, kbpk=Kbpk(bytes(32)))
    with pytest.raises(HsmRejected, match="changed since"):
        await other.learn_zone_key(KeyRef("zpk#1", made.ours.kcv), made.ours.stored)
    with pytest.raises(HsmRejected, match="not the pinned one"):
        await hsm_of().learn_zone_key(KeyRef("zpk#1", "000000"), made.ours.stored)


def test_who_takes_no_keys_says_so() -> None:
    """A software HSM without a protection key of its own takes no zone keys, and lists none."""
    without = SoftwareHsm({})
    assert Capability.IMPORT_ZONE_KEY not in without.capabilities
    with pytest.raises(HsmRejected, match="software backend takes no zone keys"):
        zone_keys_of(without)
    hsm: Hsm = hsm_of()
    assert "software" == zone_keys_of(hsm).name
