"""Files and names of links[].tls that cannot be used refuse the start, in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from switch.links.certificates import CertificateError, identities, identity
from switch.links.door import doors_of
from switch.settings import Settings, SettingsError
from tests.pki import Ca, write_key
from tests.process import command

SETTINGS = """
[[links]]
name = "a"
listen = "127.0.0.1:0"
[links.tls]
certificate = "ours.pem"
key = "ours.key"
client_ca = "ca.pem"
"""
UNREADABLE = "has no certificate that can be read (PEM)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Settings with files that can all be used."""
    ca = Ca("ca")
    ca.file(tmp_path)
    ca.signed(tmp_path, "ours")
    (tmp_path / "switch.toml").write_text(SETTINGS)
    return tmp_path


def _another_key(folder: Path) -> None:
    write_key(ec.generate_private_key(ec.SECP256R1()), folder / "ours.key")


def _enciphered(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(key, folder / "ours.key", password=b"secret")


def _written(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


def _with(line: str) -> Callable[[Path], None]:
    return _written("switch.toml", SETTINGS + line)


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no certificate": (
        lambda folder: (folder / "ours.pem").unlink(),
        "certificate: cannot be read: No such file or directory",
    ),
    "no key": (
        lambda folder: (folder / "ours.key").unlink(),
        "key: cannot be read: No such file or directory",
    ),
    "no CA": (
        lambda folder: (folder / "ca.pem").unlink(),
        "client_ca: cannot be read: No such file or directory",
    ),
    "an empty CA": (_written("ca.pem", "\n"), f"client_ca: {UNREADABLE}"),
    "an empty certificate": (_written("ours.pem", "\n"), f"certificate: {UNREADABLE}"),
    "a broken certificate": (
        _written("ours.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        f"certificate: {UNREADABLE}",
    ),
    "a broken key": (
        lambda folder: (folder / "ours.key").write_text("x"),
        "key: has no key that can be read (PEM)",
    ),
    "another key": (_another_key, "key: is not the key of the certificate"),
    "an enciphered key": (
        _enciphered,
        "key: is enciphered: must be in clear, guarded by its rights",
    ),
    "a key that all may read": (
        lambda folder: (folder / "ours.key").chmod(0o604),
        "key: others may read or change it: chmod 600, or 640",
    ),
    "a key that the group may change": (
        lambda folder: (folder / "ours.key").chmod(0o660),
        "key: others may read or change it: chmod 600, or 640",
    ),
    "a name without kind": (
        _with('allow = ["DNS:a", "acquirer.example"]'),
        "allow[1]: must be DNS:host, IP:address, URI:text or DN:CN=name,O=…",
    ),
    "a subject that is none": (
        _with('allow = ["DN:acquirer"]'),
        "allow[0]: must be DNS:host, IP:address, URI:text or DN:CN=name,O=…",
    ),
}


def told(folder: Path) -> str:
    """The line of a refused start, without the file."""
    settings = Settings.load(folder / "switch.toml")
    with pytest.raises(SettingsError) as caught:
        doors_of(settings, on_event=lambda *_, **__: None)
    return str(caught.value).removeprefix(f"{folder}/switch.toml: links[0].tls.")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_told_in_one_line(folder: Path, case: str) -> None:
    """The line has the key of the setting and what is wrong with its file."""
    spoil, line = REFUSED[case]
    spoil(folder)
    assert line == told(folder)


def test_the_start_of_a_real_switch_is_refused(folder: Path) -> None:
    """It ends before anything is started, with the line and no traceback."""
    _another_key(folder)
    ended = command("run", folder=folder)
    assert ended.returncode != 0
    line = "switch.toml: links[0].tls.key: is not the key of the certificate"
    assert ended.stderr.strip().endswith(line)
    assert "Traceback" not in ended.stderr
    assert not (folder / "var").exists()


def test_a_key_that_the_group_may_read_is_taken(folder: Path) -> None:
    """As of a service's own group, or of a mounted secret."""
    (folder / "ours.key").chmod(0o440)
    settings = Settings.load(folder / "switch.toml")
    assert doors_of(settings, on_event=lambda *_, **__: None)["a"].tls is not None


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("DNS:Acquirer.Example", "DNS:acquirer.example"),
        ("IP:::0001", "IP:::1"),
        ("URI:spiffe://A/b", "URI:spiffe://A/b"),
        ("DN:2.5.4.3=a", "DN:CN=a"),
        ("DN:emailAddress=a@b.c,CN=d", "DN:1.2.840.113549.1.9.1=a@b.c,CN=d"),
    ],
)
def test_names_have_one_form(given: str, meant: str) -> None:
    """What means the same is written the same before it is compared."""
    assert identity(given) == meant


@pytest.mark.parametrize(
    "given", ["", "CN=a", "DNS:", "IP:a", "URI:a", "DN:", "DN:CN", "DN:CN=a, O=b", "dns:a"]
)
def test_what_is_no_name_is_refused(given: str) -> None:
    """An entry that could never match is a mistake."""
    with pytest.raises(CertificateError):
        identity(given)


def test_a_certificate_that_is_none_has_no_names() -> None:
    """Whoever comes with it is refused, not let in by a fault."""
    with pytest.raises(CertificateError):
        identities(b"0\x03\x02\x01\x00")
