"""PANs at rest: tokens to find a card by, ciphertexts to know its PAN again."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.keyfile import Key
from keys.vault import LocalDataKeys, Vault, VaultError

PAN = "4761739000000012"
CONTEXT = bytes(range(32))


@pytest.fixture
def vault(keys: dict[str, Key]) -> Vault:
    """A vault of the development keys."""
    return Vault(LocalDataKeys(keys["pan_token"], keys["pan_data"]))


class Versions:
    """Data keys with these versions live, each of bytes of its number."""

    def __init__(self, *versions: int) -> None:
        self._versions = versions

    def token_keys(self) -> Mapping[int, bytes]:
        """Give a token key a version."""
        return {version: bytes([version]) * 32 for version in self._versions}

    def data_keys(self) -> Mapping[int, bytes]:
        """Give a data key a version."""
        return {version: bytes([version + 100]) * 32 for version in self._versions}


def test_a_token_is_the_hmac_of_the_pan(vault: Vault, keys: dict[str, Key]) -> None:
    """A token is HMAC-SHA-256 of the PAN's digits, the same each time."""
    expected = hmac.digest(keys["pan_token"].material, PAN.encode(), "sha256")
    assert [expected, expected] == [vault.pan_token(PAN), vault.pan_token(PAN)]
    assert vault.token_version == 1


def test_a_lookup_tries_every_live_version_newest_first() -> None:
    """While a token key is rotated, a card is looked for under both, the new one first."""
    both = Vault(Versions(1, 2))
    assert both.token_version == 2
    assert [
        Vault(Versions(2)).pan_token(PAN),
        Vault(Versions(1)).pan_token(PAN),
    ] == both.lookup_tokens(PAN)
    assert both.pan_token(PAN) == both.lookup_tokens(PAN)[0]


def test_a_rotated_data_key_still_opens_what_it_sealed() -> None:
    """An older data key opens what it sealed; the newest one seals."""
    sealed = Vault(Versions(1)).seal(PAN, context=CONTEXT)
    both = Vault(Versions(1, 2))
    assert both.open(sealed, context=CONTEXT) == PAN
    assert (sealed[0], both.seal(PAN, context=CONTEXT)[0]) == (1, 2)
    with pytest.raises(VaultError, match="not sealed under a live key"):
        Vault(Versions(2)).open(sealed, context=CONTEXT)


@settings(max_examples=30, deadline=None)
@given(pan=st.text("0123456789", min_size=1, max_size=19), context=st.binary(max_size=40))
def test_what_was_sealed_opens_again(pan: str, context: bytes) -> None:
    """A sealed PAN opens under its context, and no two ciphertexts of it are the same."""
    vault = Vault(Versions(1))
    sealed = vault.seal(pan, context=context)
    assert pan == vault.open(sealed, context=context)
    assert sealed != vault.seal(pan, context=context)


def test_a_ciphertext_belongs_to_its_card(vault: Vault) -> None:
    """A ciphertext does not open for another card, nor with any of its bits changed."""
    sealed = vault.seal(PAN, context=CONTEXT)
    with pytest.raises(VaultError, match="sealed for another card"):
        vault.open(sealed, context=bytes(32))
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        with pytest.raises(VaultError):
            vault.open(changed, context=CONTEXT)
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            vault.open(sealed[:length], context=CONTEXT)


@pytest.mark.parametrize("pan", ["", "4761 7390", "47617390000000120000", "٤٧٦١٧٣٩٠"])
def test_what_is_no_pan_is_refused(pan: str, vault: Vault) -> None:
    """Only 1 to 19 ASCII digits are a PAN; the refusal does not show what came."""
    for ask in (vault.pan_token, vault.lookup_tokens, lambda p: vault.seal(p, context=CONTEXT)):
        with pytest.raises(VaultError, match=r"^pan: 1 to 19 digits are needed$"):
            ask(pan)


def test_keys_of_another_kind_are_refused(keys: dict[str, Key]) -> None:
    """The vault takes M7 HMAC and D0 AES-256 keys, one of a version, and needs both."""
    for wrong in (("cvk",), ("zpk_aes", "pan_data"), ("pan_token", "pan_token")):
        with pytest.raises(VaultError):
            LocalDataKeys(*(keys[name] for name in wrong))
    for alone in ("pan_token", "pan_data"):
        with pytest.raises(VaultError, match="a token key and a data key"):
            Vault(LocalDataKeys(keys[alone]))
