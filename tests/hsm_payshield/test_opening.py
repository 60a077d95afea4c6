"""What must be right before the first question, and what refuses the start."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from ipaddress import IPv4Address
from pathlib import Path

import psec
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keys.hsm import HsmRejected, HsmUnavailable, PinBlockFormat, Verdict, VisaPvv
from keys.keyfile import KeyEntry
from keys.payshield import pool
from tests.contract.keys import KEYS, REFS
from tests.hsm_payshield import support
from tests.hsm_payshield.lmk import wrap_as, wrap_block
from tests.hsm_payshield.peer import LIES, Fault, Peer
from tests.hsm_payshield.request import encode_pin
from tests.hsm_payshield.test_outage import asked_until_answered

CVK = KEYS["cvk"].material


async def test_every_connection_stands_before_the_first_question() -> None:
    """Opening connects, greets on each connection, and compares every key's check value."""
    first, second = Peer(), Peer()
    async with support.opened(first, second, connections=3):
        for peer in (first, second):
            assert (3, 3) == (peer.connections, peer.asked["NC"])
        compared = first.asked["BU"] + second.asked["BU"]
        assert len(support.variant_entries()) == compared


async def test_all_keys_of_a_key_block_lmk_are_compared() -> None:
    """Key blocks of every usage and of AES have their check values compared too."""
    peer = Peer(has_key_blocks=True)
    async with support.opened(peer):
        assert len(KEYS) == peer.asked["BU"]


async def test_wrong_check_value_refuses_the_start() -> None:
    """A key with another check value than the pinned one refuses the start, by its name."""
    entries = support.variant_entries()
    entries["zpk"] = support.entry("zpk", entries["zpk"].places["payshield"], kcv="123456")
    peer = Peer()
    async with support.started(peer):
        hsm = support.hsm_over(peer, entries=entries)
        with pytest.raises(HsmRejected, match="key 'zpk': kcv is 5CA55B, but 123456 is pinned"):
            await hsm.open()
        await peer.until_connected(0)


async def test_check_value_told_wrong_refuses_the_start() -> None:
    """An HSM that tells another check value refuses the start."""
    peer = Peer(wrong_kcv=True)
    async with support.started(peer):
        with pytest.raises(HsmRejected, match="key 'cvk': kcv is 000000"):
            await support.hsm_over(peer).open()


async def test_key_under_another_lmk_refuses_the_start() -> None:
    """A key that the HSM cannot decipher, or of another type, refuses the start by its name."""
    for place in ("U" + "0123456789ABCDEF" * 2, wrap_as(CVK, "002"), "FFF:" + wrap_as(CVK, "402")):
        entries = {"cvk": support.entry("cvk", place)}
        peer = Peer()
        async with support.started(peer):
            with pytest.raises(HsmRejected, match=r"key 'cvk': payShield BU: error (10|28)"):
                await support.hsm_over(peer, entries=entries).open()


async def test_damaged_key_block_refuses_the_start() -> None:
    """A key block that was changed refuses the start by its name."""
    block = wrap_block(CVK, usage="C0", algorithm="T", mode_of_use="V")
    entries = {"cvk": support.entry("cvk", block[:-1] + ("0" if block[-1] != "0" else "1"))}
    peer = Peer(has_key_blocks=True)
    async with support.started(peer):
        with pytest.raises(HsmRejected, match="key 'cvk': payShield BU: error A4"):
            await support.hsm_over(peer, entries=entries).open()


@pytest.mark.parametrize(
    ("place", "has_key_blocks", "why"),
    [
        ("U1234", False, "U and 32"),
        ("S10096C0TN00E0001", False, "U and 32"),
        (wrap_as(CVK, "402"), True, "key block are needed"),
        ("S10096C0TN00E0001ABCDEF", True, "key block are needed"),
        ("XYZ:" + wrap_as(CVK, "402"), False, "U and 32"),
    ],
)
def test_place_of_another_form_is_refused(place: str, has_key_blocks: bool, why: str) -> None:
    """A key that this LMK cannot have is refused by its name and without its text."""
    peer = Peer(has_key_blocks=has_key_blocks)
    with pytest.raises(HsmRejected, match=why) as raised:
        support.hsm_over(peer, entries={"cvk": support.entry("cvk", place)})
    assert "'cvk'" in str(raised.value)
    assert place not in str(raised.value)


def test_usage_without_a_key_type_needs_one() -> None:
    """A usage that has no usual key type needs it before the key; AES needs a key block LMK."""
    place = "U" + "0" * 32
    with pytest.raises(HsmRejected, match="no usual key type"):
        support.hsm_over(Peer(), entries={"imk_dcvv": support.entry("imk_dcvv", place)})
    with pytest.raises(HsmRejected, match="AES"):
        support.hsm_over(Peer(), entries={"zpk_aes": support.entry("zpk_aes", place)})


async def test_entries_of_other_places_are_left_alone() -> None:
    """A key that is in another backend's place alone is not asked about, and is not there."""
    entries = support.variant_entries()
    entries["aws"] = KeyEntry("aws", "BA6A21", "C0", "T", "00", {"aws": "alias/cvk"})
    peer = Peer()
    async with support.started(peer):
        hsm = support.hsm_over(peer, entries=entries)
        await hsm.open()
        with pytest.raises(HsmRejected, match="'aws'"):
            hsm.check(entries["aws"].ref, "C0")
        await hsm.close()


async def test_hsms_of_different_lmks_refuse_the_start() -> None:
    """The key file has each key once: HSMs under different LMKs are configuration."""
    one, other = Peer(), Peer(lmk_check_value="0000000000000000")
    async with support.started(one, other):
        hsm = support.hsm_over(one, other)
        with pytest.raises(HsmRejected, match="another LMK"):
            await hsm.open()
        await one.until_connected(0)
        await other.until_connected(0)


async def test_hsm_that_comes_back_with_another_lmk_is_not_used() -> None:
    """An HSM whose LMK was changed meanwhile is asked nothing."""
    changing, alive = Peer(), Peer()
    async with support.opened(changing, alive, connections=1) as hsm:
        await changing.stop()
        changing.lmk_check_value = "0000000000000000"
        await changing.start()
        await changing.until_asked("NC", 2)
        for _ in range(6):
            assert Verdict.MISMATCH is await asked_until_answered(hsm)
        assert not changing.asked["CY"]


@pytest.mark.parametrize("command", ["NC", "BU"])
@pytest.mark.parametrize("fault", [*LIES, Fault.HANGS_UP, Fault.STOPS_MID_FRAME])
async def test_lying_hsm_is_not_opened(command: str, fault: Fault) -> None:
    """An HSM that lies about itself or its keys is an outage at start."""
    peer = Peer(faults={command: fault})
    async with support.started(peer):
        hsm = support.hsm_over(peer, connections=1)
        with pytest.raises(HsmUnavailable):
            await hsm.open()
        await peer.until_connected(0)


@pytest.mark.parametrize("error", ["13", "40", "41", "42"])
async def test_ill_hsm_is_not_opened(error: str) -> None:
    """An HSM whose diagnostics fail is an outage at start."""
    peer = Peer(errors={"NC": error})
    async with support.started(peer):
        with pytest.raises(HsmUnavailable, match=f"127.0.0.1:{peer.port}: .*error {error}"):
            await support.hsm_over(peer).open()


async def test_disabled_command_refuses_the_start() -> None:
    """An HSM with diagnostics or check values disabled refuses the start: it is configuration."""
    for command in ("NC", "BU"):
        peer = Peer(errors={command: "68"})
        async with support.started(peer):
            with pytest.raises(HsmRejected, match=f"{command}: error 68: command disabled"):
                await support.hsm_over(peer).open()


async def test_hsm_that_is_not_there_is_not_opened() -> None:
    """With no HSM to be reached opening ends at once."""
    peer = Peer()
    async with support.started(peer):
        pass
    with pytest.raises(HsmUnavailable, match="cannot connect"):
        await support.hsm_over(peer).open()


async def test_silent_hsm_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HSM that takes the greeting and does not answer it is an outage."""
    monkeypatch.setattr(pool, "GREETING_LIMIT", 0.1)
    peer = Peer(faults={"NC": Fault.SILENT})
    async with support.started(peer):
        with pytest.raises(HsmUnavailable, match="no answer in time"):
            await support.hsm_over(peer).open()


async def test_wrong_lmk_identifier_is_not_opened() -> None:
    """Commands name the LMK where the settings do; an HSM that has another says so."""
    peer = Peer(lmk_id="01")
    async with support.started(peer):
        hsm = support.hsm_over(peer)
        peer.lmk_id = "02"
        with pytest.raises(HsmUnavailable, match="error 13"):
            await hsm.open()


async def test_resting_connection_is_asked_for_an_echo(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection at rest is asked for an echo; one that does not give it is made anew."""
    monkeypatch.setattr(pool, "IDLE_LIMIT", 0.02)
    monkeypatch.setattr(pool, "ECHO_LIMIT", 0.1)
    peer = Peer()
    async with support.opened(peer, connections=2) as hsm:
        await peer.until_asked("B2", 6)
        assert 2 == peer.asked["NC"]
        peer.faults["B2"] = Fault.SILENT
        await peer.until_asked("NC", 4)
        peer.faults.clear()
        assert Verdict.MISMATCH is await asked_until_answered(hsm)


def certified(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of an HSM and of its host, over a certificate made for this test."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "payshield")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem, key_pem = folder / "hsm.pem", folder / "hsm.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    of_hsm = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    of_hsm.load_cert_chain(pem, key_pem)
    return of_hsm, ssl.create_default_context(cafile=str(pem))


async def test_tls(tmp_path: Path) -> None:
    """Over TLS it answers; it is not opened where its certificate is not known."""
    of_hsm, of_host = certified(tmp_path)
    peer = Peer(tls=of_hsm)
    async with support.started(peer):
        hsm = support.hsm_over(peer, tls=of_host)
        await hsm.open()
        await hsm.ping()
        peer.faults["B2"] = Fault.HANGS_UP
        with pytest.raises(HsmUnavailable):
            await hsm.ping()
        await hsm.close()
        for unknown in (ssl.create_default_context(), None):
            with pytest.raises(HsmUnavailable):
                await support.hsm_over(peer, tls=unknown).open()


def test_it_answers_under_uvloop() -> None:
    """The loop that the switch runs on carries it as well."""

    async def answered() -> Verdict:
        peer = Peer()
        async with support.opened(peer) as hsm:
            await hsm.ping()
            peer.faults["CY"] = Fault.TOO_SHORT
            verdict = asyncio.create_task(asked_until_answered(hsm))
            await peer.until_asked("CY")
            peer.faults.clear()
            return await verdict

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert Verdict.MISMATCH is runner.run(answered())


async def test_nothing_secret_is_told() -> None:
    """No exception and no text of a command, key or backend has a key, a PIN block or a value."""
    peer = Peer()
    pan, pin = "4540001234567890", "7391"
    pin_block = encode_pin(KEYS["zpk"].material, pin, "01", pan[-13:-1])
    pvv = psec.pin.generate_visa_pvv(KEYS["pvk"].material, "1", pin, pan)
    wrapped = {name: entry.places["payshield"] for name, entry in support.variant_entries().items()}
    secrets = [pan, pin_block.hex(), pin_block.hex().upper(), pvv, *wrapped.values()]
    told: list[str] = []
    async with support.opened(peer, connections=1) as hsm:
        told += [repr(hsm), repr(hsm._keys.all()), repr(hsm._pool)]
        for error, fault in (("10", None), ("41", None), ("~~", None), ("", Fault.GARBAGE)):
            peer.errors = {"EC": error} if error else {}
            peer.faults = {"EC": fault} if fault else {}
            with pytest.raises((HsmRejected, HsmUnavailable)) as raised:
                await hsm.verify_pin(
                    VisaPvv(REFS["pvk"], "1", pvv),
                    zone_key=REFS["zpk"],
                    pin_block=pin_block,
                    pin_block_format=PinBlockFormat.ISO_0,
                    pan=pan,
                )
            assert raised.value.__cause__ is None
            told += [str(raised.value), repr(raised.value)]
    for text in told:
        for secret in secrets:
            assert secret not in text
