"""
PANs at rest: a token to find a card by, and a ciphertext to know its PAN again.

The token is HMAC-SHA-256 of the PAN's digits. A lookup value cannot be rotated
without touching rows, so each key has a version, and a card is looked for under
all live versions until the last row has a new token. The ciphertext is
AES-256-GCM; its context, the card's token, is authenticated with it, so that a
ciphertext moved to another card's row does not open. A row that gets a new
token is therefore sealed anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from keys.software.digits import are_digits
from keys.software.key import AES, Key
from keys.software.key import HMAC as HMAC_KEY

#: Bytes of a GCM nonce. Random ones are safe for 2^32 ciphertexts under one key.
NONCE_SIZE = 12

#: Bytes of a data key and of a token key.
KEY_SIZE = 32

#: Bytes of the GCM tag.
_TAG_SIZE = 16

#: A PAN has at most 19 digits; the token of any shorter number is needed to record a refusal.
_PAN_DIGITS = (1, 19)


class VaultError(ValueError):
    """The vault cannot do that: the message names the field or the key, never a value."""


class DataKeys(Protocol):
    """
    Where the vault's clear keys come from: TR-31 blocks now, a key service where there is one.

    Versions are 0 to 255; the greatest is used for what is written.
    """

    def token_keys(self) -> Mapping[int, bytes]:
        """Give the live HMAC-SHA-256 keys by version, 32 bytes each."""

    def data_keys(self) -> Mapping[int, bytes]:
        """Give the live AES-256 keys by version, 32 bytes each."""


class LocalDataKeys:
    """
    The vault's keys out of a key file.

    Token keys have usage M7 and algorithm H, data keys D0 and A; their version
    is the key version number of their TR-31 header. Rotation adds a key with a
    higher one. Raises `VaultError` for any other key and for two of one version.
    """

    __slots__ = ("_data", "_token")

    def __init__(self, *keys: Key) -> None:
        self._token: dict[int, bytes] = {}
        self._data: dict[int, bytes] = {}
        kinds = {("M7", HMAC_KEY): self._token, ("D0", AES): self._data}
        for key in keys:
            kind = kinds.get((key.usage, key.algorithm))
            if kind is None or len(key.material) != KEY_SIZE:
                raise VaultError(f"vault: {key!r} is neither an M7 HMAC nor a D0 AES-256 key")
            if not are_digits(key.version, 2, 2) or int(key.version) in kind:
                raise VaultError(f"vault: {key!r} needs a key version number of its own")
            kind[int(key.version)] = key.material

    def token_keys(self) -> Mapping[int, bytes]:
        """Give the HMAC-SHA-256 keys by version."""
        return self._token

    def data_keys(self) -> Mapping[int, bytes]:
        """Give the AES-256 keys by version."""
        return self._data


class Vault:
    """Tokens and ciphertexts of PANs, under keys prepared once."""

    __slots__ = ("_ciphers", "_tokenizers", "data_version", "token_version")

    def __init__(self, keys: DataKeys) -> None:
        """Prepare the keys; raise `VaultError` where there is none of a kind."""
        token_keys, data_keys = keys.token_keys(), keys.data_keys()
        if not token_keys or not data_keys:
            raise VaultError("vault: a token key and a data key are needed")
        self._tokenizers = {
            version: HMAC(token_keys[version], SHA256())
            for version in sorted(token_keys, reverse=True)
        }
        self._ciphers = {version: AESGCM(key) for version, key in data_keys.items()}
        #: The version that `seal` seals under.
        self.data_version = max(data_keys)
        #: The version that `pan_token` is made under.
        self.token_version = max(token_keys)

    def pan_token(self, pan: str) -> bytes:
        """Make the token of a PAN under the newest key; 32 bytes."""
        return _token(self._tokenizers[self.token_version], pan)

    def lookup_tokens(self, pan: str) -> list[bytes]:
        """Make the tokens of a PAN under all live keys, the newest first."""
        return [_token(tokenizer, pan) for tokenizer in self._tokenizers.values()]

    def lasting_token(self, pan: str) -> bytes:
        """Make the token of a PAN under the oldest live key: what stands for a PAN without a card.

        No row can be brought under a new key for it, so that it changes only when the old
        key goes.
        """
        return self.lookup_tokens(pan)[-1]

    def seal(self, pan: str, *, context: bytes) -> bytes:
        """Encrypt a PAN, bound to `context`: version byte, nonce, ciphertext, tag."""
        version = bytes([self.data_version])
        nonce = secrets.token_bytes(NONCE_SIZE)
        sealed = self._ciphers[self.data_version].encrypt(nonce, _digits(pan), version + context)
        return version + nonce + sealed

    def open(self, ciphertext: bytes, *, context: bytes) -> str:
        """Decrypt a PAN; raise `VaultError` where key, context or ciphertext is not the one."""
        cipher = self._ciphers.get(ciphertext[0]) if ciphertext else None
        if cipher is None or len(ciphertext) < 1 + NONCE_SIZE + _TAG_SIZE:
            raise VaultError("pan_ciphertext: not sealed under a live key")
        version, nonce, sealed = (
            ciphertext[:1],
            ciphertext[1 : 1 + NONCE_SIZE],
            ciphertext[1 + NONCE_SIZE :],
        )
        try:
            return cipher.decrypt(nonce, sealed, version + context).decode("ascii")
        except InvalidTag:
            raise VaultError("pan_ciphertext: changed, or sealed for another card") from None


def _digits(pan: str) -> bytes:
    if not are_digits(pan, *_PAN_DIGITS):
        raise VaultError("pan: 1 to 19 digits are needed")
    return pan.encode("ascii")


def _token(tokenizer: HMAC, pan: str) -> bytes:
    # A one shot would prepare the key anew each time, at three times the cost.
    context = tokenizer.copy()
    context.update(_digits(pan))
    return context.finalize()
