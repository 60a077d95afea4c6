"""Vault keys that KMS wraps: opened at start, compared, and nothing else taken for them."""

from __future__ import annotations

import asyncio
import base64
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from keys import kms as kms_module
from keys.keyfile import KeyEntry, KeyFileError, read_entries
from keys.kms import Kms, KmsRejected, KmsUnavailable, answered
from keys.software.key import check_values
from keys.vault import Vault
from switch import prepare
from switch.settings import Settings
from tests.keys.kms_door import (
    ALIAS,
    CREDENTIALS,
    OTHER_KEY,
    REGION,
    SAID,
    KmsDoor,
    door,
    moto_kms,
)
from tests.keys.support import DEVELOPMENT
from tests.process import free_port, until

PAN = "4761739000000012"


@pytest.fixture(scope="module")
def moto() -> Iterator[tuple[str, int]]:
    """Moto's KMS."""
    with moto_kms() as address:
        yield address


@pytest.fixture
def gate(moto: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsDoor]:
    """A door to it, credentials, and little patience."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(kms_module, "READ_SECONDS", 0.3)
    monkeypatch.setattr(kms_module, "ANSWER_SECONDS", 30.0)
    with door(moto) as one:
        yield one


@pytest.fixture
def kms(gate: KmsDoor) -> Iterator[Kms]:
    """A client of it."""
    one = Kms(region=REGION, endpoint_url=gate.url)
    yield one
    one.close()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time enough for what answers."""
    monkeypatch.setattr(kms_module, "READ_SECONDS", 20.0)


def generated(kms: Kms, name: str = "pan_data", usage: str = "D0", version: str = "01") -> KeyEntry:
    """A key that KMS made, as the key file has it."""
    blob, kcv = kms.generate(name, usage, version, kms_key=ALIAS)
    algorithm = {"D0": "A", "M7": "H"}[usage]
    return KeyEntry(name, kcv, usage, algorithm, version, {"kms": blob})


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize(("usage", "algorithm", "mode"), [("D0", "A", "B"), ("M7", "H", "C")])
def test_what_kms_wraps_it_opens_again(kms: Kms, usage: str, algorithm: str, mode: str) -> None:
    """A generated key is 32 bytes of its own, opens under its entry, and has its check value."""
    entry = generated(kms, usage=usage, version="07")
    key = kms.decrypt(entry)
    assert (usage, algorithm, mode, "07") == (
        key.usage, key.algorithm, key.mode_of_use, key.version,
    )  # fmt: skip
    assert 32 == len(key.material)
    assert entry.kcv in check_values(algorithm, key.material)
    assert key.material not in base64.b64decode(entry.places["kms"])
    assert key.material != kms.decrypt(generated(kms, usage=usage, version="07")).material


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("other", [{"name": "pan_data_2"}, {"version": "02"}, {"usage": "M7"}])
def test_a_ciphertext_is_bound_to_name_usage_and_version(kms: Kms, other: dict[str, str]) -> None:
    """In another key's place a ciphertext does not open."""
    moved = replace(generated(kms), **other)  # type: ignore[arg-type]  # all are texts
    with pytest.raises(KmsRejected, match="made for another name, usage or version"):
        kms.decrypt(moved)


@pytest.mark.usefixtures("patient")
def test_another_check_value_than_the_pinned_one_is_refused(kms: Kms) -> None:
    """The refusal names the key and both check values, which are public."""
    entry = generated(kms)
    with pytest.raises(KmsRejected, match=f"^pan_data: kcv is {entry.kcv}, but 000000 is pinned$"):
        kms.decrypt(replace(entry, kcv="000000"))


def test_a_key_that_nobody_asked_for_is_refused(gate: KmsDoor, kms: Kms) -> None:
    """A peer that gives another key does not get it used, and the key is not told."""
    gate.behaviour = "lies"
    entry = KeyEntry("pan_data", "000000", "D0", "A", "01", {"kms": "AAAA"})
    with pytest.raises(KmsRejected, match="but 000000 is pinned") as refused:
        kms.decrypt(entry)
    assert OTHER_KEY.hex() not in str(refused.value).lower()


@pytest.mark.parametrize(
    "behaviour",
    [
        "is silent", "drips", "hangs up", "talks nonsense", "says nothing", "is broken",
        "ThrottlingException", "KMSInternalException", "DependencyTimeoutException",
        "KeyUnavailableException",
    ],
)  # fmt: skip
async def test_what_may_pass_is_no_refusal(
    gate: KmsDoor, kms: Kms, behaviour: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No answer, or one that says later, is an outage; afterwards the same client works on."""
    entry = KeyEntry("pan_data", "000000", "D0", "A", "01", {"kms": "AAAA"})
    gate.behaviour = behaviour
    with monkeypatch.context() as hasty:
        if behaviour == "drips":  # each byte is within the time for a read
            hasty.setattr(kms_module, "ANSWER_SECONDS", 3.0)
        with pytest.raises(KmsUnavailable, match=r"^pan_data: KMS: ") as outage:
            await answered("pan_data", lambda: kms.decrypt(entry))
    assert ["Decrypt"] == gate.asked
    assert SAID not in "".join(traceback.format_exception(outage.value))
    gate.behaviour = "lies"
    with pytest.raises(KmsRejected, match="is pinned"):
        await answered("pan_data", lambda: kms.decrypt(entry))


def test_nobody_there_is_an_outage(gate: KmsDoor) -> None:
    """A port where nobody listens may have somebody later."""
    kms = Kms(region=REGION, endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(KmsUnavailable, match=r"no answer \(EndpointConnectionError\)"):
        kms.generate("pan_data", "D0", "01", kms_key=ALIAS)
    assert [] == gate.asked


@pytest.mark.parametrize(
    "behaviour",
    ["AccessDeniedException", "NotFoundException", "DisabledException", "KMSInvalidStateException",
     "UnrecognizedClientException", "ExpiredTokenException", "4761739000000012"],
)  # fmt: skip
def test_a_refusal_says_its_kind_and_no_more(gate: KmsDoor, kms: Kms, behaviour: str) -> None:
    """Denied is denied: the error's name stands there, and nothing else that the peer said."""
    gate.behaviour = behaviour
    entry = KeyEntry("pan_data", "000000", "D0", "A", "01", {"kms": "AAAA"})
    with pytest.raises(KmsRejected, match=r"^pan_data: KMS refuses: [A-Za-z ]+$") as refused:
        kms.decrypt(entry)
    assert SAID not in "".join(traceback.format_exception(refused.value))
    assert ["Decrypt"] == gate.asked  # and is not asked again


def test_what_is_configured_wrong_is_refused(
    gate: KmsDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No region, no address, no credentials, no Base64: each by its own line, nothing asked."""
    entry = KeyEntry("pan_data", "000000", "D0", "A", "01", {"kms": "AAAA"})

    def refusal(kms: Kms, entry: KeyEntry = entry) -> str:
        with pytest.raises(KmsRejected) as refused:
            kms.decrypt(entry)
        kms.close()
        return str(refused.value)

    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    assert "set vault.kms_region" in refusal(Kms(endpoint_url=gate.url))
    assert "vault.kms_endpoint_url is no address" in refusal(Kms(region=REGION, endpoint_url="x y"))
    assert "is not Base64" in refusal(Kms(region=REGION), replace(entry, places={"kms": "*"}))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "no AWS credentials" in refusal(Kms(region=REGION, endpoint_url=gate.url))
    assert [] == gate.asked


async def test_who_stops_waiting_leaves_nothing_behind(gate: KmsDoor, kms: Kms) -> None:
    """A question that is given up while KMS is silent ends at once; its late end hurts nobody."""
    gate.behaviour = "is silent"
    entry = KeyEntry("pan_data", "000000", "D0", "A", "01", {"kms": "AAAA"})
    asking = asyncio.create_task(answered("pan_data", lambda: kms.decrypt(entry)))
    await asyncio.to_thread(until, lambda: gate.asked)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(2 * kms_module.READ_SECONDS)  # the thread has its answer now


# The vault of a switch.


@pytest.fixture
def settings(gate: KmsDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings whose key file has vault keys in both places."""
    kms = Kms(region=REGION, endpoint_url=gate.url)
    entries = (generated(kms, "data_2", version="02"), generated(kms, "token_2", "M7", "02"))
    kms.close()
    gate.asked.clear()
    tables = "".join(
        f'\n[{entry.name}]\nkms = "{entry.places["kms"]}"\nusage = "{entry.usage}"\n'
        f'algorithm = "{entry.algorithm}"\nversion = "02"\nkcv = "{entry.kcv}"\n'
        for entry in entries
    )
    (tmp_path / "keys.toml").write_text((DEVELOPMENT / "keys.toml").read_text() + tables)
    for name, value in {
        "HSM__KEYS": tmp_path / "keys.toml",
        "VAULT__TOKEN_KEYS": '["pan_token", "token_2"]',
        "VAULT__DATA_KEYS": '["pan_data", "data_2"]',
        "VAULT__KMS_REGION": REGION,
        "VAULT__KMS_ENDPOINT_URL": gate.url,
    }.items():
        monkeypatch.setenv(f"SWITCH_{name}", str(value))
    return Settings.load()


@pytest.mark.usefixtures("patient")
async def test_a_vault_of_both_places(gate: KmsDoor, settings: Settings) -> None:
    """Blocks and KMS's keys are one vault; each key is asked for once, and never again."""
    entries = read_entries(settings.hsm.keys)
    vault = await prepare.vault_of(settings, entries)
    assert ["Decrypt", "Decrypt"] == gate.asked
    gate.behaviour = "AccessDeniedException"
    sealed = vault.seal(PAN, context=vault.pan_token(PAN))
    assert (2, 2, PAN) == (
        vault.token_version, sealed[0], vault.open(sealed, context=vault.pan_token(PAN)),
    )  # fmt: skip
    assert 2 == len(set(vault.lookup_tokens(PAN)))
    assert 2 == len(gate.asked)


@pytest.mark.usefixtures("patient")
async def test_a_start_waits_and_says_why(
    gate: KmsDoor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While KMS does not answer events say so, later and later; then the start goes on."""
    monkeypatch.setattr(prepare, "KMS_PAUSE_FIRST", 0.01)
    monkeypatch.setattr(prepare, "KMS_PAUSE_MOST", 0.02)
    gate.behaviour = "is broken"
    told: list[tuple[str, dict[str, Any]]] = []

    def on_event(event: str, **about: Any) -> None:
        told.append((event, about))
        if len(told) == 3:
            gate.behaviour = "answers"

    entries = read_entries(settings.hsm.keys)
    assert isinstance(await prepare.vault_of(settings, entries, on_event=on_event), Vault)
    assert ["vault_waiting"] * 3 == [event for event, _ in told]
    assert [0.01, 0.02, 0.02] == [about["seconds"] for _, about in told]
    assert all(about["problem"].startswith("token_2: KMS: ") for _, about in told)


async def test_a_command_does_not_wait(gate: KmsDoor, settings: Settings) -> None:
    """Where nobody is told of it, an outage is a refusal; so is, for everybody, a denial."""
    entries = read_entries(settings.hsm.keys)
    gate.behaviour = "is broken"
    with pytest.raises(KmsUnavailable):
        await prepare.vault_of(settings, entries)
    gate.behaviour = "AccessDeniedException"
    with pytest.raises(KmsRejected):
        await prepare.vault_of(settings, entries, on_event=lambda *_, **__: None)


async def test_a_vault_key_needs_a_place_here(settings: Settings) -> None:
    """A vault key that stands in an HSM alone cannot be had: the refusal names it."""
    entries = read_entries(settings.hsm.keys)
    elsewhere = replace(entries["pan_data"], places={"aws": "alias/x"})
    with pytest.raises(KeyFileError, match="pan_data: the vault needs its block, or kms"):
        await prepare.vault_of(settings, entries | {"pan_data": elsewhere})
