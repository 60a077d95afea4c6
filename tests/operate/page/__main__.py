"""`make screenshots`: pictures of the page of a switch that has something to do."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.operate.page import browser
from tests.operate.page.conftest import CARDS
from tests.operate.page.test_page import declined, load
from tests.operate.test_admin import Watched
from tests.traffic import ROOT, add_load_cards

#: How long the charts grow before they are taken, in seconds.
SECONDS = 60
FOLDER = ROOT / "var" / "screenshots"


def main() -> int:
    """Take them all; the exit code."""
    if reason := browser.missing():
        sys.stderr.write(f"screenshots: {reason}\n")
        return 1
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        watched = Watched(Path(folder))
        try:
            watched.start()
            add_load_cards(watched.database_url, CARDS)
            rrn = declined(watched.port())
            with load(watched.port()), browser.opened() as window:
                time.sleep(SECONDS)
                _take(window, watched.admin_port, rrn)
        finally:
            watched.end()
    return 0


def _take(window: browser.Browser, port: int, rrn: str) -> None:
    window.driver.get(f"http://127.0.0.1:{port}/")
    window.until(lambda: window.text("#state") == "serving", "serving")
    for scheme in ("dark", "light"):
        window.prefer(scheme)
        for name, size in (("desk", browser.WIDE), ("phone", browser.NARROW)):
            window.size(*size)
            time.sleep(2)  # a beat, so that all is drawn
            _picture(window, f"page-{name}-{scheme}")
    window.size(*browser.WIDE)
    window.run("document.querySelector('#query').value = arguments[0]", rrn)
    window.run("document.querySelector('#search').requestSubmit()")
    window.until(lambda: rrn in window.text("#found"), "the message")
    window.run("document.querySelector('#found a').click()")
    window.until(lambda: "insufficient funds" in window.text("#why"), "why")
    _picture(window, "why")


def _picture(window: browser.Browser, name: str) -> None:
    """The whole page, beyond what the window shows."""
    height = window.run("return document.documentElement.scrollHeight")
    width = window.run("return document.documentElement.clientWidth")
    window.size(width, height)
    time.sleep(0.5)
    path = FOLDER / f"{name}.png"
    window.driver.save_screenshot(str(path))
    sys.stdout.write(f"{path.relative_to(ROOT)}\n")


if __name__ == "__main__":
    sys.exit(main())
