"""From a frame to its answer: decode, route by MTI, and turn faults into answers."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from keys.hsm import HsmRejected, HsmUnavailable
from specs.spec import Spec
from switch.deadline import Deadline
from switch.flows.authentication import Authentication, MacMismatch, at_once
from switch.flows.authorization import authorize
from switch.flows.booking import book
from switch.flows.exchange import Exchange
from switch.flows.issuer import Issuer
from switch.flows.key_exchange import KeyExchanges
from switch.flows.network import manage
from switch.flows.reply import Reply, answer
from switch.flows.shedding import Shedding
from switch.ledger.errors import LedgerUnavailable, Overloaded
from switch.ledger.unwind import JournalError
from switch.rules.reason import Reason
from switch.wire import mti
from switch.wire.message import Message, MessageError, decode, require
from switch.wire.originals import LaterRequest
from switch.wire.requests import AuthorizationRequest, NetworkRequest
from switch.wire.versions import version_of

OnEvent = Callable[..., None]
Flow = Callable[["Router", Exchange, Message], Awaitable[Reply | None]]

#: How long the database is waited for to book what already happened, in seconds. What is not
#: booked by then is not answered: its sender repeats it.
BOOKING_SECONDS = 30.0

#: What an answer cannot do without: DE7 and DE11 tell the sender which request it is to.
_ADDRESS = (7, 11)
_STAN = 11


class Router:
    """One link's way through the flows."""

    def __init__(
        self,
        link: str,
        spec: Spec,
        issuer: Issuer,
        *,
        on_event: OnEvent,
        key_exchanges: KeyExchanges | None = None,
    ) -> None:
        """`on_event` is told of frames that were no messages, and of bugs. Without key exchanges a
        message that brings a key is not supported.
        """
        self._key_exchanges = key_exchanges
        self._link = link
        self._spec = spec
        self._issuer = issuer
        self._on_event = on_event
        self._macs = Authentication(link, spec, issuer)
        self.shedding = Shedding(partial(on_event, link=link))
        #: Takes a response; false where nobody asked for it.
        self.on_response: Callable[[Message], bool] = lambda _: False

    @property
    def spec(self) -> Spec:
        """The link's dialect."""
        return self._spec

    async def exchange(self, payload: bytes, deadline: Deadline) -> Exchange:
        """Answer one frame. Never raises; an exchange without an answer is not answered."""
        exchange = Exchange(self._link, deadline, len(payload), version_of(self._spec))
        try:
            exchange.reply = await self._reply(exchange, payload) or exchange.reply
            await self._encode(exchange)
        except JournalError as error:
            # What may yet commit cannot be promised to be taken back: no answer is safe.
            self._fault(exchange, error)
        except Exception as error:  # noqa: BLE001 - the one place where a bug becomes an answer
            await self._bug(exchange, error)
        return exchange

    def shed(self, payload: bytes, deadline: Deadline) -> Exchange | None:
        """Answer one frame 91 without deciding it: there is too much in flight.

        None for an advice or a reversal: what already happened is never shed. Nor is a new zone
        key, without which PINs could not be read, nor what costs nothing: a response, an
        acknowledgement. No MAC is verified, for whoever sends too much would take the HSM too;
        where one cannot be made at once there is no answer.
        """
        exchange = Exchange(
            self._link, deadline, len(payload), version_of(self._spec), fault="overload"
        )
        try:
            message = exchange.message = decode(payload, self._spec)
            flow = self._flow(message)
            if flow in (Router._book, Router._acknowledged) or not self._is_for_us(message):
                return None
            exchange.has_mac = self._macs.is_brought(payload)
            is_mac_due = self._macs.is_due(message.mti, brought=exchange.has_mac)
            if flow is Router._network:
                if is_mac_due:
                    return None
                # An echo costs nothing, and a scheme takes a link down whose echoes fail.
                require(message, self._spec)
                request = NetworkRequest.parse(message, self._spec)
                if self._exchange_of(request) is not None:
                    return None
                exchange.reply = manage(request)
                at_once(self._encode(exchange))
                return exchange
            self.shedding.refused("overload")
            if self._macs.is_inline or not is_mac_due:
                at_once(self._answer_fault(exchange, Reason.UNAVAILABLE))
        except MessageError as error:
            self._unreadable(exchange, error)
        return exchange

    async def request_bytes(self, request: Message) -> bytes | None:
        """A request of ours as it goes on the wire; none where no MAC is made that it needs."""
        try:
            return await self._macs.encode(request, by=math.inf)
        except HsmUnavailable:
            self._on_event("mac_not_made", link=self._link, mti=request.mti)
            return None

    async def _reply(self, exchange: Exchange, payload: bytes) -> Reply | None:
        try:
            message = await self._read(exchange, payload)
            if not self._is_for_us(message):
                if self.on_response(message):
                    exchange.outcome = "taken"
                else:
                    self._on_event("unsolicited_response", link=self._link, mti=message.mti)
                return None
            flow = self._flow(message)
            if flow is None:
                return _refusal(message, self._spec, Reason.NOT_SUPPORTED)
            require(message, self._spec)
            return await flow(self, exchange, message)
        except MessageError as error:
            return self._unreadable(exchange, error)
        except MacMismatch as error:
            return self._unauthentic(exchange, error)
        except (LedgerUnavailable, HsmUnavailable) as error:
            exchange.fault = type(error).__name__
            assert exchange.message is not None  # noqa: S101 - nothing is asked before it is read
            if not _is_refusable(exchange.message):
                return None  # not booked, so not answered: the sender repeats it
            if isinstance(error, Overloaded):
                self.shedding.refused(exchange.fault)
            return _refusal(exchange.message, self._spec, Reason.UNAVAILABLE)

    async def _read(self, exchange: Exchange, payload: bytes) -> Message:
        """The message, once it is known to be authentic.

        What cannot be read is authenticated too, before its sender is told anything.
        """
        unreadable: MessageError | None = None
        try:
            exchange.message = decode(payload, self._spec)
        except MessageError as error:
            unreadable, exchange.message = error, error.readable
        exchange.watch.lap("parse_us")
        try:
            message = exchange.message
            if message is not None and self._macs.has_key:
                in_time = exchange.deadline.decide_by if _is_refusable(message) else math.inf
                await self._macs.check(exchange, message.mti, payload, by=in_time)
            if unreadable is not None:
                raise unreadable
        finally:
            del unreadable  # its traceback has this frame: nothing of it is to live on in a cycle
        assert message is not None  # noqa: S101 - it is readable
        return message

    def _flow(self, message: Message) -> Flow | None:
        """What we do with it; none where the dialect or we have no such class."""
        is_known = mti.without_repeat(message.mti) in self._spec.classes
        return ROUTES.get(mti.what(message.mti)) if is_known else None

    def _is_for_us(self, message: Message) -> bool:
        """A request, or an acknowledgement of an answer of ours where the dialect has them."""
        return mti.is_request(message.mti) or self._flow(message) is Router._acknowledged

    def _wants_answer(self, message: Message) -> bool:
        """A request that is none of the acknowledgements, which end an exchange."""
        return mti.is_request(message.mti) and self._flow(message) is not Router._acknowledged

    def _card_request(self, exchange: Exchange, message: Message) -> AuthorizationRequest:
        exchange.request = AuthorizationRequest.parse(
            message,
            self._spec,
            link=self._link,
            deadline=exchange.deadline,
            watch=exchange.watch,
        )
        exchange.watch.lap("parse_us")
        return exchange.request

    async def _authorization(self, exchange: Exchange, message: Message) -> Reply:
        return await authorize(self._card_request(exchange, message), self._issuer)

    async def _book(self, exchange: Exchange, message: Message) -> Reply:
        exchange.deadline = Deadline.patient(exchange.deadline.received_at, BOOKING_SECONDS)
        later = LaterRequest.parse(self._card_request(exchange, message))
        task = BOOKED[mti.what(message.mti)]
        return await book(later, task, self._issuer)

    async def _acknowledged(self, exchange: Exchange, message: Message) -> None:
        """An acknowledgement is not answered. A negative one takes back what it is about."""
        if mti.what(message.mti) == "190":
            exchange.reply = await self._book(exchange, message)
        exchange.outcome = "unanswered"

    async def _administrative(self, _: Exchange, message: Message) -> Reply:
        return Reply(answer(message, self._spec, reason=None))

    async def _network(self, _: Exchange, message: Message) -> Reply:
        request = NetworkRequest.parse(message, self._spec)
        keys = self._exchange_of(request)
        return manage(request) if keys is None else await keys.take(request)

    def _exchange_of(self, request: NetworkRequest) -> KeyExchanges | None:
        """What answers a message about keys; none for any other."""
        keys = self._key_exchanges
        return keys if keys is not None and keys.is_about_keys(request) else None

    async def _bug(self, exchange: Exchange, error: Exception) -> None:
        """Answer 96, once an approval that cannot be told is sure to be taken back."""
        if exchange.message and mti.what(exchange.message.mti) in BOOKED:
            self._fault(exchange, error)  # never declined: its sender repeats it
            return
        try:
            await take_back(exchange, self._issuer)
        except JournalError as unsafe:
            self._fault(exchange, unsafe)
            return
        self._fault(exchange, error)
        await self._answer_fault(exchange, Reason.SYSTEM_ERROR)

    def _unreadable(self, exchange: Exchange, error: MessageError) -> Reply | None:
        """Log what and where, never bytes; answer 30 where there is someone to answer."""
        self._on_event(
            "message_error",
            link=self._link,
            problem=error.problem,
            field=error.field,
            offset=error.offset,
            length=exchange.length,
        )
        message = exchange.message = error.readable or exchange.message
        if message is None or not self._wants_answer(message):
            return None
        if any(number not in message.fields for number in _ADDRESS):
            return None
        return _refusal(message, self._spec, Reason.FORMAT_ERROR)

    def _unauthentic(self, exchange: Exchange, error: MacMismatch) -> Reply | None:
        """Log it, never bytes; refuse a request.

        An advice is not answered: it may be true under a key that is newer or older than ours,
        and its sender repeats it.
        """
        message = exchange.message
        assert message is not None  # noqa: S101 - nothing is asked before it is read
        stan = message.fields.get(_STAN)
        self._on_event(
            "mac_mismatch", link=self._link, mti=message.mti, stan=stan, problem=error.problem
        )
        if not _is_refusable(message) or any(number not in message.fields for number in _ADDRESS):
            exchange.fault = type(error).__name__
            return None
        return _refusal(message, self._spec, Reason.MAC_MISMATCH)

    async def _encode(self, exchange: Exchange) -> None:
        if exchange.reply is None or exchange.outcome == "unanswered":
            return
        try:
            exchange.answer = await self._macs.encode(
                exchange.reply.message, brought=exchange.has_mac, by=exchange.deadline.answer_by
            )
        except HsmUnavailable as error:
            # Without its MAC nobody takes it for an answer.
            exchange.fault = type(error).__name__
            self._on_event("mac_not_made", link=self._link, mti=exchange.reply.message.mti)
            await take_back(exchange, self._issuer)
        exchange.watch.lap("reply_us")

    async def _answer_fault(self, exchange: Exchange, reason: Reason) -> None:
        message = exchange.message
        if message is None or not self._wants_answer(message):
            return
        exchange.reply = _refusal(message, self._spec, reason)
        try:
            await self._encode(exchange)
        except (MessageError, HsmRejected) as error:
            self._fault(exchange, error)

    def _fault(self, exchange: Exchange, error: Exception) -> None:
        exchange.fault = type(error).__name__
        exchange.reply = exchange.answer = None
        self._on_event("fault", link=self._link, error=error)


#: What already happened, by class and function: what the ledger does with it.
BOOKED: Mapping[str, str] = {
    "120": "advise",
    "190": "reverse",
    "220": "complete",
    "400": "reverse",
    "420": "reverse",
}
#: What we do, by the same (`mti.what`). Any other request is not supported.
ROUTES: Mapping[str, Flow] = {
    "100": Router._authorization,
    "200": Router._authorization,
    "120": Router._book,
    "220": Router._book,
    "400": Router._book,
    "420": Router._book,
    "180": Router._acknowledged,
    "190": Router._acknowledged,
    "620": Router._administrative,
    "800": Router._network,
    "804": Router._network,
}


def _is_refusable(message: Message) -> bool:
    """A request of which nothing has happened yet: it can be refused. Neither is an advice."""
    return message.mti[2] == "0" and mti.what(message.mti) not in BOOKED


def _refusal(message: Message, spec: Spec, reason: Reason) -> Reply:
    return Reply(answer(message, spec, reason=reason), reason=reason)


async def take_back(exchange: Exchange, issuer: Issuer) -> bool:
    """An approval did not leave in time: see that it is taken back. True where there was one."""
    if exchange.reply is None or exchange.reply.undo is None:
        return False
    await issuer.ledger.take_back(exchange.reply.undo)
    return True
