"""What refuses the start, and what a start leaves behind."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from keys.aws import AwsHsm
from keys.hsm import HsmRejected, HsmUnavailable, KeyRef
from keys.keyfile import KeyEntry
from tests.contract.keys import KEYS, REFS
from tests.hsm_aws.control import REGION, entries
from tests.hsm_aws.operations import Refused
from tests.hsm_aws.rig import Rig


async def refusal(rig: Rig, keys: dict[str, KeyEntry]) -> str:
    """What an opening with these keys is refused for."""
    hsm = rig.backend(keys=keys)
    with pytest.raises(HsmRejected) as refused:
        await hsm.open()
    with pytest.raises(HsmUnavailable):
        await hsm.ping()
    await hsm.close()
    return str(refused.value)


def changed(rig: Rig, name: str, **changes: Any) -> dict[str, KeyEntry]:
    """All keys, one of them changed."""
    keys = entries(rig.held)
    return keys | {name: replace(keys[name], **changes)}


async def test_keys_are_compared(mended: Rig) -> None:
    """A key with another check value than the pinned one refuses the start, by its name."""
    assert "key 'zpk': its check value is not the pinned one" == await refusal(
        mended, changed(mended, "zpk", kcv="0A1B2C")
    )


async def test_the_first_wrong_key_is_named(mended: Rig) -> None:
    """Of two wrong keys the first of the file is named."""
    keys = changed(mended, "zpk", kcv="0A1B2C")
    keys["pvk"] = replace(keys["pvk"], kcv="0A1B2C")
    assert "'pvk'" in await refusal(mended, keys)


async def test_long_check_values(mended: Rig) -> None:
    """Of an AES key's ten pinned digits the six that the service tells are compared."""
    long = max(KEYS["zpk_aes"].check_values, key=len)
    assert 10 == len(long)
    hsm = mended.backend(keys=changed(mended, "zpk_aes", kcv=long))
    await hsm.open()
    hsm.check(KeyRef("zpk_aes", long), "P0")
    hsm.check(REFS["zpk_aes"], "P0")
    await hsm.close()


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("cvk", {"usage": "V2"}, "its KeyUsage is not V2"),
        ("zpk", {"algorithm": "A"}, "its KeyAlgorithm is not AES_…"),
        ("cvk", {"places": {"aws": "cvk"}}, "aws: alias/NAME or a key's ARN is needed"),
    ],
)
async def test_attributes_are_compared(
    mended: Rig, name: str, changes: dict[str, Any], why: str
) -> None:
    """Another usage or algorithm than the key file's refuses the start."""
    assert f"key '{name}': {why}" == await refusal(mended, changed(mended, name, **changes))


@pytest.mark.parametrize(
    ("name", "modes", "why"),
    [
        ("cvk", ["Generate"], "Verify"),
        ("zpk", ["Decrypt", "Unwrap"], "Encrypt and Decrypt"),
        ("zak", ["Verify"], "Generate and Verify"),
        ("imk_ac", [], "DeriveKey"),
    ],
)
async def test_modes_are_compared(mended: Rig, name: str, modes: list[str], why: str) -> None:
    """A key that may not do what it is for refuses the start; one without restrictions may."""
    stored = mended.control.backend.keys[mended.held[name].arn].key_attributes
    before = stored["KeyModesOfUse"]
    try:
        stored["KeyModesOfUse"] = dict.fromkeys(modes, True)
        told = await refusal(mended, entries(mended.held))
        assert f"key '{name}': its KeyModesOfUse lack {why}" == told
        stored["KeyModesOfUse"] = {"NoRestrictions": True}
        hsm = mended.backend()
        await hsm.open()
        await hsm.close()
    finally:
        stored["KeyModesOfUse"] = before


async def test_disabled_key(mended: Rig) -> None:
    """A key whose use was stopped refuses the start."""
    arn = mended.held["pvk"].arn
    mended.control.backend.stop_key_usage(arn)
    try:
        assert "key 'pvk': it is not enabled" == await refusal(mended, entries(mended.held))
    finally:
        mended.control.backend.start_key_usage(arn)


async def test_key_that_is_not_made(mended: Rig) -> None:
    """A key that is not wholly made, or is being deleted, refuses the start."""
    stored = mended.control.backend.keys[mended.held["pvk"].arn]
    try:
        stored.key_state = "DELETE_PENDING"
        told = await refusal(mended, entries(mended.held))
        assert "key 'pvk': its KeyState is not CREATE_COMPLETE" == told
    finally:
        stored.key_state = "CREATE_COMPLETE"


async def test_missing_alias(mended: Rig) -> None:
    """An alias that is not there refuses the start, by the key's logical name."""
    keys = changed(mended, "cvk", places={"aws": "alias/nobody"})
    assert "aws: get_alias with 'cvk': ResourceNotFoundException" == await refusal(mended, keys)


async def test_alias_without_a_key(mended: Rig) -> None:
    """An alias that names no key refuses the start."""
    mended.control.backend.create_alias("alias/empty", None)
    try:
        keys = changed(mended, "cvk", places={"aws": "alias/empty"})
        assert "key 'cvk': its alias names no key" == await refusal(mended, keys)
    finally:
        mended.control.backend.delete_alias("alias/empty")


async def test_missing_arn(mended: Rig) -> None:
    """An ARN that is not there refuses the start; one that is serves as an alias does."""
    gone = f"{mended.held['cvk'].arn[:-16]}{'0' * 16}"
    keys = changed(mended, "cvk", places={"aws": gone})
    assert "aws: get_key with 'cvk': ResourceNotFoundException" == await refusal(mended, keys)
    hsm = mended.backend(keys=changed(mended, "cvk", places={"aws": mended.held["cvk"].arn}))
    await hsm.open()
    hsm.check(REFS["cvk"], "C0")
    await hsm.close()


async def test_no_permission(mended: Rig) -> None:
    """An operation that the role may not use refuses the start, not the first cardholder."""
    mended.data.refusals["VerifyPinData"] = Refused("AccessDeniedException", 403)
    told = await refusal(mended, entries(mended.held))
    assert "aws: verify_pin_data with 'pvk' 'zpk': AccessDeniedException" == told


async def test_no_keys(mended: Rig) -> None:
    """A key file without a key in this place refuses the start."""
    keys = {"cvk": replace(entries(mended.held)["cvk"], places={"block": "D0…"})}
    assert "aws: no key of the key file has a place here" == await refusal(mended, keys)


async def test_other_places_are_ignored(mended: Rig) -> None:
    """A key that is somewhere else is none of this backend's."""
    hsm = mended.backend(keys=changed(mended, "pvk", places={"block": "D0…"}))
    await hsm.open()
    with pytest.raises(HsmRejected, match="key 'pvk': there is none of this name"):
        hsm.check(REFS["pvk"], "V2")
    await hsm.close()


async def test_checks(hsm: AwsHsm) -> None:
    """A key is checked by name, check value and usage, and nobody is asked."""
    hsm.check(REFS["cvk"], "C0", "V2")
    with pytest.raises(HsmRejected, match="key 'cvk': is C0, not V1 or V2"):
        hsm.check(REFS["cvk"], "V1", "V2")
    with pytest.raises(HsmRejected, match="its check value is not the pinned one"):
        hsm.check(KeyRef("cvk", "000000"), "C0")


async def test_outages_at_start(mended: Rig) -> None:
    """A dead, failing or lying data plane makes the start wait: it is an outage, not a refusal."""
    hsm = mended.backend()
    mended.data.refusal = Refused("InternalServerException", 500)
    with pytest.raises(HsmUnavailable):
        await hsm.open()
    mended.data.refusal, mended.data.lie = None, "other-key"
    mended.data.stop()
    with pytest.raises(HsmUnavailable):
        await hsm.open()
    mended.data.start()
    mended.data.lie = ""
    await hsm.open()
    await hsm.ping()
    await hsm.close()


async def test_no_control_plane(mended: Rig) -> None:
    """A control plane that is not there is an outage."""
    dead = AwsHsm(
        entries(mended.held),
        region=REGION,
        endpoint_url=mended.data.url,
        control_endpoint_url="http://127.0.0.1:9",
        connections=1,
        budget=1.0,
    )
    with pytest.raises(HsmUnavailable, match="get_alias"):
        await dead.open()


async def test_no_region(mended: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region, from the settings or the environment, the start is refused."""
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    hsm = AwsHsm(entries(mended.held))
    with pytest.raises(HsmRejected, match=r"aws: no region: set hsm.aws.region or AWS_REGION"):
        await hsm.open()


async def test_no_credentials(mended: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the start waits: a role's may come."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(HsmUnavailable, match="NoCredentialsError"):
        await mended.backend().open()


@pytest.mark.parametrize("connections", [1, 5, 20])
async def test_connections_are_warm(mended: Rig, connections: int) -> None:
    """There are as many connections as were set when the start returns, and no more are made."""
    hsm = mended.backend(connections=connections)
    await hsm.open()
    assert connections == len(mended.data.connections)
    asked = mended.data.operations_asked()
    assert {
        "VerifyCardValidationData",
        "VerifyPinData",
        "TranslatePinData",
        "VerifyAuthRequestCryptogram",
        "VerifyMac",
    } == set(asked)
    await asyncio.gather(*(hsm.ping() for _ in range(connections * 3)))
    assert connections == len(mended.data.connections)
    await hsm.close()


async def test_alias_given_to_another_key(hsm: AwsHsm, mended: Rig) -> None:
    """An alias that names another key since the start changes nothing: its ARN is asked with."""
    other, mine = mended.held["csck"].arn, mended.held["cvk"].arn
    mended.control.backend.update_alias("alias/cvk", other)
    data = mended.data.operations
    before = data.keys["alias/cvk"]
    data.keys["alias/cvk"] = data.keys[other]
    try:
        await hsm.ping()
        assert {mine} == {request["KeyIdentifier"] for _, request in mended.data.asked}
        told = await refusal(mended, entries(mended.held))
        assert "key 'cvk': its check value is not the pinned one" == told
    finally:
        data.keys["alias/cvk"] = before
        mended.control.backend.update_alias("alias/cvk", mine)
