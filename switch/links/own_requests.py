"""Our own requests on a link, until they are answered: by MTI, DE7 and DE11."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import NamedTuple

from switch.wire import mti
from switch.wire.message import Message

#: STANs count to six digits, also where a dialect has room for more, and begin anew.
STANS = 1_000_000

#: Requests that are over whose answers are still known as such.
OVER_MAX = 1_024

_TRANSMISSION_DATETIME, _STAN = 7, 11

OnLate = Callable[[Message], None]
OnEvent = Callable[..., None]


class _Key(NamedTuple):
    """What an answer and its request share. A repeat has the key of its original."""

    mti: str  #: of the answer
    transmission_datetime: str | None
    stan: str | None


class OwnRequests:
    """What one link asked its peers. An answer may come over any of its connections."""

    def __init__(self, on_event: OnEvent, stan_digits: int = 6) -> None:
        """`on_event` is told of answers that come late. DE11 has so many digits."""
        self._stan_digits = stan_digits
        self._on_event = on_event
        self._waiting: dict[_Key, asyncio.Future[Message]] = {}
        self._over: dict[_Key, OnLate | None] = {}
        # Another process on the same link counts from elsewhere.
        self._stan = random.randrange(STANS)  # noqa: S311 - no secret

    def next_stan(self, transmission_datetime: str, answer_mti: str) -> str:
        """A STAN for a request that nothing of this link has at that time."""
        while True:
            self._stan = (self._stan + 1) % STANS
            stan = f"{self._stan:0{self._stan_digits}d}"
            key = _Key(answer_mti, transmission_datetime, stan)
            if self._stan and key not in self._waiting and key not in self._over:
                return stan

    async def answer_to(
        self, request: Message, *, within: float, on_late: OnLate | None = None
    ) -> Message | None:
        """Wait some seconds for the answer to a request; none where it does not come.

        `on_late` is given an answer that comes afterwards.
        """
        key = _key(mti.response(request.mti), request)
        waiting = asyncio.get_running_loop().create_future()
        self._waiting[key] = waiting
        try:
            async with asyncio.timeout(within):
                answer: Message = await waiting
        except TimeoutError:
            self._remember(key, on_late)
            return None
        else:
            self._remember(key, None)
            return answer
        finally:
            if self._waiting.get(key) is waiting:
                del self._waiting[key]

    def answered(self, message: Message) -> bool:
        """A response came: true where it answers a request of ours, even late or again."""
        key = _key(message.mti, message)
        waiting = self._waiting.get(key)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
            return True
        if waiting is None and key not in self._over:
            return False
        self._on_event("late_response", mti=message.mti, stan=key.stan)
        on_late = self._over.get(key)
        if on_late is not None:
            self._over[key] = None
            on_late(message)
        return True

    def _remember(self, key: _Key, on_late: OnLate | None) -> None:
        self._over.pop(key, None)
        self._over[key] = on_late
        if len(self._over) > OVER_MAX:
            del self._over[next(iter(self._over))]


def _key(answer_mti: str, message: Message) -> _Key:
    return _Key(answer_mti, message.fields.get(_TRANSMISSION_DATETIME), message.fields.get(_STAN))
