"""
Thales payShield: the `Hsm` protocol over host commands on TCP.

Keys lie in the key file, enciphered under the HSM's local master key, and go with each command; the
HSM keeps none. What each capability needs of the HSM's own settings: docs/hsm-payshield.md.
"""

from __future__ import annotations

import hmac
import secrets
import ssl
from collections.abc import Mapping, Sequence
from typing import TypeVar

from keys.hsm import (
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
    Verdict,
)
from keys.keyfile import KeyEntry
from keys.padding import DES_BLOCK, pad_method_1
from keys.payshield import commands as commands
from keys.payshield.arqc import arqc_command
from keys.payshield.frame import Command
from keys.payshield.keys import Keys, WrappedKey
from keys.payshield.link import Link
from keys.payshield.pin import format_code, pin_command
from keys.payshield.pool import Pool
from keys.software.digits import are_digits, require_digits, require_pan

T = TypeVar("T")

#: Not here, and why: PIN_ISO_4 (its account number's place in a command is not published),
#: MAC_AES_CMAC and MAC_TDES_CMAC (M6 is said to have them, with a padding code and a size that are
#: not), AMEX_CSC_1 and _2, DCVV, CVC3 (other commands), ARQC_EMV_2000 (no setting allows it here).
CAPABILITIES = frozenset(
    {
        Capability.CARD_CODE,
        Capability.PIN_ISO_0,
        Capability.PIN_ISO_1,
        Capability.PIN_ISO_3,
        Capability.VISA_PVV,
        Capability.IBM_3624,
        Capability.TRANSLATE_PIN,
        Capability.CARD_KEY_A,
        Capability.CARD_KEY_B,
        Capability.ARQC_CARD_KEY,
        Capability.ARQC_COMMON,
        Capability.ARQC_MASTERCARD,
        Capability.ARPC_1,
        Capability.ARPC_2,
        Capability.MAC_ISO9797_1,
        Capability.MAC_ISO9797_3,
    }
)

#: Seconds for NC and BU before the first question: Thales lets a host wait five for NC.
OPEN_LIMIT = 5.0

#: Algorithm codes of M6 and M8, and the TR-31 usage of their keys.
_MACS = {MacAlgorithm.ISO9797_1: ("1", "M1"), MacAlgorithm.ISO9797_3: ("3", "M3")}

#: Bytes of a MAC that M8 compares itself; between them M6 makes one to compare here.
_MAC_SIZES_OF_M8 = (4, 8)
_MAC_MIN, _MAC_MAX = 4, 8

_CVV_LENGTH = 3
_ARQC_SIZE = 8
_ECHO_SIZE = 4


class PayShieldHsm:
    """One or more payShields under one LMK. See `keys.hsm.Hsm` for their questions."""

    name = "payshield"
    is_inline = False
    capabilities = CAPABILITIES

    def __init__(
        self,
        entries: Mapping[str, KeyEntry],
        *,
        addresses: Sequence[tuple[str, int]],
        connections: int,
        header: str,
        lmk_id: str | None,
        has_key_blocks: bool,
        tls: ssl.SSLContext | None,
        budget: float,
    ) -> None:
        """
        Read the keys that have a place in the HSM; connect to nothing yet.

        `connections` go to each address. `header` is as long as the HSM is set to; its last four
        characters count requests. `budget` is the seconds that a question may take.
        """
        self._keys = Keys(entries, has_key_blocks=has_key_blocks)
        self._budget = budget
        self._lmk_check_value: str | None = None
        self._open = False
        self._new_link = lambda: Link(header, lmk_id)
        self._addresses, self._connections, self._tls = list(addresses), connections, tls
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Connect, and compare every key's check value with the pinned one.

        An HSM that does not answer is tried again in the background, where another one does. Raises
        `HsmUnavailable` where none does, `HsmRejected` naming the first key that is another, or
        where two HSMs have different LMKs.
        """
        if not self._keys.all():
            raise HsmRejected("payshield: no key of the key file has a place here")
        await self.close()
        self._lmk_check_value = None
        self._pool = Pool(
            self._addresses,
            connections=self._connections,
            new_link=self._new_link,
            greet=self._greet,
            tls=self._tls,
        )
        try:
            await self._pool.open()
            for key in self._keys.all():
                await self._compare_check_value(self._pool, key)
        except BaseException:
            await self.close()
            raise
        self._open = True

    async def _greet(self, link: Link) -> None:
        """Ask an HSM for its LMK's check value: keys under another LMK are no keys to it."""
        told = (await link.ask(commands.diagnostics())).lmk_check_value
        if self._lmk_check_value is None:
            self._lmk_check_value = told
        if told != self._lmk_check_value:
            raise HsmRejected("another LMK than the first HSM's")

    async def _compare_check_value(self, pool: Pool, key: WrappedKey) -> None:
        command = commands.key_check_value(key.text, key.key_type)
        try:
            kcv = await pool.ask(command, OPEN_LIMIT)
        except HsmRejected as error:
            raise HsmRejected(f"key {key.name!r}: {error}") from None
        if not hmac.compare_digest(kcv, key.kcv[: len(kcv)]):
            raise HsmRejected(f"key {key.name!r}: kcv is {kcv}, but {key.kcv} is pinned")

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` where no key has this name, its check value is another, or it is for
        other uses.
        """
        self._require_open()
        self._keys.find(ref, *usages)

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a CVV, CVV2 or iCVV (CY); what is not three digits is a mismatch."""
        if not isinstance(of, CardVerificationValue):
            raise HsmRejected("card code: the payShield backend cannot verify this one")
        cvk = self._keys.find(key, "C0")
        require_pan(pan)
        require_digits("expiry", of.expiry, 4, 4)
        require_digits("service_code", of.service_code, 3, 3)
        if not are_digits(code, _CVV_LENGTH, _CVV_LENGTH):
            return Verdict.MISMATCH
        return await self._ask(
            commands.verify_cvv(
                cvk.text, code=code, pan=pan, expiry=of.expiry, service_code=of.service_code
            )
        )

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block (EC, EA); what is no PIN block is unreadable.

        Raises `HsmRejected` for validation data without the account's last five digits.
        """
        zone = self._keys.find(zone_key, "P0")
        require_pan(pan)
        command = pin_command(
            self._keys, reference, zone, pin_block=pin_block, block_format=pin_block_format, pan=pan
        )
        if len(pin_block) != DES_BLOCK:
            return Verdict.UNREADABLE
        return await self._ask(command)

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram and answer it, in one command (KQ, KW)."""
        master = self._keys.find(key, "E0")
        command = arqc_command(master.text, cryptogram, arpc_data)
        if len(cryptogram.arqc) != _ARQC_SIZE:
            return ArqcAnswer(Verdict.MISMATCH)
        return await self._ask(command)

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
        """
        Encipher a PIN block anew for another zone, for the same PAN (CC).

        Raises `HsmRejected` from a format bound to the PAN into format 1, which
        is not (PCI PIN 3-3), and for a block that cannot be read.
        """
        iso_1 = PinBlockFormat.ISO_1
        if to_format is iso_1 and from_format is not iso_1:
            raise HsmRejected("to_format: a PIN block bound to a PAN stays bound to it")
        source, target = self._keys.find(from_key, "P0"), self._keys.find(to_key, "P0")
        if target.is_terminal:
            raise HsmRejected("to_key: PIN blocks are translated for zones, not for terminals")
        require_pan(pan)
        if len(pin_block) != DES_BLOCK:
            raise HsmRejected("pin_block: cannot be read under from_key")
        return await self._ask(
            commands.translate_pin(
                source.text,
                target.text,
                pin_block=pin_block,
                from_format=format_code(from_format),
                to_format=format_code(to_format),
                pan=pan,
                terminal=source.is_terminal,
            )
        )

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, eight bytes (M6)."""
        code, mak = self._mac_key(key, algorithm)
        padded = pad_method_1(data)
        return await self._ask(
            commands.generate_mac(mak.text, mak.key_type, padded, algorithm=code)
        )

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code (M8); less than four bytes, or more than eight,
        are a mismatch.
        """
        code, mak = self._mac_key(key, algorithm)
        if not _MAC_MIN <= len(mac) <= _MAC_MAX:
            return Verdict.MISMATCH
        if len(mac) not in _MAC_SIZES_OF_M8:
            whole = await self.mac(key, data, algorithm=algorithm)
            same = hmac.compare_digest(whole[: len(mac)], mac)
            return Verdict.MATCH if same else Verdict.MISMATCH
        padded = pad_method_1(data)
        return await self._ask(
            commands.verify_mac(mak.text, mak.key_type, padded, mac, algorithm=code)
        )

    def _mac_key(self, ref: KeyRef, algorithm: MacAlgorithm) -> tuple[str, WrappedKey]:
        if algorithm not in _MACS:
            raise HsmRejected("algorithm: the payShield backend does not make this MAC")
        code, usage = _MACS[algorithm]
        return code, self._keys.find(ref, usage)

    async def ping(self) -> None:
        """Return when an HSM echoes (B2)."""
        await self._ask(commands.echo(secrets.token_hex(_ECHO_SIZE).encode()))

    async def close(self) -> None:
        """Close every connection; every question after is answered `HsmUnavailable`."""
        self._open = False
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _require_open(self) -> Pool:
        if not self._open or self._pool is None:
            raise HsmUnavailable("the payShield backend is not open")
        return self._pool

    async def _ask(self, command: Command[T]) -> T:
        return await self._require_open().ask(command, self._budget)
