"""
Zone keys that are exchanged with a scheme while both run (0800).

A scheme brings a new key, or asks to be sent one; operators have one sent. A key that we send is
read from the moment it is made, for the scheme may use it before its answer is here, and is the
link's key once the answer says 00. What is to be sent stands in the ledger until it is answered: a
message without an answer goes again as its own repeat, by whichever process finds it due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from keys.hsm import HsmRejected, HsmUnavailable, KeyRef
from keys.zone_keys import ZoneKeyForm, ZoneKeyHsm
from specs.sections import KeyExchange as Dialect
from specs.spec import Spec
from switch.flows.file_update import PAUSES, Line
from switch.flows.network import is_accepted
from switch.flows.reply import Reply, answer
from switch.flows.zone_keys import ZoneKeyring
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.zone_keys import KeyOffer, Place, ZoneKeys
from switch.rules.reason import Reason
from switch.wire import mti
from switch.wire.key_data import KeyData, read_key_data, write_key_data
from switch.wire.message import Message
from switch.wire.requests import NetworkRequest

NETWORK_MANAGEMENT = "0800"
_TRANSMISSION_DATETIME, _STAN, _RESPONSE_CODE, _NETWORK_CODE = 7, 11, 39, 70

#: How often the ledger is asked what is due, in seconds.
POLL_SECONDS = 1.0
#: DE39 of an answer that is none: the scheme is to be asked again.
AGAIN_LATER = frozenset({"91", "96"})
#: What speaks against a key, beside what the HSM says.
_USED_BEFORE = "the link had this key before: it is not taken again"

OnEvent = Callable[..., None]


@dataclass(frozen=True, slots=True)
class ZoneMaster:
    """The key of one link under which its zone keys travel, and what for."""

    key: KeyRef
    algorithm: str  #: of the zone keys: T or A, as the link's PIN blocks need them
    place: Place
    spec: Spec

    @property
    def dialect(self) -> Dialect:
        """How keys travel here."""
        assert self.spec.key_exchange is not None  # settings are refused  # noqa: S101
        return self.spec.key_exchange

    @property
    def form(self) -> ZoneKeyForm:
        """In which form they do."""
        return ZoneKeyForm(self.dialect.layout)


class KeyExchanges:
    """The exchanges of one link that its scheme begins."""

    def __init__(
        self,
        master: ZoneMaster,
        hsm: ZoneKeyHsm,
        rows: ZoneKeys,
        keyring: ZoneKeyring,
        *,
        on_event: OnEvent,
    ) -> None:
        """`on_event` is told of keys that are taken and refused, by their check value alone."""
        self._master = master
        self._hsm = hsm
        self._rows = rows
        self._keyring = keyring
        self._on_event = on_event

    def is_about_keys(self, request: NetworkRequest) -> bool:
        """Whether a network management request brings a key or asks for one."""
        dialect = self._master.dialect
        return request.code in dialect.new_key or request.code in dialect.ask_for_key

    async def take(self, request: NetworkRequest) -> Reply:
        """Answer such a request, once what it asks is committed.

        Raises `MessageError` where the key cannot be read, `HsmUnavailable` and
        `LedgerUnavailable` where nothing was decided: the scheme sends it again.
        """
        link = self._master.place.link
        if request.code in self._master.dialect.ask_for_key:
            if await self._rows.ask_exchange(link, "scheme"):
                self._on_event("key_exchange_asked", link=link)
            return Reply(answer(request.message, request.spec, reason=None))
        brought = read_key_data(request.message, request.spec)
        try:
            taken = await self._replace(brought, request.message)
        except HsmRejected as error:
            return self._refuse(request, brought, str(error))
        if taken == "used_before":
            return self._refuse(request, brought, _USED_BEFORE)
        if taken == "taken":
            await self._keyring.refresh()
            self._on_event("zone_key_taken", link=link, kcv=brought.kcv[:6])
        added = {self._master.dialect.field: brought.kcv}
        return Reply(
            answer(request.message, request.spec, reason=None, added=added),
            is_repeat=taken == "repeated",
        )

    async def _replace(self, brought: KeyData, message: Message) -> str:
        key = await self._hsm.import_zone_key(
            brought.wrapped,
            under=self._master.key,
            form=self._master.form,
            algorithm=self._master.algorithm,
            kcv=brought.kcv,
        )
        sent = message.fields[_STAN], message.fields[_TRANSMISSION_DATETIME]
        return await self._rows.take(self._master.place, key, source="scheme", message=sent)

    def _refuse(self, request: NetworkRequest, brought: KeyData, problem: str) -> Reply:
        """The key before stays. Why is ours to know: whoever guesses learns nothing from it."""
        self._on_event(
            "zone_key_refused",
            link=self._master.place.link, kcv=brought.kcv[:6], problem=problem,
        )  # fmt: skip
        code = self._master.dialect.refused
        refusal = answer(request.message, request.spec, reason=None, code=code)
        return Reply(refusal, reason=Reason.NOT_PERMITTED)


@dataclass(frozen=True, slots=True)
class KeyNetwork:
    """A scheme that is sent new keys."""

    master: ZoneMaster
    line: Line
    answer_seconds: float


class KeySender:
    """Sends schemes the keys that are to be sent, and keeps what they answer."""

    def __init__(
        self,
        rows: ZoneKeys,
        hsm: ZoneKeyHsm,
        keyring: ZoneKeyring,
        networks: Sequence[KeyNetwork],
        *,
        on_event: OnEvent,
        poll_seconds: float = POLL_SECONDS,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`on_event` is told what schemes answer, and where they do not."""
        self._rows = rows
        self._hsm = hsm
        self._keyring = keyring
        self._networks = networks
        self._on_event = on_event
        self._poll_seconds = poll_seconds
        self._pauses = pauses
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        for network in self._networks:
            self._spawn(self._poll(network))

    async def close(self) -> None:
        """Stop at once: what is not answered yet is sent again by the next process."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self, network: KeyNetwork) -> None:
        """One link's exchanges, one after another."""
        while True:
            await self._safely(network, self._look(network))
            await asyncio.sleep(self._poll_seconds)

    async def _look(self, network: KeyNetwork) -> None:
        if not network.line.can_ask:
            return
        pauses = [network.answer_seconds + pause for pause in self._pauses]
        link = network.master.place.link
        offer = await self._rows.claim(link, pauses)
        if offer is None:
            return
        if offer.key_data is None:
            offer = await self._make(network.master, offer)
            if offer is None:
                return
        message = _request(network.master, offer)
        reply = await network.line.ask(
            message,
            within=network.answer_seconds,
            on_late=lambda late: self._spawn(
                self._safely(network, self._settle(network.master, offer, late))
            ),
        )
        await self._settle(network.master, offer, reply)

    async def _make(self, master: ZoneMaster, offer: KeyOffer) -> KeyOffer | None:
        """Make the key and keep it before anybody is told; none where there is nothing to send."""
        try:
            made = await self._hsm.make_zone_key(
                under=master.key, form=master.form, algorithm=master.algorithm
            )
        except HsmRejected as error:
            await self._rows.settle(offer, master.place, "refused", "")
            self._on_event("key_exchange_refused", link=master.place.link, problem=str(error))
            return None
        data = write_key_data(made.wrapped, made.ours.kcv)
        if not await self._rows.offer(offer, master.place, made.ours, data):
            return None  # another process made one: it is sent when it is due
        await self._keyring.refresh()
        return replace(offer, key_data=data, kcv=made.ours.kcv)

    async def _settle(self, master: ZoneMaster, offer: KeyOffer, reply: Message | None) -> None:
        code = None if reply is None else reply.fields.get(_RESPONSE_CODE)
        about = {"link": master.place.link, "stan": offer.stan, "kcv": offer.kcv}
        if reply is None or code is None or code in AGAIN_LATER:
            self._on_event("key_exchange_unanswered", **about, count=offer.attempts)
            return
        is_ours = _says_our_check_value(reply, master.dialect, offer.kcv)
        accepted = is_accepted(reply, master.spec) and is_ours
        state = "accepted" if accepted else "refused"
        if await self._rows.settle(offer, master.place, state, code):
            await self._keyring.refresh()
            problem = None if is_ours else "it answered with another check value"
            self._on_event(f"key_exchange_{state}", **about, response_code=code, problem=problem)

    async def _safely(self, network: KeyNetwork, work: Coroutine[Any, Any, None]) -> None:
        """What is not done is due again, and comes again."""
        try:
            await work
        except (LedgerUnavailable, HsmUnavailable):
            pass  # the lanes and the HSM's guard tell of that
        except Exception as error:  # noqa: BLE001 - no exchange may end the others
            self._on_event("key_exchange_failed", link=network.master.place.link, error=error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _request(master: ZoneMaster, offer: KeyOffer) -> Message:
    """The 0800 that brings a key, or its 0801."""
    assert offer.key_data is not None  # noqa: S101
    fields = {
        _TRANSMISSION_DATETIME: offer.transmission_datetime,
        _STAN: offer.stan,
        _NETWORK_CODE: master.dialect.new_key[0],
        master.dialect.field: offer.key_data,
    }
    first, again = NETWORK_MANAGEMENT, mti.repeat(NETWORK_MANAGEMENT)
    return Message(again if offer.is_repeat else first, fields)


def _says_our_check_value(reply: Message, dialect: Dialect, kcv: str | None) -> bool:
    """Whether an answer's check value, where it has one, is that of the key we sent."""
    told = reply.fields.get(dialect.field, "").strip().upper()
    return not told or kcv is None or told[:6] == kcv[:6]
