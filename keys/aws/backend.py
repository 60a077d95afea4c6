"""The AWS HSM: the `Hsm` protocol over AWS Payment Cryptography."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from functools import partial
from typing import Any

from keys.aws import card_codes, cryptograms, macs, pins, warming
from keys.aws.calls import ParameterRefused, call, connect, hex_of, hush
from keys.aws.held import look_up
from keys.aws.pin_blocks import PinBlockReader
from keys.aws.pool import Pool
from keys.aws.question import HeldKey, Question
from keys.hsm import (
    ArqcAnswer,
    Capability,
    CardCode,
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

#: What the service can do: all but take a new zone key, which is the control plane's.
_CAPABILITIES = frozenset(Capability) - {Capability.IMPORT_ZONE_KEY}


class AwsHsm:
    """An HSM in the cloud. See `keys.hsm.Hsm` for its questions."""

    name = "aws"
    is_inline = False
    capabilities = _CAPABILITIES

    def __init__(
        self,
        entries: Mapping[str, KeyEntry],
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        control_endpoint_url: str | None = None,
        connections: int = 16,
        budget: float = 0.1,
    ) -> None:
        """
        Take the keys that have a place here, by logical name; `open` looks for them.

        `connections` are threads too; `budget` is in seconds, for one question.
        """
        self._entries = [entry for entry in entries.values() if "aws" in entry.places]
        self._connections = connections
        self._budget = budget
        self._connect = partial(
            connect,
            region=region,
            endpoint_url=endpoint_url,
            control_endpoint_url=control_endpoint_url,
            connections=connections,
            budget=budget,
        )
        self._held: Mapping[str, HeldKey] = {}
        self._pool: Pool | None = None
        self._pin_blocks = PinBlockReader(self._ask)
        self._ping: Question | None = None

    async def open(self) -> None:
        """Compare every key with the control plane, then ask with each over warm connections."""
        if not self._entries:
            raise HsmRejected("aws: no key of the key file has a place here")
        self._held, clients = await asyncio.to_thread(self._prepare)
        asked = warming.questions(self._held.values())
        if not asked:
            raise HsmRejected("aws: no key of the key file is one that is asked with")
        pool = Pool(clients)
        try:
            await warming.warm(pool, asked, self._connections)
        except BaseException:
            await pool.close()
            raise
        hush()
        self._pool, self._ping = pool, asked[0]

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` where no key has this name, its check value is another, or it is for
        other uses.
        """
        key = self._find(ref)
        if key.usage not in usages:
            raise HsmRejected(f"key {ref.name!r}: is {key.usage}, not {' or '.join(usages)}")

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a card code; what has not its form is a mismatch."""
        question = card_codes.card_code(self._find(key), of, pan=pan, code=code)
        return Verdict.MISMATCH if question is None else await self._verify(question)

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block; whether it is one is asked beside."""
        zone = self._find(zone_key)
        question = pins.pin(
            reference,
            self._find(reference.key),
            zone,
            pin_block=pin_block,
            pin_block_format=pin_block_format,
            pan=pan,
        )
        if question is None:
            return Verdict.UNREADABLE
        # Both to their end, and no verdict without both: see `pin_blocks`.
        compared = asyncio.ensure_future(self._compared(question))
        reading = asyncio.ensure_future(
            self._pin_blocks.can_be_read(zone, pin_block, pin_block_format, pan)
        )
        try:
            await asyncio.wait((compared, reading))
        finally:
            compared.cancel()
            reading.cancel()
        (verdict, refusal), read = compared.result(), reading.result()
        if verdict is Verdict.MATCH:
            self._pin_blocks.was_right(zone, pin_block_format, could_be_read=read)
            return verdict
        if not read:
            return Verdict.UNREADABLE
        if refusal is not None:
            raise refusal  # the block can be read, so that something else was refused
        return verdict

    async def _compared(self, question: Question) -> tuple[Verdict, ParameterRefused | None]:
        try:
            return await self._verify(question), None
        except ParameterRefused as refusal:
            return Verdict.MISMATCH, refusal

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram; on a match answer it."""
        question = cryptograms.cryptogram(self._find(key), cryptogram, arpc_data=arpc_data)
        if question is None:
            return ArqcAnswer(Verdict.MISMATCH)
        answer = await self._ask(question)
        if answer is None:
            return ArqcAnswer(Verdict.MISMATCH)
        size = cryptograms.ARPC_LENGTHS[cryptogram.scheme.arpc]
        return ArqcAnswer(Verdict.MATCH, hex_of(question, answer, "AuthResponseValue", size))

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
        """Encipher a PIN block anew for another zone, for the same PAN; `HsmRejected` for a block
        that cannot be read.
        """
        question = pins.translation(
            self._find(from_key),
            self._find(to_key),
            from_format=from_format,
            to_format=to_format,
            pin_block=pin_block,
            pan=pan,
        )
        answer = await self._answer(question)
        return hex_of(question, answer, "PinBlock", pins.PIN_BLOCK_SIZES[to_format])

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code, the algorithm's full length."""
        question = macs.mac(self._find(key), data, algorithm=algorithm)
        answer = await self._answer(question)
        return hex_of(question, answer, "Mac", macs.mac_length(algorithm))

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code; less than four bytes of it is a mismatch."""
        question = macs.mac_verification(self._find(key), data, mac, algorithm=algorithm)
        if not macs.MAC_LENGTH_MIN <= len(mac) <= macs.mac_length(algorithm):
            return Verdict.MISMATCH
        if question is not None:
            return await self._verify(question)
        whole = await self.mac(key, data, algorithm=algorithm)
        same = hmac.compare_digest(whole[: len(mac)], mac)
        return Verdict.MATCH if same else Verdict.MISMATCH

    async def ping(self) -> None:
        """Ask about a made-up value; raise `HsmUnavailable` where no answer comes."""
        if self._pool is None or self._ping is None:
            raise HsmUnavailable("the AWS HSM is not open")
        try:
            await self._pool.run(partial(warming.reach, question=self._ping), self._budget)
        except HsmRejected as refusal:
            raise HsmUnavailable(f"{refusal}") from None

    async def close(self) -> None:
        """Let the connections go; every question after is answered `HsmUnavailable`."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def _prepare(self) -> tuple[dict[str, HeldKey], list[Any]]:
        """Look every key up, and make the clients that will ask with them; blocks."""
        control, clients = self._connect()
        try:
            return look_up(control, self._entries), clients
        finally:
            control.close()

    def _find(self, ref: KeyRef) -> HeldKey:
        """Find a key with the check value that is pinned for it."""
        if self._pool is None:
            raise HsmUnavailable("the AWS HSM is not open")
        key = self._held.get(ref.name)
        if key is None:
            raise HsmRejected(f"key {ref.name!r}: there is none of this name")
        if key.kcv != ref.kcv[:6].upper():
            raise HsmRejected(f"key {ref.name!r}: its check value is not the pinned one")
        return key

    async def _verify(self, question: Question) -> Verdict:
        return Verdict.MISMATCH if await self._ask(question) is None else Verdict.MATCH

    async def _answer(self, question: Question) -> Mapping[str, Any]:
        """Ask where nothing is verified, so that there is an answer or a failure."""
        answer = await self._ask(question)
        if answer is None:
            raise HsmUnavailable(f"aws: {question.operation}: the answer is none")
        return answer

    async def _ask(self, question: Question) -> Mapping[str, Any] | None:
        if self._pool is None:
            raise HsmUnavailable("the AWS HSM is not open")
        return await self._pool.run(partial(call, question=question), self._budget)
