"""
Networks are told of cards: an issuer's file update (0302), and what its answer (0312) means.

What is to be told stands in the ledger, where operators put it, until the network has
answered. An update without an answer is sent again as its own repeat (0303), with the same
STAN and DE7, by whichever process finds it due. A network that answers late is heard.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keys.vault import Vault
from specs.spec import Spec
from switch.days import today
from switch.ledger.errors import LedgerUnavailable
from switch.ledger.file_updates import FileUpdate, FileUpdates
from switch.mask import mask_pan
from switch.wire import mti
from switch.wire.day import sent_on
from switch.wire.message import Message

#: How often the ledger is asked what is due, in seconds.
POLL_SECONDS = 2.0
#: How long after an answer should have come the repeat goes, in seconds, by the number of the
#: attempt; the last one for all that follow.
PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0)
#: Updates that one network is told at once.
AT_ONCE_MAX = 16

FILE_UPDATE = "0302"
_PAN, _TRANSMISSION_DATETIME, _STAN, _RESPONSE_CODE = 2, 7, 11, 39
_FILE_UPDATE_CODE, _FILE_NAME, _RECORD = 91, 101, 120

#: What operators are told of an answer, by the state that it brings.
_TOLD: Mapping[str, str] = {
    "accepted": "file_update_accepted",
    "refused": "file_update_refused",
    "waiting": "file_update_put_off",
}

OnEvent = Callable[..., None]


class Line(Protocol):
    """A link, as what is asked over it needs it."""

    @property
    def can_ask(self) -> bool:
        """Whether something can be sent now."""

    async def ask(
        self, request: Message, *, within: float, on_late: Callable[[Message], None]
    ) -> Message | None:
        """Send a request and wait some seconds for its answer; a later one goes to `on_late`."""


@dataclass(frozen=True, slots=True)
class Network:
    """A network that is told of cards."""

    link: str
    spec: Spec
    line: Line
    file_name: str  #: DE101
    answer_seconds: float  #: how long it may take to answer


def request_of(update: FileUpdate, pan: str, spec: Spec, file_name: str) -> Message:
    """The 0302 of an update, or its 0303.

    The record, where one is added, is the DE39 that the network is to answer for the card.
    """
    assert spec.file_updates is not None  # settings are refused where it is not  # noqa: S101
    fields = {
        _PAN: pan,
        _TRANSMISSION_DATETIME: update.transmission_datetime,
        _STAN: update.stan,
        _FILE_UPDATE_CODE: spec.file_updates.codes[update.action],
        _FILE_NAME: file_name,
    }
    if update.action == "add":
        fields[_RECORD] = spec.response_codes.at(update.status, sent_on(fields, today()))
    return Message(mti.repeat(FILE_UPDATE) if update.is_repeat else FILE_UPDATE, fields)


def state_after(update: FileUpdate, response_code: str, spec: Spec) -> str:
    """What an update comes to by its DE39: accepted, refused, or waiting to be told anew."""
    assert spec.file_updates is not None  # settings are refused where it is not  # noqa: S101
    if response_code in spec.file_updates.accepting[update.action]:
        return "accepted"
    return "waiting" if response_code in spec.file_updates.again_later else "refused"


class FileUpdater:
    """Tells networks what the ledger has for them, and keeps what they answer."""

    def __init__(
        self,
        updates: FileUpdates,
        vault: Vault,
        networks: Sequence[Network],
        *,
        on_event: OnEvent,
        poll_seconds: float = POLL_SECONDS,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """`on_event` is told what networks answer, and where they do not."""
        self.unanswered = 0  #: how much networks are still to be told or to answer
        self._updates = updates
        self._vault = vault
        self._networks = networks
        self._on_event = on_event
        self._poll_seconds = poll_seconds
        self._pauses = pauses
        self._tasks: set[asyncio.Task[None]] = set()
        self._telling = dict.fromkeys((network.link for network in networks), 0)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._spawn(self._poll())

    async def close(self) -> None:
        """Stop at once: what is not answered yet is told again by the next process."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _poll(self) -> None:
        while True:
            await self._safely(self._look())
            await asyncio.sleep(self._poll_seconds)

    async def _look(self) -> None:
        for network in self._networks:
            room = AT_ONCE_MAX - self._telling[network.link]
            if room and network.line.can_ask:
                pauses = [network.answer_seconds + pause for pause in self._pauses]
                for update in await self._updates.claim(network.link, room, pauses):
                    self._telling[network.link] += 1
                    self._spawn(self._tell(network, update))
        self.unanswered = await self._updates.unanswered()

    async def _tell(self, network: Network, update: FileUpdate) -> None:
        try:
            await self._safely(self._ask(network, update), link=network.link)
        finally:
            self._telling[network.link] -= 1

    async def _ask(self, network: Network, update: FileUpdate) -> None:
        pan = self._vault.open(update.pan_ciphertext, context=update.pan_token)
        told = _Told(network, update, mask_pan(pan))
        answer = await network.line.ask(
            request_of(update, pan, network.spec, network.file_name),
            within=network.answer_seconds,
            on_late=lambda late: self._spawn(
                self._safely(self._settle(told, late), link=network.link)
            ),
        )
        await self._settle(told, answer)

    async def _settle(self, told: _Told, answer: Message | None) -> None:
        code = None if answer is None else answer.fields.get(_RESPONSE_CODE)
        if code is None:
            self._on_event("file_update_unanswered", **told.fields, count=told.update.attempts)
            return
        state = state_after(told.update, code, told.network.spec)
        if await self._updates.settle(told.update, state, code):
            self._on_event(_TOLD[state], **told.fields, response_code=code)

    async def _safely(self, work: Coroutine[Any, Any, None], **about: object) -> None:
        """What is not done is due again, and comes again."""
        try:
            await work
        except LedgerUnavailable:
            pass  # the lanes tell of that
        except Exception as error:  # noqa: BLE001 - no update may end the others
            self._on_event("file_update_failed", **about, error=error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@dataclass(frozen=True, slots=True)
class _Told:
    """An update that was sent, and what may be written of it."""

    network: Network
    update: FileUpdate
    pan: str  #: masked

    @property
    def fields(self) -> dict[str, object]:
        return {
            "link": self.network.link,
            "account_id": self.update.account_id,
            "pan": self.pan,
            "stan": self.update.stan,
            "state": self.update.status,
        }
