"""A browser for these tests, or a loud reason why not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operate.page import browser
from tests.operate.page.browser import Browser
from tests.operate.test_admin import Watched
from tests.traffic import add_load_cards

#: Cards that buy something.
CARDS = 20


@pytest.fixture(scope="session")
def window() -> Iterator[Browser]:
    """One browser for the run. Skip where there is none; where CI is set, fail."""
    reason = browser.missing()
    if reason is not None and os.environ.get("CI"):
        pytest.fail(f"CI must have a browser: {reason}")
    if reason is not None:
        pytest.skip(f"THE PAGE IS NOT TESTED HERE: {reason}")
    with browser.opened() as opened:
        yield opened


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Watched]:
    """A running switch with its admin port."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        watched = Watched(Path(folder))
        try:
            watched.start()
            add_load_cards(watched.database_url, CARDS)
            yield watched
        finally:
            watched.end()


@pytest.fixture
def page(window: Browser, switch: Watched) -> Iterator[Browser]:
    """The page, loaded anew; a complaint or a question to anybody else fails the test."""
    window.size(*browser.WIDE)
    window.driver.get(f"http://127.0.0.1:{switch.admin_port}/")
    window.run("localStorage.clear(); sessionStorage.clear()")
    window.driver.refresh()
    window.until(lambda: window.text("#state") == "serving", "serving")
    yield window
    assert [] == window.complaints()
    assert {f"127.0.0.1:{switch.admin_port}"} == window.asked()
    window.leave()
