"""The admin port as the settings have it, over what the application has built."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

from switch.ledger.primary import Primary
from switch.ledger.reading import Reading
from switch.links.tls import Tls, TlsError
from switch.operate.admin import Admin
from switch.operate.admin.guard import read_token
from switch.operate.admin.pulse import Watched
from switch.settings import Settings
from switch.settings import Tls as TlsSettings

OnEvent = Callable[..., None]


async def serve(
    stack: contextlib.AsyncExitStack,
    settings: Settings,
    watched: Watched,
    primary: Primary,
    *,
    on_event: OnEvent,
) -> None:
    """Serve until the stack unwinds. `primary` is the database, for those who search.

    Raises `AdminError`, or refuses a setting whose file cannot be used.
    """
    address = settings.admin.listen
    assert address is not None  # noqa: S101 - asked only then
    connect_timeout = settings.database.connect_timeout_ms / 1000
    admin = Admin(
        address,
        watched,
        Reading(primary, connect_timeout=connect_timeout),
        token=read_token(settings.admin.token_file),
        tls=_context(settings, on_event=on_event),
        on_event=on_event,
    )
    await admin.start()
    stack.push_async_callback(admin.stop)


def _context(settings: Settings, *, on_event: OnEvent) -> ssl.SSLContext | None:
    """What every handshake begins with; it goes on with the files as they are by then."""
    files = settings.admin.tls
    if files.certificate is None:
        return None
    try:
        tls = Tls(TlsSettings(certificate=files.certificate, key=files.key), on_event=on_event)
    except TlsError as error:
        raise settings.refusal(f"admin.tls.{error.setting}", error.reason) from None
    context = tls.server_context()

    def newest(connection: ssl.SSLSocket | ssl.SSLObject, _name: str, _context: object) -> None:
        connection.context = tls.server_context()
        tls.warn()

    context.sni_callback = newest
    return context
