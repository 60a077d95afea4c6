"""`switch top` over a running switch: the client, the screen, and what it refuses."""

from __future__ import annotations

import asyncio
import builtins
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Static

from switch.operate.top.client import Gone, figures
from switch.operate.top.layout import between, number, percent
from switch.operate.top.screen import Top
from tests.client import connected
from tests.operate.test_admin import Watched
from tests.process import PATIENCE_SECONDS, eventually, free_port
from tests.traffic import PLAIN, add_load_cards, load_card, purchase
from tests.typed import typed

TOKEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"

NUMBERS = [
    (None, "–"), (0, "0"), (7, "7"), (12345, "12,345"), (0.0, "0.00"), (1.234, "1.23"),
    (12.34, "12.3"), (512.0, "512"),
]  # fmt: skip
SPANS = [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3600, "1 h 0 min"), (7500, "2 h 5 min"),
         (200_000, "2 d 7 h")]  # fmt: skip


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Watched]:
    """A running switch whose admin port asks for a token."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder:
        token = Path(folder, "token")
        token.touch(mode=0o600)
        token.write_text(TOKEN)
        watched = Watched(Path(folder))
        watched.settings["admin__token_file"] = token
        try:
            watched.start()
            add_load_cards(watched.database_url, 2)
            yield watched
        finally:
            watched.end()


async def until_told(told: AsyncIterator[dict[str, Any] | Gone], what: type) -> Any:
    """The next of that kind."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for one in told:
            if isinstance(one, what):
                return one
    raise AssertionError("it ended")


def shown(top: Top, name: str) -> str:
    """What stands in a part of the screen."""
    lines = top.query_one(name, Static).render_lines(
        top.query_one(name, Static).region.reset_offset
    )
    return "\n".join("".join(segment.text for segment in line) for line in lines)


async def test_the_screen_follows_the_switch(switch: Watched) -> None:
    """Rate, declines, link, HSM and database are there, then that it is gone, then the next one."""
    top = Top(figures(f"http://127.0.0.1:{switch.admin_port}", token=TOKEN))
    async with top.run_test(size=(120, 50)) as pilot, connected(switch.port()) as client:
        for _ in range(3):
            await client.ask(purchase(load_card(0)))
        await client.ask(purchase(PLAIN, 10_000_000))

        def says(name: str, *words: str) -> Any:
            async def there() -> bool:
                await pilot.pause()
                return all(word in shown(top, name) for word in words)

            return eventually(there, f"{name} {words}")

        await says("#head", "serving", f"pid {switch.pid}")
        await says("#figures", "messages/s", "last minute", "75.0 %")
        await says("#declines", "insufficient funds", "25.0 %")
        await says("#links", "demo", "connected")
        await says("#behind", "HSM software", "in process", "database", "ready")
        await pilot.press("space")
        held = shown(top, "#head")
        await asyncio.sleep(1.5)
        assert held == shown(top, "#head")
        await pilot.press("space")
        await asyncio.to_thread(switch.stop)
        await says("#gone", "GONE for", "asked again each second")
        await asyncio.to_thread(switch.start)
        await says("#head", f"pid {switch.pid}")
        assert not top.query_one("#gone").display
        await pilot.press("q")


async def test_why_there_are_no_figures(switch: Watched) -> None:
    """Nobody there, no token, no switch at all: each is said in words that help."""
    here = f"http://127.0.0.1:{switch.admin_port}"
    nobody = await until_told(figures(f"http://127.0.0.1:{free_port()}"), Gone)
    assert "does not answer" in nobody.problem
    assert "--token-file" in (await until_told(figures(here), Gone)).problem
    assert "--token-file" in (await until_told(figures(here, token="wrong" * 9), Gone)).problem
    assert "no admin port" in (await until_told(figures(f"{here}/no", token=TOKEN), Gone)).problem


REFUSALS = [
    (["127.0.0.1:8580"], "must begin with http://"),
    (["http://x", "--token-file", "none"], "--token-file: cannot be read"),
    (["http://x", "--ca", "none"], "--ca: has no certificate"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "named"), REFUSALS)
def test_what_top_refuses(words: list[str], named: str) -> None:
    """One line that says what to do."""
    said = typed("top", *words)
    assert (1, 1) == (said.exit_code, said.stderr.count("\n"))
    assert named in said.stderr


def test_top_without_textual_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    there = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "switch.operate.top.screen":
            raise ImportError(name)
        return there(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    assert "make setup" in typed("top").stderr


@pytest.mark.parametrize(("value", "said"), NUMBERS)
def test_a_number_has_three_digits_that_mean_something(value: float | None, said: str) -> None:
    """A whole one is whole, none is a dash."""
    assert said == number(value)


@pytest.mark.parametrize(("seconds", "said"), SPANS)
def test_a_time_is_in_the_units_that_one_thinks_in(seconds: int, said: str) -> None:
    """Seconds, minutes, hours, days."""
    later = f"2026-11-{10 + seconds // 86400:02d}T{seconds // 3600 % 24:02d}:"
    later += f"{seconds // 60 % 60:02d}:{seconds % 60:02d}.000Z"
    assert said == between("2026-11-10T00:00:00.000Z", later)


def test_a_share_of_nothing_is_a_dash() -> None:
    """And another one a percentage."""
    assert ("–", "93.4 %") == (percent(None), percent(0.934))
