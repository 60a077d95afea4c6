"""The page before a port that asks for a token."""

from __future__ import annotations

from pathlib import Path

from tests.operate.page.browser import Browser
from tests.process import free_port, running

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"


def test_a_token_is_asked_for_and_kept(window: Browser, quick_path: Path) -> None:
    """A wrong one is told; the right one shows the figures, also after a reload of the tab."""
    token, port = quick_path / "token", free_port()
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    with running(quick_path, admin__listen=f"127.0.0.1:{port}", admin__token_file=token):
        window.driver.get(f"http://127.0.0.1:{port}/")
        window.until(lambda: "asks for a token" in window.text("#sign-in"), "the sign-in")
        _give(window, "a-token-that-is-not-the-right-one")
        window.until(lambda: "not the right one" in window.text("#sign-in"), "the refusal")
        _give(window, TOKEN)
        window.until(lambda: window.text("#state") == "serving", "serving")
        window.driver.refresh()
        window.until(lambda: window.text("#state") == "serving", "serving after a reload")
        assert TOKEN not in window.driver.page_source + window.driver.current_url
        complaints = [one for one in window.complaints() if "401" not in one]
        window.leave()
    assert [] == complaints
    window.asked()


def _give(window: Browser, token: str) -> None:
    window.run("document.querySelector('#token').value = arguments[0]", token)
    window.run("document.querySelector('#sign-in').requestSubmit()")
