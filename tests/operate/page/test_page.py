"""The page in Chromium, over a switch that serves."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.client import connected
from tests.operate.page.browser import NARROW, WIDE, Browser
from tests.operate.page.conftest import CARDS
from tests.operate.test_admin import Watched
from tests.traffic import PLAIN, code, load_card, purchase

#: Between two messages of the load, in seconds.
PACE = 0.01
#: The network's own complaints while there is nobody to answer.
NOT_THERE = ("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING",
             "net::ERR_CONNECTION_RESET", "net::ERR_EMPTY_RESPONSE")  # fmt: skip


@contextmanager
def load(port: int) -> Iterator[None]:
    """Purchases, one after the other, and now and then one that is too dear."""
    is_over = threading.Event()

    async def buy() -> None:
        async with connected(port) as client:
            number = 0
            while not is_over.is_set():
                number += 1
                is_dear = number % 10 == 0
                card = PLAIN if is_dear else load_card(number % CARDS)
                await client.ask(purchase(card, 10_000_000 if is_dear else 100))
                await asyncio.sleep(PACE)

    thread = threading.Thread(target=asyncio.run, args=(buy(),))
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def declined(port: int) -> str:
    """The RRN of a purchase that was too dear."""

    async def buy() -> str:
        message = purchase(PLAIN, 10_000_000)
        async with connected(port) as client:
            assert "51" == code(await client.ask(message))
        return message.fields[37]

    return asyncio.run(buy())


def has_room(page: Browser) -> bool:
    """Whether nothing is wider than the window."""
    return bool(
        page.run(
            "return document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


def test_the_page_follows_the_load(page: Browser, switch: Watched) -> None:
    """Rate, answer times, approvals, declines and link change each second, all with their units."""
    with load(switch.port()):
        page.until(lambda: float(page.text("#rate")) > 10, "a rate")
        page.until(lambda: "insufficient funds" in page.text("#declines"), "a decline")
        seen = set()
        until = time.monotonic() + 3.5
        while time.monotonic() < until:
            seen.add(page.text("header time"))
            time.sleep(0.1)
        assert 3 <= len(seen), "a figure a second"
    tiles = page.text(".tiles")
    for words in ("messages/s", "ms over the last minute", "decisions, last minute", "p99.9"):
        assert words in tiles
    assert "connected" in page.text("#links")
    assert "0100" in page.text("#mtis")
    assert "in process" == page.text("#hsm-state")
    assert "ready" == page.text("#database-state")
    assert 4 == page.run("return document.querySelectorAll('.charts canvas').length")
    drawn = page.run(
        "const c = document.querySelector('#chart-rate canvas');"
        "return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((x) => x > 0)"
    )
    assert drawn


def test_a_message_is_searched_and_explained(page: Browser, switch: Watched) -> None:
    """By its RRN; the list leads to why, and the way back leads to the list."""
    rrn = declined(switch.port())
    page.run("document.querySelector('#query').value = arguments[0]", rrn)
    page.run("document.querySelector('#search').requestSubmit()")
    page.until(lambda: rrn in page.text("#found"), "the message in the list")
    assert f"…{PLAIN.pan[-4:]}" in page.text("#found")
    assert "100,000.00 EUR" in page.text("#found")
    page.run("document.querySelector('#found a').click()")
    page.until(lambda: "insufficient funds" in page.text("#why"), "why")
    for words in ("is enough available?", "refused", "passed", "available before", rrn):
        assert words in page.text("#why")
    assert has_room(page)
    page.driver.back()
    page.until(lambda: page.run("return document.querySelector('#why').hidden"), "the list again")
    assert PLAIN.pan not in page.driver.page_source


@pytest.mark.parametrize("query", [PLAIN.pan, f"{PLAIN.pan[:4]} {PLAIN.pan[4:8]}", "12345é", "'"])
def test_what_cannot_be_found_is_not_sent(page: Browser, query: str) -> None:
    """A PAN stays in the browser, whole and in part, and so does what the switch would refuse."""
    assert -1 == page.run("return document.querySelector('#query').maxLength")
    page.run(
        "window.sent = []; const real = fetch;"
        "window.fetch = (path, ...more) => (sent.push(path), real(path, ...more))"
    )
    page.run("document.querySelector('#query').value = arguments[0]", query)
    page.run("document.querySelector('#search').requestSubmit()")
    page.until(lambda: "not sent: look for an RRN" in page.text("#search-says"), "the refusal")
    assert "last four digits" in page.text("#search-says")
    assert query not in page.text("#search-says").split()
    assert [] == page.run("return sent.filter((path) => path.includes('search'))")


def test_what_is_not_found_is_said(page: Browser) -> None:
    """A search without a result says so, and how to go on."""
    page.run("document.querySelector('#query').value = '999999999999'")
    page.run("document.querySelector('#search').requestSubmit()")
    page.until(lambda: "look further back" in page.text("#search-says"), "nothing found")


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_both_themes_at_both_widths(page: Browser, scheme: str, size: tuple[int, int]) -> None:
    """The system's theme is the page's; nothing is wider than a desk's or a phone's window."""
    page.prefer(scheme)
    page.size(*size)
    assert has_room(page)
    dark = _is_dark(page)
    assert dark is (scheme == "dark")
    page.run("document.querySelector('#theme').click()")
    assert _is_dark(page) is not dark
    page.driver.refresh()
    page.until(lambda: page.text("#state") == "serving", "serving")
    assert _is_dark(page) is not dark, "the choice is kept"


def _is_dark(page: Browser) -> bool:
    """Whether the ground is darker than what is written on it."""
    ground, text = page.run(
        "const {backgroundColor, color} = getComputedStyle(document.body);"
        "return [backgroundColor, color].map((c) => c.match(/[0-9]+/g).slice(0, 3).map(Number)"
        ".reduce((a, b) => a + b))"
    )
    return bool(ground < text)


def test_the_page_survives_a_restart(page: Browser, switch: Watched) -> None:
    """It says that the switch is gone, and since when; it goes on by itself when it is back."""
    pid = page.text("[data-show='process.pid']")
    switch.stop()
    page.until(lambda: page.text("#state") == "gone", "gone")
    assert "The switch does not answer since" in page.text("#gone")
    assert "It is asked again each second" in page.text("#gone")
    switch.start()
    page.until(lambda: page.text("#state") == "serving", "serving again")
    assert page.run("return document.querySelector('#gone').hidden")
    page.until(lambda: page.text("[data-show='process.pid']") != pid, "the new process")
    others = [one for one in page.complaints() if not any(known in one for known in NOT_THERE)]
    assert [] == others
