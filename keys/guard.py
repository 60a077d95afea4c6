"""
An HSM that may be slow or gone, behind a breaker and a bounded number of questions.

It is an `Hsm` itself, so that nobody who asks knows of it. A question that is given up because its
time is over counts as an outage where the HSM had time to answer: a client that never waits long
enough would otherwise never learn that nobody answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from keys.breaker import Breaker, State
from keys.hsm import (
    ArqcAnswer,
    CardCode,
    Cryptogram,
    Hsm,
    HsmRejected,
    HsmUnavailable,
    KeyRef,
    MacAlgorithm,
    PinBlockFormat,
    PinReference,
    Verdict,
)
from keys.zone_keys import OfferedZoneKey, StoredZoneKey, ZoneKeyForm, zone_keys_of

T = TypeVar("T")

OnEvent = Callable[..., None]
#: Told of every question: its name, what became of it, the seconds that it took.
OnQuestion = Callable[[str, str, float], None]

#: An HSM that is not there at start is tried again after so many seconds, twice as many each time.
RETRY_FIRST, RETRY_MOST = 0.5, 15.0


async def until_answered(
    work: Callable[[], Awaitable[None]], backend: str, *, on_event: OnEvent
) -> None:
    """Do what an HSM must answer; where it does not, say so and try again until it does."""
    wait = RETRY_FIRST
    while True:
        try:
            await work()
        except HsmUnavailable as error:
            on_event("hsm_waiting", backend=backend, problem=str(error), seconds=wait)
            await asyncio.sleep(wait)
            wait = min(2 * wait, RETRY_MOST)
        else:
            return


class GuardedHsm:
    """An HSM with limits. See `keys.hsm.Hsm` for its questions."""

    is_inline = False

    def __init__(
        self,
        hsm: Hsm,
        *,
        patience: float,
        ping_every: float,
        in_flight_max: int,
        breaker: Breaker,
        on_event: OnEvent,
        on_question: OnQuestion,
    ) -> None:
        """`patience` is the seconds within which an HSM in order answers any question.
        One that is down is pinged every `ping_every` seconds until it is back.

        `on_event` is told of each change of the breaker, and of an HSM that is waited for.
        """
        self.name = hsm.name
        self.capabilities = hsm.capabilities
        self._hsm = hsm
        self._patience = patience
        self._ping_every = ping_every
        self._slots = asyncio.Semaphore(in_flight_max)
        self._breaker = breaker
        self._on_event = on_event
        self._on_question = on_question
        self._probing: asyncio.Task[None] | None = None
        self.in_flight = 0

    @property
    def state(self) -> State:
        """What becomes of a question now."""
        return self._breaker.state

    @property
    def is_down(self) -> bool:
        """Whether nothing is asked, for nobody answers."""
        return self._breaker.state is State.OPEN

    async def open(self) -> None:
        """Open the HSM; where it does not answer, say so and try again until it does."""
        await until_answered(self._hsm.open, self.name, on_event=self._on_event)

    def check(self, ref: KeyRef, *usages: str) -> None:
        """Raise `HsmRejected` unless the HSM has this key."""
        self._hsm.check(ref, *usages)

    async def verify_card_code(self, key: KeyRef, of: CardCode, *, pan: str, code: str) -> Verdict:
        """Compare a card code."""
        question = partial(self._hsm.verify_card_code, key, of, pan=pan, code=code)
        return await self._ask("verify_card_code", question)

    async def verify_pin(
        self,
        reference: PinReference,
        *,
        zone_key: KeyRef,
        pin_block: bytes,
        pin_block_format: PinBlockFormat,
        pan: str,
    ) -> Verdict:
        """Compare the PIN in an enciphered block with the card's reference."""
        question = partial(
            self._hsm.verify_pin,
            reference,
            zone_key=zone_key,
            pin_block=pin_block,
            pin_block_format=pin_block_format,
            pan=pan,
        )
        return await self._ask("verify_pin", question)

    async def verify_arqc(
        self, key: KeyRef, cryptogram: Cryptogram, *, arpc_data: bytes
    ) -> ArqcAnswer:
        """Compare an application cryptogram; on a match answer it."""
        question = partial(self._hsm.verify_arqc, key, cryptogram, arpc_data=arpc_data)
        return await self._ask("verify_arqc", question)

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
        """Encipher a PIN block anew for another zone, for the same PAN."""
        question = partial(
            self._hsm.translate_pin,
            from_key=from_key,
            from_format=from_format,
            to_key=to_key,
            to_format=to_format,
            pin_block=pin_block,
            pan=pan,
        )
        return await self._ask("translate_pin", question)

    async def mac(self, key: KeyRef, data: bytes, *, algorithm: MacAlgorithm) -> bytes:
        """Make a message's authentication code."""
        return await self._ask("mac", partial(self._hsm.mac, key, data, algorithm=algorithm))

    async def verify_mac(
        self, key: KeyRef, data: bytes, mac: bytes, *, algorithm: MacAlgorithm
    ) -> Verdict:
        """Compare a message's authentication code."""
        question = partial(self._hsm.verify_mac, key, data, mac, algorithm=algorithm)
        return await self._ask("verify_mac", question)

    async def import_zone_key(
        self, wrapped: str, *, under: KeyRef, form: ZoneKeyForm, algorithm: str, kcv: str
    ) -> StoredZoneKey:
        """Take a zone key that came under a zone master key."""
        zone_keys = zone_keys_of(self._hsm)
        question = partial(
            zone_keys.import_zone_key, wrapped, under=under, form=form, algorithm=algorithm, kcv=kcv
        )
        return await self._ask("import_zone_key", question)

    async def make_zone_key(
        self, *, under: KeyRef, form: ZoneKeyForm, algorithm: str
    ) -> OfferedZoneKey:
        """Make a zone key to be sent under a zone master key."""
        zone_keys = zone_keys_of(self._hsm)
        question = partial(zone_keys.make_zone_key, under=under, form=form, algorithm=algorithm)
        return await self._ask("make_zone_key", question)

    async def learn_zone_key(self, ref: KeyRef, stored: str) -> None:
        """Make a stored zone key usable."""
        question = partial(zone_keys_of(self._hsm).learn_zone_key, ref, stored)
        await self._ask("learn_zone_key", question)

    def forget_zone_key(self, ref: KeyRef) -> None:
        """Use a zone key no more."""
        zone_keys_of(self._hsm).forget_zone_key(ref)

    async def ping(self) -> None:
        """Return when the HSM answers."""
        await self._hsm.ping()

    async def close(self) -> None:
        """Close the HSM and ask it nothing more."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)
        await self._hsm.close()

    async def _ask(self, name: str, question: Callable[[], Awaitable[T]]) -> T:
        """Ask within the limits; tell what became of it."""
        if not self._breaker.may_ask():
            self._on_question(name, "refused", 0.0)
            raise HsmUnavailable("the breaker is open")
        asked_at = None
        try:
            async with self._slots:
                asked_at = time.monotonic()
                self.in_flight += 1
                try:
                    answer = await question()
                finally:
                    self.in_flight -= 1
        except HsmRejected:
            self._answered(name, "rejected", asked_at)
            raise
        except (HsmUnavailable, TimeoutError):
            self._failed(name, "unavailable", asked_at)
            raise HsmUnavailable("the HSM did not answer") from None
        except BaseException:  # the asker's time is over, mostly
            self._left(name, asked_at)
            raise
        self._answered(name, "answered", asked_at)
        return answer

    def _answered(self, name: str, outcome: str, asked_at: float | None) -> None:
        before = self._breaker.state
        self._breaker.answered()
        self._on_question(name, outcome, _since(asked_at))
        self._tell_change(before)

    def _failed(self, name: str, outcome: str, asked_at: float | None) -> None:
        before = self._breaker.state
        self._breaker.failed()
        self._on_question(name, outcome, _since(asked_at))
        self._tell_change(before)
        if self._breaker.state is State.OPEN and (self._probing is None or self._probing.done()):
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    def _left(self, name: str, asked_at: float | None) -> None:
        """The asker is gone: an outage where the HSM was asked and had half its time to answer."""
        if asked_at is not None and _since(asked_at) >= self._patience / 2:
            self._failed(name, "unavailable", asked_at)
        else:
            self._breaker.gave_up()
            self._on_question(name, "given_up", _since(asked_at))

    async def _probe(self) -> None:
        """Ping a dead HSM until it is back, also without traffic: a switch that is not ready gets
        none to find out by.
        """
        while self._breaker.state is State.OPEN:
            await asyncio.sleep(self._ping_every)
            try:
                async with asyncio.timeout(self._patience):
                    await self._hsm.ping()
            except (HsmUnavailable, TimeoutError):
                continue
            except HsmRejected:
                pass  # it answered
            self._breaker.pinged()
            self._tell_change(State.OPEN)

    def _tell_change(self, before: State) -> None:
        state = self._breaker.state
        if state is before:
            return
        self._on_event(
            "hsm_breaker", backend=self.name, state=state.value, count=self._breaker.failures
        )


def _since(asked_at: float | None) -> float:
    return 0.0 if asked_at is None else time.monotonic() - asked_at
