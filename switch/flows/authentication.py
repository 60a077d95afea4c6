"""
Message authentication: the MAC of what comes is verified, and what goes has one.

Where a link has a MAC key, nothing is done about a message before its MAC is known to be right,
and nothing is written without one. An HSM that does not answer is an outage, never a mismatch:
then there is no answer either, for what says so would need a MAC.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

from keys.hsm import HsmUnavailable, Verdict
from specs.spec import Spec
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer, MacZone
from switch.wire.mac import Authenticated, encode_with_room, put_mac, split_mac
from switch.wire.message import Message, encode

_NETWORK = "8"  # the class digit of an MTI

_Answer = TypeVar("_Answer")


class MacMismatch(Exception):
    """A message whose MAC is wrong or missing: `problem` says which."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class Authentication:
    """The MACs of one link; of one without a key there are none."""

    def __init__(self, link: str, spec: Spec, issuer: Issuer) -> None:
        self._link = link
        self._spec = spec
        self._issuer = issuer

    @property
    def _zone(self) -> MacZone | None:
        return self._issuer.mac_zones.get(self._link)

    @property
    def has_key(self) -> bool:
        """Whether there is anything to verify."""
        return self._zone is not None

    @property
    def is_inline(self) -> bool:
        """Whether a MAC is made without waiting for anything."""
        return self._issuer.hsm.is_inline

    def is_due(self, mti: str, *, brought: bool) -> bool:
        """Whether a message must have a MAC, or the answer to one that brought none or did.

        A network message without one is answered without, where the link does not ask for it.
        """
        zone = self._zone
        return zone is not None and (brought or zone.on_network or mti[1] != _NETWORK)

    def is_brought(self, payload: bytes) -> bool:
        """Whether a message brings a MAC, right or wrong."""
        return self._zone is not None and split_mac(payload, self._spec) is not None

    async def check(self, exchange: Exchange, mti: str, payload: bytes, *, by: float) -> None:
        """Return for an authentic message, and where the link has no key.

        Raises `MacMismatch`, and `HsmUnavailable` where nobody can tell by then.
        """
        zone = self._zone
        if zone is None:
            return
        brought = split_mac(payload, self._spec)
        if brought is None:
            if self.is_due(mti, brought=False):
                raise MacMismatch("missing")
            return
        exchange.has_mac = True
        try:
            await self._verify(zone, brought, self._until(by))
        finally:
            exchange.watch.lap("mac_us")

    async def _verify(self, zone: MacZone, brought: Authenticated, until: float) -> None:
        data = zone.pad(brought.data)
        for key in zone.keys:
            question = self._issuer.hsm.verify_mac(key, data, brought.mac, algorithm=zone.algorithm)
            if await self._by(question, until) is Verdict.MATCH:
                return
        raise MacMismatch("wrong")

    async def encode(self, message: Message, *, brought: bool = False, by: float) -> bytes:
        """Write a message, with its MAC where one is due; `brought`: its request had one.

        Raises `HsmUnavailable` where none is made by then.
        """
        zone = self._zone
        if zone is None or not self.is_due(message.mti, brought=brought):
            return encode(message, self._spec)
        payload = encode_with_room(message, self._spec)
        room = split_mac(payload, self._spec)
        assert room is not None  # noqa: S101 - it was just made
        question = self._issuer.hsm.mac(zone.keys[0], zone.pad(room.data), algorithm=zone.algorithm)
        mac = await self._by(question, self._until(by))
        return put_mac(payload, mac, self._spec)

    def _until(self, by: float) -> float:
        return min(time.monotonic() + self._issuer.hsm_budget, by)

    async def _by(self, question: Coroutine[Any, Any, _Answer], until: float) -> _Answer:
        if self.is_inline:  # without a timer, which costs more than the answer
            return await question
        try:
            async with asyncio.timeout_at(until):
                return await question
        except TimeoutError:
            pass
        raise HsmUnavailable("no answer in time")


def at_once(work: Coroutine[Any, Any, None]) -> None:
    """Do here and now what should wait for nothing. What would wait is given up."""
    with contextlib.suppress(StopIteration):
        work.send(None)
    work.close()
