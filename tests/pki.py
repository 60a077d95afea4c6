"""Certificates made for tests: a CA, those it signs, and files of both."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = datetime.timedelta(days=1)


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Ca:
    """A certification authority with a key of its own."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=_new_key, repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """Its own certificate, signed by itself."""
        name = x509.Name.from_rfc4514_string(f"CN={self.name}")
        return (
            _builder(name, name, self.key, -DAY, 3650 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def file(self, folder: Path) -> Path:
        """Its certificate as PEM."""
        path = folder / f"{self.name}.pem"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def signed(
        self,
        folder: Path,
        file: str,
        *,
        subject: str = "",
        names: tuple[str, ...] = (),
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = 365 * DAY,
    ) -> Path:
        """A certificate FILE.pem and its key FILE.key; `names` as `DNS:…`, `IP:…`, `URI:…`."""
        key = _new_key()
        name = x509.Name.from_rfc4514_string(subject or f"CN={file}")
        issuer = x509.Name.from_rfc4514_string(f"CN={self.name}")
        builder = _builder(name, issuer, key, begins, ends)
        if names:
            others = x509.SubjectAlternativeName([_general(one) for one in names])
            builder = builder.add_extension(others, critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        path = folder / f"{file}.pem"
        # Key and certificate are replaced as a whole each, the key first.
        write_key(key, path.with_suffix(".key"))
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


def write_key(key: ec.EllipticCurvePrivateKey, path: Path, *, password: bytes = b"") -> None:
    """A key file that its owner alone may read."""
    encryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )


def client_context(
    ca: Path, certificate: Path | None = None, *, version: ssl.TLSVersion | None = None
) -> ssl.SSLContext:
    """A peer's end: it trusts a CA, and has a certificate perhaps."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate is not None:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the old version is the case
            context.minimum_version = context.maximum_version = version
        if version < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _builder(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begins: datetime.timedelta,
    ends: datetime.timedelta,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + begins)
        .not_valid_after(now + ends)
    )


def _general(text: str) -> x509.GeneralName:
    kind, _, value = text.partition(":")
    if kind == "DNS":
        return x509.DNSName(value)
    if kind == "IP":
        return x509.IPAddress(ipaddress.ip_address(value))
    return x509.UniformResourceIdentifier(value)
