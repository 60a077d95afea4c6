"""Who may come in by a link: by the peer's address, and by its certificate where there is TLS."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable
from typing import cast

from switch.links import certificates
from switch.links.certificates import CertificateError
from switch.links.tls import Tls, TlsError
from switch.links.tls_transport import TlsConnection
from switch.settings import Link as LinkSettings
from switch.settings import Settings

OnEvent = Callable[..., None]

#: Handshakes of a link that may be under way. One more ends the oldest: a peer in earnest is done
#: in a few round trips.
HANDSHAKES_MAX = 256
#: How often the files are looked at while nobody connects, in seconds.
LOOK_SECONDS = 5.0


class Door:
    """The way into one link, and out of it where it dials."""

    def __init__(self, settings: LinkSettings, *, on_event: OnEvent) -> None:
        """`on_event` is told of refusals, with the link's name. Raises `TlsError`."""
        self._link = settings.name
        self._on_event = on_event
        self._peers = tuple(ipaddress.ip_network(peer) for peer in settings.peers)
        self.tls = Tls(settings.tls, on_event=self._event) if settings.tls.is_on else None
        self._server_name = settings.tls.server_name
        self._shaking: dict[TlsConnection, None] = {}  # the oldest first
        self._looking: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Begin to look at the files, and tell of what ends soon."""
        if self.tls is not None:
            self.tls.look()
            self.tls.warn()
            self._looking = asyncio.get_running_loop().call_later(LOOK_SECONDS, self.open)

    def close(self) -> None:
        """Look no more, and end what is not connected yet."""
        if self._looking is not None:
            self._looking.cancel()
        for connection in tuple(self._shaking):
            connection.abort("the switch is stopping")

    def protocol(self, carried: asyncio.Protocol) -> asyncio.Protocol:
        """The protocol for a connection that comes: it is checked first, then carried on."""
        return _Checked(self, carried) if self._peers or self.tls is not None else carried

    async def dial(
        self, carried: asyncio.Protocol, host: str, port: int, *, server_name: str = ""
    ) -> None:
        """Connect to a peer. `carried` is connected when the handshake is done.

        `server_name` is that of the peer's certificate; empty: that of the settings, else the
        host. Raises `OSError` where there is no connection, with what was wrong as its
        `strerror`. Cancelled, it closes.
        """
        loop = asyncio.get_running_loop()
        if self.tls is None:
            await loop.create_connection(lambda: carried, host, port)
            return
        ended = loop.create_future()

        def on_done(problem: str | None) -> None:
            if not ended.done():
                ended.set_result(problem)

        tls = self.tls
        context, name = tls.client_context(), server_name or self._server_name or host
        transport, _ = await loop.create_connection(
            lambda: self._tls_connection(tls, carried, context, on_done, name), host, port
        )
        try:
            problem = await ended
        except asyncio.CancelledError:
            transport.abort()
            raise
        if problem is not None:
            raise ConnectionAbortedError(0, problem)  # the system has no number for it

    # What a connection that comes asks.

    def refusal_of(self, host: str) -> str | None:
        """Why a peer of that address may not come in."""
        if not self._peers:
            return None
        try:
            address = ipaddress.ip_address(host.partition("%")[0])
        except ValueError:
            return "address unknown"
        mapped = getattr(address, "ipv4_mapped", None)
        if any((mapped or address) in network for network in self._peers):
            return None
        return "address not allowed"

    def refused(self, peer: str, problem: str) -> None:
        """Tell of a peer that may not come in by its address."""
        self._event("connection_refused", peer=peer, problem=problem)

    def shake(self, carried: asyncio.Protocol, peer: str) -> asyncio.Protocol:
        """What carries on a connection that may come in by its address."""
        if self.tls is None:
            return carried
        if len(self._shaking) >= HANDSHAKES_MAX:
            next(iter(self._shaking)).abort("too many handshakes at once")

        def on_done(problem: str | None) -> None:
            self._shaking.pop(connection, None)
            if problem is not None:
                self._event("tls_refused", peer=peer, problem=problem, **_subject(connection))

        connection = self._tls_connection(
            self.tls, carried, self.tls.server_context(), on_done, None, peer
        )
        self._shaking[connection] = None
        return connection

    def _tls_connection(
        self,
        tls: Tls,
        carried: asyncio.Protocol,
        context: ssl.SSLContext,
        on_done: Callable[[str | None], None],
        server_hostname: str | None,
        peer: str = "",
    ) -> TlsConnection:
        return TlsConnection(
            carried,
            context,
            within=tls.handshake_seconds,
            refusal=tls.refusal,
            on_done=on_done,
            on_broken=lambda problem: self._event(
                "tls_broken", peer=peer or server_hostname, problem=problem
            ),
            server_hostname=server_hostname,
        )

    def _event(self, name: str, **fields: object) -> None:
        self._on_event(name, link=self._link, **fields)


class _Checked(asyncio.Protocol):
    """A connection that came, until its address is looked at."""

    def __init__(self, door: Door, carried: asyncio.Protocol) -> None:
        self._door = door
        self._carried = carried

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the peer, or hand it on."""
        transport = cast("asyncio.Transport", transport)
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        peer = f"{host}:{port}"
        problem = self._door.refusal_of(host)
        if problem is not None:
            self._door.refused(peer, problem)
            transport.abort()
            return
        protocol = self._door.shake(self._carried, peer)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def doors_of(settings: Settings, *, on_event: OnEvent) -> dict[str, Door]:
    """The door of each link by its name. Refuses settings whose files cannot be used."""
    doors = {}
    for index, link in enumerate(settings.links):
        try:
            doors[link.name] = Door(link, on_event=on_event)
        except TlsError as error:
            key = f"links[{index}].tls.{error.setting}"
            raise settings.refusal(key, error.reason) from None
    return doors


def _subject(connection: TlsConnection) -> dict[str, str]:
    """Whose certificate a refused peer has, where its CA vouches for it."""
    try:
        der = connection.object.getpeercert(binary_form=True)
        return {"certificate": certificates.identities(der)[0].removeprefix("DN:")} if der else {}
    except (ValueError, CertificateError):  # no handshake yet
        return {}
