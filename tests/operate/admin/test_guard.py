"""Who may ask the admin port, and what its answers may do in a browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from switch.operate.admin.guard import POLICY, TOKEN_MIN, Guard, read_token
from switch.operate.admin.static import FILES, path_of
from switch.operate.admin_error import AdminError
from switch.settings import Address
from tests.pki import Ca, client_context
from tests.process import PATIENCE_SECONDS, Switch, free_port, running
from tests.traffic import PLAIN

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

#: What an Authorization header says → the status.
SHOWN = [
    (None, 401), ("", 401), ("Bearer", 401), ("Bearer ", 401), (f"Bearer {TOKEN}x", 401),
    (f"Bearer {TOKEN[:-1]}", 401), (f"Basic {TOKEN}", 401), ("Bearer £", 401), (TOKEN, 401),
    (f"Bearer {TOKEN}", 200), (f"bearer  {TOKEN}", 200),
]  # fmt: skip

#: What is in a token's file, its rights → what the refusal names.
TOKENS = [
    (b"", 0o600, "characters"), (b"short\n", 0o600, "characters"),
    (b"two words of a token\n", 0o600, "one line"), (b"\xff" * TOKEN_MIN, 0o600, "characters"),
    (TOKEN.encode(), 0o604, "chmod"), (TOKEN.encode(), 0o602, "chmod"),
]  # fmt: skip


@dataclass(frozen=True)
class Guarded:
    """A switch whose admin port has TLS and a token."""

    switch: Switch
    port: int
    ca: Ca
    folder: Path

    def get(
        self, path: str, authorization: str | None = None, ca: Ca | None = None
    ) -> tuple[int, str, http.client.HTTPMessage]:
        """Status, text and headers of an answer, from a port whose certificate is of that CA."""
        headers = {} if authorization is None else {"Authorization": authorization}
        context = client_context((ca or self.ca).file(self.folder))
        link = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE_SECONDS, context=context
        )
        try:
            link.request("GET", path, headers=headers)
            answer = link.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            link.close()


@pytest.fixture(scope="module")
def guarded(quick_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """Serving."""
    folder, ca, port = tmp_path_factory.mktemp("guarded"), Ca("admin-ca"), free_port()
    certificate = ca.signed(folder, "admin", names=("IP:127.0.0.1",))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(f"{TOKEN}\n")
    with running(
        tmp_path_factory.mktemp("switch"),
        admin__listen=f"127.0.0.1:{port}",
        admin__token_file=token,
        admin__tls__certificate=certificate,
        admin__tls__key=certificate.with_suffix(".key"),
    ) as switch:
        yield Guarded(switch, port, ca, folder)


@pytest.mark.parametrize(("shown", "status"), SHOWN)
def test_who_asks_shows_the_token(guarded: Guarded, shown: str | None, status: int) -> None:
    """Without it, or with another one, an answer is 401 and tells nothing else."""
    for path in ("/api/now", "/metrics", "/api/search?q=1234"):
        got, text, headers = guarded.get(path, shown)
        assert status == got
        if status == 401:
            assert "Bearer" == headers["WWW-Authenticate"]
            assert {"error"} == json.loads(text).keys()


def test_probes_and_the_page_itself_need_no_token(guarded: Guarded) -> None:
    """An orchestrator asks without; the page's own files hold no data, and ask for the token."""
    for path in ("/healthz", "/readyz", *map(path_of, FILES)):
        assert 200 == guarded.get(path)[0], path


def test_a_wrong_token_is_told(guarded: Guarded) -> None:
    """Somebody who tries tokens is seen in the log, and what he tried is not."""
    guarded.get("/api/now", "Bearer guessed-by-somebody")
    line = guarded.switch.wait_for("admin_refused", problem="wrong token", level="warning")
    assert "127.0.0.1" == line["peer"]
    assert "guessed" not in guarded.switch.log_file.read_text()


def test_the_certificate_is_renewed_without_a_restart(guarded: Guarded) -> None:
    """The next handshake has the new one."""
    assert 200 == guarded.get("/healthz")[0]
    other = Ca("another-ca")
    other.signed(guarded.folder, "admin", names=("IP:127.0.0.1",))
    assert 200 == guarded.get("/healthz", ca=other)[0]
    guarded.ca.signed(guarded.folder, "admin", names=("IP:127.0.0.1",))  # as it was
    assert 200 == guarded.get("/healthz")[0]


def test_every_answer_says_what_a_browser_may_do_with_it(guarded: Guarded) -> None:
    """Nothing from elsewhere, nothing inline, nothing kept, nobody's frame; errors too."""
    for path in ("/", "/page.js", "/api/now", "/nothing", "/api/search"):
        _, _, headers = guarded.get(path, f"Bearer {TOKEN}")
        assert POLICY == headers["Content-Security-Policy"], path
        assert ("nosniff", "no-store") == (
            headers["X-Content-Type-Options"], headers["Cache-Control"]
        )  # fmt: skip
        assert "Server" not in headers
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"):
        assert directive in POLICY
    assert "unsafe" not in POLICY


@pytest.mark.parametrize(("held", "mode", "named"), TOKENS)
def test_a_token_that_guards_nothing_is_refused(
    tmp_path: Path, held: bytes, mode: int, named: str
) -> None:
    """One too short to be one, or that others may read; the line says what to do, not the token."""
    file = tmp_path / "token"
    file.touch()
    file.chmod(mode)
    file.write_bytes(held)
    with pytest.raises(AdminError) as refused:
        read_token(file)
    assert str(refused.value).startswith("admin.token_file: ")
    assert named in str(refused.value)


async def test_a_bug_of_the_port_is_no_fault_of_a_message() -> None:
    """It is answered 500 without a word of it, and told as an event of the port's own."""
    events: list[tuple[str, object]] = []

    def on_event(name: str, **fields: object) -> None:
        events.append((name, fields["error"]))

    async def bug(_: web.Request) -> web.StreamResponse:
        raise error

    error = LookupError(PLAIN.pan)
    guard = Guard(Address("127.0.0.1", 8580), None, frozenset(), on_event=on_event)
    request = make_mocked_request("GET", "/api/now", headers={"Host": "localhost"})
    answer = await guard.middleware(request, bug)
    assert isinstance(answer, web.Response)
    assert (500, {"error": "a bug: the log has a line of it"}) == (
        answer.status, json.loads(answer.text or ""),
    )  # fmt: skip
    assert [("admin_fault", error)] == events


def test_a_token_is_its_line(tmp_path: Path) -> None:
    """White space around it is none of it; no file is no token."""
    file = tmp_path / "token"
    file.touch(mode=0o600)
    file.write_text(f" {TOKEN} \n")
    assert TOKEN.encode() == read_token(file)
    assert read_token(None) is None
    with pytest.raises(AdminError, match="No such file"):
        read_token(tmp_path / "none")
