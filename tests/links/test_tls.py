"""TLS on links of a real switch: who comes in, who does not and why, and files that change."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import socket
import ssl
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from switch.links.door import HANDSHAKES_MAX
from tests.client import connected
from tests.pki import DAY, Ca, client_context
from tests.process import PATIENCE_SECONDS, Switch, free_port, running, until
from tests.traffic import PLAIN, code, echo, purchase

OURS = ("IP:127.0.0.1", "DNS:switch.example")
ALLOW = """[
 "DNS:acquirer.example", "IP:10.1.2.3", "URI:spiffe://acquirer/auth",
 "DN:CN=Acquirer Two,O=Bank\\\\, Ltd,C=NL"
]"""
#: What links with TLS there are. Their certificate is that of `ours`, where nothing else is said.
LINKS: dict[str, dict[str, object]] = {
    "mtls": {"tls__client_ca": "peers.pem", "tls__allow": ALLOW},
    "of-the-ca": {"tls__client_ca": "peers.pem", "connections_max": 1000},
    "one-way": {},
    "renewed": {
        "tls__certificate": "renewed.pem",
        "tls__key": "renewed.key",
        "tls__client_ca": "peers.pem",
    },
    "hasty": {"tls__client_ca": "peers.pem", "tls__handshake_timeout_ms": 300},
    "far": {"peers": '["10.0.0.0/8", "192.0.2.1"]'},
    "near": {"peers": '["10.0.0.0/8", "127.0.0.1"]', "tls__client_ca": "peers.pem"},
}
PLAIN_LINKS = ("far",)


@dataclass(frozen=True)
class Scene:
    """A switch with its CAs and files."""

    switch: Switch
    folder: Path
    ours: Ca
    peers: Ca
    admin: int

    def context(
        self, certificate: str = "", *, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """A peer's end with that certificate."""
        path = self.folder / f"{certificate}.pem" if certificate else None
        return client_context(self.folder / "ours.pem", path, version=version)


@pytest.fixture(scope="module")
def scene(quick_root: Path) -> Iterator[Scene]:
    """A running switch with a link of every kind of TLS, and certificates of every kind."""
    with tempfile.TemporaryDirectory(dir=quick_root) as name:
        folder = Path(name)
        ours, peers, strangers = Ca("ours"), Ca("peers"), Ca("strangers")
        for ca in (ours, peers):
            ca.file(folder)
        ours.signed(folder, "switch", names=OURS, ends=20 * DAY)
        ours.signed(folder, "renewed", names=OURS)
        peers.signed(folder, "by-dns", names=("DNS:other.example", "DNS:Acquirer.example"))
        peers.signed(folder, "by-ip", names=("IP:10.1.2.3",))
        peers.signed(folder, "by-uri", names=("URI:spiffe://acquirer/auth",))
        peers.signed(folder, "by-dn", subject="CN=Acquirer Two,O=Bank\\, Ltd,C=NL")
        peers.signed(folder, "not-allowed", names=("DNS:sub.acquirer.example", "IP:10.1.2.4"))
        peers.signed(folder, "expired", names=("DNS:acquirer.example",), begins=-9 * DAY, ends=-DAY)
        peers.signed(folder, "early", names=("DNS:acquirer.example",), begins=DAY)
        strangers.signed(folder, "stranger", names=("DNS:acquirer.example",))
        admin = free_port()
        settings: dict[str, object] = {"admin__listen": f"127.0.0.1:{admin}"}
        for number, (link, given) in enumerate(LINKS.items(), start=1):
            common: dict[str, object] = {"name": link, "listen": "127.0.0.1:0"}
            common |= {"answer_within_ms": 3000, "margin_ms": 500}
            if link not in PLAIN_LINKS:
                common |= {"tls__certificate": "switch.pem", "tls__key": "switch.key"}
            settings |= {f"links__{number}__{key}": one for key, one in (common | given).items()}
        with running(folder, **settings) as switch:
            yield Scene(switch, folder, ours, peers, admin)


@contextlib.contextmanager
def tcp(port: int) -> Iterator[tuple[socket.socket, str]]:
    """A connection as a peer has it, and its address in the log."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as one:
        yield one, "{}:{}".format(*one.getsockname())


def told(port: int, context: ssl.SSLContext) -> tuple[str, str]:
    """What a peer is told that comes with this context, and its address. `in`: it is let in."""
    with tcp(port) as (one, address):
        try:
            with context.wrap_socket(one, server_hostname="127.0.0.1") as secure:
                secure.settimeout(PATIENCE_SECONDS)
                secure.sendall(bytes(2))  # an empty frame: a keep-alive
                return secure.recv(1).hex() or "closed", address
        except ssl.SSLError as error:
            return str(error.reason), address


@pytest.mark.parametrize("certificate", ["by-dns", "by-ip", "by-uri", "by-dn"])
async def test_a_purchase_over_mutual_tls_is_approved(scene: Scene, certificate: str) -> None:
    """A peer whose certificate is allowed by one of its names does business as without TLS."""
    async with connected(scene.switch.port("mtls"), tls=scene.context(certificate)) as client:
        assert code(await client.ask(purchase(PLAIN))) == "00"
        assert code(await client.ask(echo())) == "00"
    scene.switch.wait_for("link_up", link="mtls", peer=client.address)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_both_versions_serve(scene: Scene, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 are spoken; both with mutual authentication."""
    context = scene.context("by-dns", version=version)
    async with connected(scene.switch.port("mtls"), tls=context) as client:
        assert code(await client.ask(echo())) == "00"


async def test_without_a_client_ca_no_certificate_is_asked(scene: Scene) -> None:
    """A link with nothing but a certificate of its own is TLS one way."""
    async with connected(scene.switch.port("one-way"), tls=scene.context()) as client:
        assert code(await client.ask(echo())) == "00"


async def test_without_an_allow_list_all_of_the_ca_come_in(scene: Scene) -> None:
    """An empty list allows every certificate of the CA."""
    port = scene.switch.port("of-the-ca")
    async with connected(port, tls=scene.context("not-allowed")) as client:
        assert code(await client.ask(echo())) == "00"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("certificate", "problem", "alerts"),
    [
        (
            "",
            "no certificate",
            ("SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV13_ALERT_CERTIFICATE_REQUIRED"),
        ),
        ("stranger", "untrusted certificate", ("TLSV1_ALERT_UNKNOWN_CA",)),
        ("expired", "certificate expired", ("SSLV3_ALERT_CERTIFICATE_EXPIRED",)),
        ("early", "certificate not yet valid", ("SSLV3_ALERT_BAD_CERTIFICATE",)),
        ("not-allowed", "certificate not allowed", ("closed",)),
    ],
)
def test_who_may_not_come_in_is_told_and_logged(
    scene: Scene, version: ssl.TLSVersion, certificate: str, problem: str, alerts: tuple[str, ...]
) -> None:
    """A refused peer gets the alert that fits, and the log says who it was and why."""
    alert, address = told(scene.switch.port("mtls"), scene.context(certificate, version=version))
    assert alert in alerts
    line = scene.switch.wait_for("tls_refused", link="mtls", peer=address)
    assert line["problem"] == problem
    assert line["level"] == "warning"
    # A name is told where the CA vouches for it, and only there.
    assert line.get("certificate") == ("CN=not-allowed" if certificate == "not-allowed" else None)
    assert not scene.switch.lines("link_up", peer=address)


def test_tls_1_1_is_refused(scene: Scene) -> None:
    """An old version has no handshake."""
    context = scene.context("by-dns", version=ssl.TLSVersion.TLSv1_1)
    alert, address = told(scene.switch.port("mtls"), context)
    assert alert == "TLSV1_ALERT_PROTOCOL_VERSION"
    line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "wrong protocol: TLS 1.2 at least"


def test_a_cipher_without_forward_secrecy_is_refused(scene: Scene) -> None:
    """In TLS 1.2 there are only ephemeral keys and authenticated encryption."""
    context = scene.context("by-dns", version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256")
    alert, address = told(scene.switch.port("mtls"), context)
    assert alert == "SSLV3_ALERT_HANDSHAKE_FAILURE"
    line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "no cipher in common"


@pytest.mark.parametrize(
    "first", [b"\x00\x10" + b"0800" * 4, b"GET / HTTP/1.1\r\n\r\n", b"\x16\x02"]
)
def test_plain_text_to_a_tls_port_is_told_apart(scene: Scene, first: bytes) -> None:
    """A peer that forgot TLS is closed, and the log says that it was that."""
    with tcp(scene.switch.port("mtls")) as (one, address):
        one.sendall(first)
        assert one.recv(1) == b""
    line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "plain text to a TLS port"


def test_a_peer_that_leaves_is_noted(scene: Scene) -> None:
    """A handshake that the peer gives up is told as that."""
    with tcp(scene.switch.port("mtls")) as (_, address):
        pass
    line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "the peer left during the handshake"


def test_a_peer_that_does_not_trust_us_is_noted(scene: Scene) -> None:
    """What the peer has against our certificate stands in our log too."""
    context = client_context(scene.folder / "peers.pem", scene.folder / "by-dns.pem")
    _, address = told(scene.switch.port("mtls"), context)
    line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "the peer refused: unknown ca"


def test_garbage_after_the_handshake_ends_the_connection(scene: Scene) -> None:
    """Bytes on the line that are no record of this connection are never taken for a message."""
    context = scene.context("by-dns")
    with (
        tcp(scene.switch.port("mtls")) as (one, address),
        context.wrap_socket(one, server_hostname="127.0.0.1") as secure,
    ):
        scene.switch.wait_for("link_up", peer=address)
        os.write(secure.fileno(), b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(OSError):
            assert secure.recv(1) == b""
    line = scene.switch.wait_for("tls_broken", peer=address)
    assert line["problem"] == "broken TLS: decryption failed or bad record mac"
    scene.switch.wait_for("link_down", peer=address)


# Peers by their address.


def test_a_peer_of_another_address_is_refused(scene: Scene) -> None:
    """A link with a list of addresses drops all others before a byte, TLS or not."""
    with (
        tcp(scene.switch.port("far")) as (one, address),
        contextlib.suppress(ConnectionResetError),
    ):
        assert one.recv(1) == b""
    line = scene.switch.wait_for("connection_refused", link="far", peer=address)
    assert line["problem"] == "address not allowed"
    assert not scene.switch.lines("link_up", link="far")


async def test_address_and_certificate_must_both_be_right(scene: Scene) -> None:
    """An allowed address spares nobody the certificate."""
    port = scene.switch.port("near")
    async with connected(port, tls=scene.context("by-dns")) as client:
        assert code(await client.ask(echo())) == "00"
    _, address = told(port, scene.context())
    assert scene.switch.wait_for("tls_refused", peer=address)["problem"] == "no certificate"


# Files that change.


def certificate_at(scene: Scene) -> bytes:
    """The certificate that a new connection sees, as DER."""
    context = scene.context("by-dns")
    with (
        tcp(scene.switch.port("renewed")) as (one, _),
        context.wrap_socket(one, server_hostname="127.0.0.1") as secure,
    ):
        return secure.getpeercert(binary_form=True) or b""


async def test_a_replaced_certificate_is_that_of_the_next_connection(scene: Scene) -> None:
    """The next connection has the new one at once, and the old connection lives."""
    port = scene.switch.port("renewed")
    async with connected(port, tls=scene.context("by-dns")) as old:
        assert code(await old.ask(echo())) == "00"
        before = certificate_at(scene)
        scene.ours.signed(scene.folder, "renewed", names=OURS)
        async with connected(port, tls=scene.context("by-dns")) as new:
            seen = new.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
            assert before != seen == pem(scene.folder / "renewed.pem")
            assert code(await new.ask(echo())) == "00"
        assert code(await old.ask(purchase(PLAIN))) == "00"
    scene.switch.wait_for("tls_reloaded", link="renewed", path="renewed.pem")


async def test_a_broken_file_keeps_the_old_certificate(scene: Scene) -> None:
    """What cannot be used is told as an error, once, and changes nothing; mended, it is used."""
    path, context = scene.folder / "renewed.pem", scene.context("by-dns")
    before = certificate_at(scene)
    told_before = len(scene.switch.lines("tls_reload_failed"))
    path.write_text("not a certificate")
    for _ in range(3):
        async with connected(scene.switch.port("renewed"), tls=context) as client:
            assert code(await client.ask(echo())) == "00"
    assert certificate_at(scene) == before
    line = scene.switch.wait_for("tls_reload_failed", link="renewed")
    assert line["level"] == "error"
    assert line["problem"] == "certificate: has no certificate that can be read (PEM)"
    assert len(scene.switch.lines("tls_reload_failed")) == told_before + 1
    scene.ours.signed(scene.folder, "renewed", names=OURS)
    assert before != certificate_at(scene) == pem(path)


def test_files_are_looked_at_while_nobody_connects(scene: Scene) -> None:
    """A file that breaks is told of before the next peer needs it."""
    path = scene.folder / "renewed.key"
    content = path.read_bytes()
    path.chmod(0o644)
    problem = "key: others may read or change it: chmod 600, or 640"
    scene.switch.wait_for("tls_reload_failed", link="renewed", problem=problem)
    path.chmod(0o600)
    assert path.read_bytes() == content


def pem(path: Path) -> bytes:
    """A certificate file as DER."""
    return ssl.PEM_cert_to_DER_cert(path.read_text())


# What ends soon.


def test_the_end_of_a_certificate_is_told(scene: Scene) -> None:
    """Metrics have the time for each link; in its last thirty days the log warns."""
    with urllib.request.urlopen(f"http://127.0.0.1:{scene.admin}/metrics") as answer:
        text = answer.read().decode()
    now = datetime.datetime.now(datetime.UTC).timestamp()
    found = [line for line in text.splitlines() if "expires_timestamp_seconds{" in line]
    values = {line.split('"')[1]: float(line.split()[1]) for line in found}
    assert values.keys() == LINKS.keys() - set(PLAIN_LINKS)
    day = DAY.total_seconds()
    assert 19 * day < values["mtls"] - now < 21 * day
    assert 364 * day < values["renewed"] - now < 366 * day
    line = scene.switch.wait_for("tls_certificate_expiring", link="mtls", path="switch.pem")
    assert line["problem"] == "expires soon"
    assert 19 * day < line["seconds"] < 21 * day
    assert not scene.switch.lines("tls_certificate_expiring", link="renewed")


# Handshakes that do not end.


def hello(context: ssl.SSLContext) -> bytes:
    """The first bytes of a peer in earnest."""
    outgoing = ssl.MemoryBIO()
    peer = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.do_handshake()
    return outgoing.read()


@contextlib.asynccontextmanager
async def slow_handshakes(port: int, count: int, first: bytes) -> AsyncIterator[list[str]]:
    """So many peers that send one byte of a handshake a second; their addresses."""
    ends = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]

    async def send(number: int) -> None:
        writer = ends[number][1]
        for at in range(len(first)):
            writer.write(first[at : at + 1])
            await asyncio.sleep(1)

    sending = [asyncio.create_task(send(number)) for number in range(count)]
    try:
        await asyncio.sleep(0.1)
        yield ["{}:{}".format(*writer.get_extra_info("sockname")) for _, writer in ends]
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        for _, writer in ends:
            writer.transport.abort()


async def test_slow_handshakes_stop_nobody(scene: Scene) -> None:
    """200 peers of one byte a second hold no slot, delay nobody, and are gone in five seconds."""
    port, context = scene.switch.port("of-the-ca"), scene.context("by-dns")
    before = len(scene.switch.lines("tls_refused"))
    async with slow_handshakes(port, 200, hello(context)) as addresses:
        async with connected(port, tls=context) as client:
            assert code(await client.ask(purchase(PLAIN))) == "00"
        lines = await refused(scene, addresses, before)
    assert {line["problem"] for line in lines} == {"handshake timeout"}


async def test_more_handshakes_than_there_may_be_end_the_oldest(scene: Scene) -> None:
    """Whoever begins more than the limit loses his first ones; a good peer still comes in."""
    port, context = scene.switch.port("of-the-ca"), scene.context("by-dns")
    before = len(scene.switch.lines("tls_refused"))
    async with slow_handshakes(port, HANDSHAKES_MAX + 50, hello(context)) as addresses:
        async with connected(port, tls=context) as client:
            assert code(await client.ask(echo())) == "00"
        lines = await refused(scene, addresses, before)
    problems = [line["problem"] for line in lines]
    assert problems.count("too many handshakes at once") >= 50
    assert set(problems) == {"too many handshakes at once", "handshake timeout"}


async def refused(scene: Scene, addresses: list[str], before: int) -> list[dict[str, object]]:
    """The lines of these peers after those before, once each has one: ports are used again."""
    wanted = set(addresses)

    def lines() -> list[dict[str, object]]:
        since = scene.switch.lines("tls_refused")[before:]
        return [line for line in since if line["peer"] in wanted]

    await asyncio.to_thread(until, lambda: len(lines()) >= len(wanted), "the end of handshakes")
    return lines()


def test_the_time_of_a_handshake_is_a_setting(scene: Scene) -> None:
    """A peer that says nothing is closed when the time is over."""
    with tcp(scene.switch.port("hasty")) as (one, address):
        with contextlib.suppress(ConnectionResetError):
            assert one.recv(1) == b""
        line = scene.switch.wait_for("tls_refused", peer=address)
    assert line["problem"] == "handshake timeout"


def test_a_thousand_connections_leave_nothing_behind(scene: Scene) -> None:
    """Silent, half begun, refused and connected ones: when they are gone so are the descriptors."""
    port, context = scene.switch.port("of-the-ca"), scene.context("by-dns")
    first, stranger = hello(context), scene.context("stranger")
    descriptors = Path(f"/proc/{scene.switch.pid}/fd")
    before = len(list(descriptors.iterdir()))
    ends: list[socket.socket] = []
    for number in range(1000):
        one = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        if number % 4 == 1:
            one.sendall(first[: number % len(first)])
        elif number % 4 > 1:
            one = (context if number % 4 == 2 else stranger).wrap_socket(
                one, server_hostname="127.0.0.1"
            )
        ends.append(one)
    assert len(scene.switch.lines("link_up", link="of-the-ca")) >= 250
    for one in ends:
        one.close()
    until(lambda: len(list(descriptors.iterdir())) <= before, "the end of a thousand connections")
    until(
        lambda: (
            len(scene.switch.lines("link_up", link="of-the-ca"))
            == len(scene.switch.lines("link_down", link="of-the-ca"))
        ),
        "every link_down",
    )


async def test_no_secret_is_told(scene: Scene) -> None:
    """No line of all these refusals has key or certificate in it."""
    log = scene.switch.log_file.read_text()
    assert "PRIVATE KEY" not in log
    assert "BEGIN" not in log
    assert not scene.switch.lines("fault")
    assert scene.switch.error_file.read_text() == ""
