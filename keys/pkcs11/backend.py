"""
The PKCS#11 HSM: the `Hsm` protocol over a token whose keys cannot be read.

Verified with SoftHSM2; docs/hsm-pkcs11.md says which mechanism does what, what differs with other
tokens, and why there are no PINs here: no PKCS#11 mechanism compares one, so that the clear PIN
block would have to cross into this process.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import TypeVar

from keys.hsm import (
    ArpcMethod,
    ArqcAnswer,
    Capability,
    CardCode,
    CardVerificationValue,
    Cryptogram,
    HsmRejected,
    HsmUnavailable,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    SessionKeyDerivation,
    Verdict,
)
from keys.keyfile import KeyEntry
from keys.padding import DES_BLOCK
from keys.pkcs11.formulas import CODE_LENGTH, card_code, mac, verify_arqc
from keys.pkcs11.keys import TokenKey, token_entries
from keys.pkcs11.pool import SessionPool
from keys.pkcs11.token import Token, TokenSession
from keys.software.digits import are_digits, require_digits, require_pan

T = TypeVar("T")

#: A message's authentication code may be cut, but not below this many bytes.
MAC_LENGTH_MIN = 4

#: Bytes of the ARPC's data: ARC, or CSU and up to eight bytes more.
_ARPC_DATA_SIZES = {ArpcMethod.METHOD_1: (2, 2), ArpcMethod.METHOD_2: (4, 12)}

#: TR-31 usage and algorithm of each MAC's key.
_MAC_KEYS = {
    MacAlgorithm.ISO9797_1: ("M1", "T"),
    MacAlgorithm.ISO9797_3: ("M3", "T"),
    MacAlgorithm.AES_CMAC: ("M6", "A"),
    MacAlgorithm.TDES_CMAC: ("M6", "T"),
}


class Pkcs11Hsm:
    """A token behind a PKCS#11 library. See `keys.hsm.Hsm` for its questions."""

    name = "pkcs11"
    is_inline = False
    capabilities = frozenset(
        {
            Capability.CARD_CODE,
            Capability.CARD_KEY_A,
            Capability.CARD_KEY_B,
            Capability.ARQC_CARD_KEY,
            Capability.ARQC_COMMON,
            Capability.ARQC_MASTERCARD,
            Capability.ARPC_1,
            Capability.ARPC_2,
            Capability.MAC_ISO9797_1,
            Capability.MAC_ISO9797_3,
            Capability.MAC_AES_CMAC,
            Capability.MAC_TDES_CMAC,
        }
    )

    def __init__(
        self,
        entries: Mapping[str, KeyEntry],
        *,
        module: str,
        token: str,
        pin: str,
        sessions: int = 4,
    ) -> None:
        """
        Keep which token and keys to use; nothing is opened yet.

        `module` is the file of the PKCS#11 library, `token` a label, `pin` the user's, `sessions`
        how many questions are asked at once. Raises `HsmRejected` for entries that no token can
        hold.
        """
        self._entries = token_entries(entries)
        self._token = Token(module, token, pin, self._entries)
        self._sessions = sessions
        self._pool: SessionPool | None = None
        self._keys: Mapping[str, TokenKey] = {}

    async def open(self) -> None:
        """
        Open every session, log in, find every key and compare its check value.

        Raises `HsmUnavailable` where the token is away; `HsmRejected` naming the first key that is
        missing, is another, or is one that could be read.
        """
        await self.close()
        pool = SessionPool(self._token, self._sessions)
        await pool.open()
        self._pool = pool
        self._keys = await pool.ask(lambda session: session.keys)

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` where no key has this name, its check value is another, or it is for
        other uses.
        """
        if self._pool is None:
            raise HsmUnavailable("the token is not open")
        key = self._keys.get(ref.name)
        if key is None:
            raise HsmRejected(f"key {ref.name!r}: there is none of this name")
        key.require(ref, usages)

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a CVV, CVV2 or iCVV; what is not three digits is a mismatch."""
        if not isinstance(of, CardVerificationValue):
            raise HsmRejected("card code: the pkcs11 backend cannot verify this one")
        require_pan(pan)
        require_digits("expiry", of.expiry, 4, 4)
        require_digits("service_code", of.service_code, 3, 3)
        self.check(key, "C0")
        if not are_digits(code, CODE_LENGTH, CODE_LENGTH):
            return Verdict.MISMATCH
        expected = await self._ask(lambda s: card_code(s, s.keys[key.name], pan, of))
        return _compared(hmac.compare_digest(expected, code))

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Raise `HsmRejected`: the clear PIN block would have to leave the token."""
        raise HsmRejected("PIN: the pkcs11 backend verifies none")

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram under keys derived in the token; answer a match."""
        _require_cryptogram(cryptogram, arpc_data)
        self.check(key, "E0")
        return await self._ask(lambda s: verify_arqc(s, s.keys[key.name], cryptogram, arpc_data))

    async def translate_pin(
        self,
        *,
        from_key: KeyRef,
        from_format: PinBlockFormat,
        to_key: KeyRef,
        to_format: PinBlockFormat,
        pin_block: bytes,
        pan: str,
    ) -> bytes:
        """Raise `HsmRejected`: the clear PIN block would have to leave the token."""
        raise HsmRejected("PIN: the pkcs11 backend translates none")

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, the algorithm's full length."""
        usage, cipher = _MAC_KEYS[algorithm]
        self.check(key, usage)
        if self._keys[key.name].algorithm != cipher:
            raise HsmRejected(f"key {key.name!r}: is of another cipher than {algorithm.value}")
        return await self._ask(lambda s: mac(s, s.keys[key.name], data, algorithm))

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code; less than four bytes of it is a mismatch."""
        expected = await self.mac(key, data, algorithm=algorithm)
        same = hmac.compare_digest(expected[: len(mac)], mac)
        return _compared(len(mac) >= MAC_LENGTH_MIN and same)

    async def ping(self) -> None:
        """Return when the token uses a key; raise `HsmUnavailable` when it does not."""
        await self._ask(TokenSession.probe)

    async def close(self) -> None:
        """End sessions and threads; every question after is answered `HsmUnavailable`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _ask(self, question: Callable[[TokenSession], T]) -> T:
        if self._pool is None:
            raise HsmUnavailable("the token is not open")
        return await self._pool.ask(question)


def _compared(same: bool) -> Verdict:
    return Verdict.MATCH if same else Verdict.MISMATCH


def _require_cryptogram(cryptogram: Cryptogram, arpc_data: bytes) -> None:
    """Raise `HsmRejected` naming the field that the formulas cannot take."""
    require_pan(cryptogram.pan)
    require_digits("pan_sequence_number", cryptogram.pan_sequence_number, 2, 2)
    if len(cryptogram.atc) != 2:
        raise HsmRejected("atc: two bytes are needed")
    if not cryptogram.data or len(cryptogram.data) % DES_BLOCK:
        raise HsmRejected("data: it must be padded to whole blocks of eight bytes")
    match cryptogram.scheme.session_key:
        case SessionKeyDerivation.EMV_2000:
            raise HsmRejected("session_key: the pkcs11 backend derives no EMV 2000 keys")
        case SessionKeyDerivation.MASTERCARD if len(cryptogram.unpredictable_number) != 4:
            raise HsmRejected("unpredictable_number: four bytes are needed")
    low, high = _ARPC_DATA_SIZES[cryptogram.scheme.arpc]
    if not low <= len(arpc_data) <= high:
        raise HsmRejected("arpc_data: its length is not one of the scheme's ARPC method")
