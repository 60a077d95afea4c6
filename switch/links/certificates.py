"""What a certificate says of its owner, and until when."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

#: Short names of a subject's attributes beside those of RFC 4514.
_SHORT_NAMES = {
    "emailAddress": NameOID.EMAIL_ADDRESS,
    "serialNumber": NameOID.SERIAL_NUMBER,
    "organizationIdentifier": NameOID.ORGANIZATION_IDENTIFIER,
}


class CertificateError(ValueError):
    """A file that cannot be used, or a name that is none: says why, in one line."""


def identity(text: str) -> str:
    """One entry of an allow-list as `identities` writes it.

    `DNS:host`, `IP:address`, `URI:text`, or `DN:` and a subject as RFC 4514 writes it, the most
    specific part first. Raises `CertificateError`.
    """
    kind, _, value = text.partition(":")
    value = value.strip()
    try:
        if kind == "DNS" and value:
            return f"DNS:{value.lower()}"
        if kind == "IP":
            return f"IP:{ipaddress.ip_address(value)}"
        if kind == "URI" and ":" in value:
            return f"URI:{value}"
        if kind == "DN" and value:
            return f"DN:{_text(x509.Name.from_rfc4514_string(value, _SHORT_NAMES))}"
    except ValueError:
        pass
    raise CertificateError("must be DNS:host, IP:address, URI:text or DN:CN=name,O=…")


def identities(der: bytes) -> tuple[str, ...]:
    """All names of a certificate's owner: its subject first, then its alternative names.

    Raises `CertificateError` where it is none.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = [f"DN:{_text(certificate.subject)}"]
        try:
            others = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except x509.ExtensionNotFound:
            return tuple(names)
        names += [f"DNS:{name.lower()}" for name in others.get_values_for_type(x509.DNSName)]
        names += [f"IP:{ip}" for ip in others.get_values_for_type(x509.IPAddress)]
        uris = others.get_values_for_type(x509.UniformResourceIdentifier)
        names += [f"URI:{uri}" for uri in uris]
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError("certificate cannot be read") from error
    return tuple(names)


def read(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file, one at least. Raises `CertificateError`."""
    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise CertificateError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise CertificateError("has no certificate that can be read (PEM)") from None
    for certificate in certificates:
        try:
            _ = certificate.not_valid_after_utc, certificate.subject
        except ValueError:
            raise CertificateError("has a certificate that cannot be read") from None
    return certificates


def first_expiry(certificates: Iterable[x509.Certificate]) -> datetime:
    """When the first of a chain is no longer good: the chain is not either."""
    return min(certificate.not_valid_after_utc for certificate in certificates)


def last_expiry(certificates: Iterable[x509.Certificate]) -> datetime:
    """When the last of some CAs is no longer good: nobody is trusted then."""
    return max(certificate.not_valid_after_utc for certificate in certificates)


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()
