"""What we say of ourselves on one connection: sign-on, echoes after a silence, sign-off.

An echo that stays unanswered is the one sign of a peer that is half open: connected, and gone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from specs.spec import Spec
from switch.flows.network import OURS, is_accepted, management_mti, own_request
from switch.links.connection import Connection
from switch.links.state import Happening
from switch.settings import Link as LinkSettings
from switch.wire import mti
from switch.wire.message import Message, MessageError, encode, require
from switch.wire.versions import version_of

#: How long a stopping link waits for the answer to its sign-off at most, in seconds.
SIGN_OFF_SECONDS = 2.0

#: Sends a request over one connection and waits some seconds for its answer. Raises `NotSent`.
Ask = Callable[[Connection, Message, float], Awaitable[Message | None]]
OnEvent = Callable[..., None]


class NotSent(Exception):
    """A request of ours did not leave: no MAC for it, or a peer that does not read."""


@dataclass(frozen=True, slots=True)
class Codes:
    """DE70, or DE24, of each request of ours; empty: it is not sent."""

    sign_on: str
    sign_off: str
    echo: str

    @classmethod
    def of(cls, settings: LinkSettings, spec: Spec) -> Codes:
        """Those of a link, or of its version; none where it does not manage its peers."""
        if not settings.manages_network:
            return cls("", "", "")
        ours = version_of(spec).network_codes

        def code(name: str, default: str) -> str:
            is_set = name in settings.model_fields_set
            return getattr(settings, name) if is_set else default

        echo = code("echo_code", ours.echo[0]) if settings.echo_after_s else ""
        return cls(
            code("sign_on_code", ours.sign_on[0]), code("sign_off_code", ours.sign_off[0]), echo
        )

    @property
    def are_any(self) -> bool:
        """Whether anything is sent at all."""
        return any((self.sign_on, self.sign_off, self.echo))


def added_fields(settings: LinkSettings) -> Mapping[int, str]:
    """What a scheme wants to see in our requests besides, by DE number."""
    pairs = (text.partition("=") for text in settings.network_fields)
    return {int(number): value for number, _, value in pairs}


class Session:
    """One connection, from its sign-on to its end."""

    def __init__(
        self,
        connection: Connection,
        settings: LinkSettings,
        spec: Spec,
        *,
        ask: Ask,
        next_stan: Callable[[str, str], str],
        on_happening: Callable[[Happening], None],
        on_echo: Callable[[], None],
        on_event: OnEvent,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._codes = Codes.of(settings, spec)
        self._spec = spec
        self._ask = ask
        self._next_stan = next_stan
        self._on_happening = on_happening
        self._on_echo = on_echo
        self._on_event = on_event
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Sign on, then see that the peer is there."""
        if self._codes.are_any:
            self._task = asyncio.get_running_loop().create_task(self._run())

    def end(self) -> None:
        """Say no more."""
        if self._task is not None:
            self._task.cancel()

    async def sign_off(self) -> None:
        """Tell the peer that we go, once; its answer is waited for a short time."""
        self.end()
        if not self._codes.sign_off:
            return
        seconds = min(SIGN_OFF_SECONDS, self._settings.network_answer_s)
        answer = None
        try:
            async with asyncio.timeout(seconds):  # its MAC may be waited for too
                request = self._request(self._codes.sign_off)
                answer = await self._ask(self._connection, request, seconds)
        except NotSent:
            return
        except TimeoutError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the switch goes on stopping
            self._tell("fault", error=error)
            return
        if answer is None:
            self._tell("network_unanswered", problem="sign_off", count=1)

    async def _run(self) -> None:
        try:
            if self._codes.sign_on and not await self._sign_on():
                self._connection.close()
            elif self._codes.echo and not await self._watch():
                self._connection.abort()  # nobody is there to read what waits
        except Exception as error:  # noqa: BLE001 - a bug here must be told, and end no more than this
            self._tell("fault", error=error)
            self._connection.close()

    async def _sign_on(self) -> bool:
        answer = await self._answered("sign_on", self._codes.sign_on)
        if answer is None:
            return False
        if not is_accepted(answer, self._spec):
            self._tell("sign_on_refused", response_code=answer.fields.get(39))
            return False
        self._on_happening(Happening.SIGNED_ON)
        return True

    async def _watch(self) -> bool:
        """Ask whenever it is silent; false once it does not answer."""
        while True:
            silent = time.monotonic() - self._connection.heard_at
            if silent < self._settings.echo_after_s:
                await asyncio.sleep(self._settings.echo_after_s - silent)
            elif await self._answered("echo", self._codes.echo) is None:
                return False
            else:
                self._on_echo()

    async def _answered(self, name: str, code: str) -> Message | None:
        """The answer to a request, which is repeated until `unanswered_max`; then there is none."""
        first = self._request(code)
        request, unanswered, seconds = first, 0, self._settings.network_answer_s
        while unanswered < self._settings.unanswered_max:
            asked_at = time.monotonic()
            try:
                answer = await self._ask(self._connection, request, seconds)
            except NotSent:
                await asyncio.sleep(seconds)
                continue
            # An answer that came over another connection says nothing of this one.
            if answer is not None and self._connection.heard_at >= asked_at:
                return answer
            unanswered += 1
            self._tell("network_unanswered", problem=name, count=unanswered)
            await asyncio.sleep(max(0.0, asked_at + seconds - time.monotonic()))
            request = Message(mti.repeat(first.mti), first.fields)
        return None

    def _request(self, code: str) -> Message:
        now = datetime.now(UTC)
        request = own_request(
            self._spec, code, stan="000001", at=now, added=added_fields(self._settings)
        )
        stan = self._next_stan(request.fields[7], mti.response(request.mti))
        return Message(request.mti, {**request.fields, 11: stan})

    def _tell(self, name: str, **fields: object) -> None:
        self._on_event(name, peer=self._connection.peer, **fields)


def try_requests(settings: LinkSettings, spec: Spec) -> None:
    """Make every request of ours once. Raises `ValueError` where the dialect cannot say it."""
    codes = Codes.of(settings, spec)
    if not codes.are_any:
        return
    if management_mti(spec) is None:
        raise ValueError(f"{spec.name} has no network management")
    added = added_fields(settings)
    if ours := sorted(added.keys() & OURS):
        raise ValueError(f"DE{ours[0]} is the switch's own to fill")
    for code in filter(None, (codes.sign_on, codes.sign_off, codes.echo)):
        request = own_request(spec, code, stan="000001", at=datetime.now(UTC), added=added)
        try:
            require(request, spec)
            encode(request, spec)
        except MessageError as error:
            raise ValueError(f"field {error.field}: {error.problem}") from None
