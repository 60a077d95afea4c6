"""A link that dials over TLS: it looks at the peer's certificate and shows its own."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from switch.links.door import Door
from switch.setting_sections import Link
from tests.links.peer import End, Peer, dialling, listening
from tests.pki import Ca


def of_scheme(folder: Path, ca: Ca, clients: Ca) -> ssl.SSLContext:
    """The scheme's end: its certificate of one CA, those of its peers of another."""
    path = ca.signed(folder, "scheme", names=("IP:127.0.0.1", "DNS:scheme.example"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, path.with_suffix(".key"))
    context.load_verify_locations(clients.file(folder))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def of_link(folder: Path, clients: Ca, file: Path, **more: object) -> dict[str, object]:
    """The settings of our end."""
    path = clients.signed(folder, "switch")
    return {"certificate": path, "key": path.with_suffix(".key"), "server_ca": file} | more


async def test_a_link_signs_on_and_off_over_mutual_tls(tmp_path: Path) -> None:
    """All that a dialled link does it does over TLS, to its end."""
    ca, clients = Ca("schemes"), Ca("clients")
    context = of_scheme(tmp_path, ca, clients)
    tls = of_link(tmp_path, clients, ca.file(tmp_path), server_name="scheme.example")
    async with listening(tls=context) as peer:
        async with dialling(peer, tls=tls) as dialled:
            await dialled.is_in("signed_on")
            secure = peer.open[0].transport.get_extra_info("ssl_object")
            assert secure.getpeercert()["subject"] == ((("commonName", "switch"),),)
        assert ["0800/001", "0800/002"] == peer.codes()
        assert [] == dialled.events("tls_broken") + dialled.events("dial_failed")


async def test_a_peer_that_is_not_the_scheme_is_not_spoken_to(tmp_path: Path) -> None:
    """A certificate of another CA, or for another host, is a failed dial that says so."""
    ca, clients = Ca("schemes"), Ca("clients")
    context = of_scheme(tmp_path, ca, clients)
    stranger, known = Ca("strangers").file(tmp_path), ca.file(tmp_path)
    async with listening(tls=context) as peer:
        for file, name, problem in (
            (stranger, "", "untrusted certificate"),
            (known, "other.example", "certificate of another host"),
        ):
            tls = of_link(tmp_path, clients, file, server_name=name)
            async with dialling(peer, tls=tls) as dialled:
                failed = await dialled.told_of("dial_failed", 2)
            assert {problem} == {each["problem"] for each in failed}
            assert [] == dialled.events("link_up")
    assert [] == peer.asked


async def test_a_peer_that_does_not_take_us_says_so(tmp_path: Path) -> None:
    """Whose certificate the scheme refuses reads it in the log, and dials again."""
    ca, clients = Ca("schemes"), Ca("clients")
    path = ca.signed(tmp_path, "scheme", names=("IP:127.0.0.1",))
    ours = {"certificate": path, "key": path.with_suffix(".key")}
    given = {"name": "x", "listen": "h:0", "tls": ours | {"client_ca": clients.file(tmp_path)}}
    door = Door(Link.model_validate(given), on_event=lambda *_, **__: None)
    peer = Peer()
    # asyncio's own TLS would send no alert.
    server = await asyncio.get_running_loop().create_server(
        lambda: door.protocol(End(peer)), "127.0.0.1", 0
    )
    peer.port = server.sockets[0].getsockname()[1]
    tls = of_link(tmp_path, Ca("others"), ca.file(tmp_path))
    async with dialling(peer, tls=tls) as dialled:
        broken = await dialled.told_of("tls_broken", 2)
    assert {"the peer refused: unknown ca"} == {each["problem"] for each in broken}
    assert [] == peer.ends
    door.close()
    server.close()
    await server.wait_closed()
