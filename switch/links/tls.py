"""
TLS of a link: its files become contexts, are read again when they change, and say who may come in.

A peer's certificate must be of `client_ca` (of `server_ca` where we dial out), in its time, and
where there is an allow-list on it.
"""

from __future__ import annotations

import os
import ssl
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from switch.links import certificates
from switch.links.certificates import CertificateError
from switch.settings import Tls as TlsSettings

OnEvent = Callable[..., None]

#: Of TLS 1.2: forward secrecy and authenticated encryption. Those of TLS 1.3 are all such.
CIPHERS = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20"
#: So long before the end of a certificate it is told, and how often, in seconds.
WARN_SECONDS, WARN_EVERY_SECONDS = 30 * 86_400, 86_400
#: Rights to a key file that nobody but owner and group may have, and no group.
_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP | stat.S_IXGRP


class TlsError(Exception):
    """Files or names that cannot be used: the setting, and why."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting}: {reason}")
        self.setting = setting  #: within links[].tls: certificate, allow[1]
        self.reason = reason


class Material(NamedTuple):
    """What the files of one moment make."""

    server: ssl.SSLContext | None  #: none where there is no certificate of ours
    client: ssl.SSLContext
    expires_at: float | None  #: of our certificate and its chain, seconds since 1970
    ends: dict[Path, float]  #: when each file is no longer good


class Tls:
    """TLS of one link, always with the newest files that can be used."""

    def __init__(self, settings: TlsSettings, *, on_event: OnEvent) -> None:
        """Read all files. Raises `TlsError` for the first that cannot be used."""
        self._settings = settings
        self._on_event = on_event
        self.handshake_seconds = settings.handshake_timeout_ms / 1000
        self._allowed = frozenset(_allowed(settings))
        self._seen = self._state_of_files()
        self._material = material(settings)
        self._warned_at: float | None = None

    @property
    def expires_at(self) -> float:
        """When our certificate is no longer good, in seconds since 1970; NaN where we have none."""
        expires_at = self._material.expires_at
        return float("nan") if expires_at is None else expires_at

    def server_context(self) -> ssl.SSLContext:
        """For a connection that came: the files as they are now."""
        self.look()
        assert self._material.server is not None  # noqa: S101 - the settings refuse it
        return self._material.server

    def client_context(self) -> ssl.SSLContext:
        """For a connection that we make: the peer is verified, its host name too."""
        self.look()
        return self._material.client

    def look(self) -> None:
        """Read the files again where one has changed; what cannot be used changes nothing."""
        seen = self._state_of_files()
        if seen != self._seen:
            self._seen = seen
            try:
                self._material = material(self._settings)
            except TlsError as error:
                self._on_event("tls_reload_failed", problem=str(error))
            else:
                self._on_event("tls_reloaded", path=_name(self._settings.certificate))
                self._warned_at = None

    def warn(self) -> None:
        """Tell once a day of what ends soon, or has ended."""
        now = time.time()
        if self._warned_at is not None and now - self._warned_at < WARN_EVERY_SECONDS:
            return
        self._warned_at = now
        for path, end in self._material.ends.items():
            if end - now < WARN_SECONDS:
                problem = "has expired" if end <= now else "expires soon"
                self._on_event(
                    "tls_certificate_expiring",
                    path=path.name,
                    problem=problem,
                    seconds=int(end - now),
                )

    def refusal(self, connection: ssl.SSLObject) -> str | None:
        """Why the peer may not come in after its handshake; none where it may."""
        der = connection.getpeercert(binary_form=True)
        if der is None:
            # No client certificate is asked for; a server without one has no handshake.
            return None
        # Looked at again: a session that is resumed is not verified again.
        ends = str((connection.getpeercert() or {}).get("notAfter", ""))
        if ends and ssl.cert_time_to_seconds(ends) < time.time():
            return "certificate expired"
        if self._allowed:
            try:
                names = certificates.identities(der)
            except CertificateError as error:
                return str(error)
            if self._allowed.isdisjoint(names):
                return "certificate not allowed"
        return None

    def _state_of_files(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_state(path) for path in _files(self._settings).values())


def material(settings: TlsSettings) -> Material:
    """Contexts of the files as they are. Raises `TlsError`."""
    ends = {}
    expires_at = None
    for setting, path in _files(settings).items():
        if setting == "key":
            _check_key(path)
            continue
        try:
            found = certificates.read(path)
        except CertificateError as error:
            raise TlsError(setting, str(error)) from None
        if setting == "certificate":
            expires_at = ends[path] = certificates.first_expiry(found).timestamp()
        else:
            ends[path] = certificates.last_expiry(found).timestamp()
    server = None
    if settings.certificate is not None:
        server = _context(ssl.PROTOCOL_TLS_SERVER)
        server.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
        server.num_tickets = 0
        _load_ours(server, settings)
        if settings.client_ca is not None:
            _trust(server, "client_ca", settings.client_ca)
            server.verify_mode = ssl.CERT_REQUIRED
    client = _context(ssl.PROTOCOL_TLS_CLIENT)
    if settings.certificate is not None:
        _load_ours(client, settings)
    if settings.server_ca is not None:
        _trust(client, "server_ca", settings.server_ca)
    return Material(server, client, expires_at, ends)


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    # A CA that is given is trusted, whether it is a root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _load_ours(context: ssl.SSLContext, settings: TlsSettings) -> None:
    assert settings.certificate is not None  # noqa: S101 - asked only then
    try:
        context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
    except _Enciphered:
        raise TlsError("key", "is enciphered: must be in clear, guarded by its rights") from None
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("key", "is not the key of the certificate") from None
        if error.reason in ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK"):
            raise TlsError("certificate", "has a key or a digest that is too weak") from None
        raise TlsError("key", "has no key that can be read (PEM)") from None
    except OSError as error:
        raise TlsError("key", f"cannot be read: {error.strerror}") from None


class _Enciphered(Exception):
    """The key file wants a password."""


def _no_password() -> str:
    raise _Enciphered


def _trust(context: ssl.SSLContext, setting: str, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except OSError:  # an SSLError is one
        raise TlsError(setting, "has no certificate that can be read (PEM)") from None


def _check_key(path: Path) -> None:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise TlsError("key", f"cannot be read: {error.strerror}") from None
    if mode & _TOO_OPEN:
        raise TlsError("key", "others may read or change it: chmod 600, or 640")


def _files(settings: TlsSettings) -> dict[str, Path]:
    names = ("certificate", "key", "client_ca", "server_ca")
    paths = {name: getattr(settings, name) for name in names}
    return {name: path for name, path in paths.items() if path is not None}


def _allowed(settings: TlsSettings) -> list[str]:
    allowed = []
    for index, text in enumerate(settings.allow):
        try:
            allowed.append(certificates.identity(text))
        except CertificateError as error:
            raise TlsError(f"allow[{index}]", str(error)) from None
    return allowed


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


def _name(path: Path | None) -> str:
    return "" if path is None else path.name
