"""The screen of `switch top`."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Footer, Sparkline, Static

from switch.operate.top import layout
from switch.operate.top.client import Gone

#: Seconds that the small charts go back.
SECONDS = 120


class Top(App[None]):
    """What a running switch does now; figures come from an iterator."""

    TITLE = "switch top"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { background: $background; }
    #head, #gone, #figures, #links, .panel { height: auto; padding: 0 1; }
    #gone { background: $error; color: $text; display: none; }
    #figures, #links { margin-top: 1; }
    .charts { height: 4; margin-top: 1; }
    .charts Vertical { padding: 0 1; }
    .charts Static { color: $text-muted; }
    .charts Sparkline { height: 3; }
    .panels { height: auto; margin-top: 1; }
    .panel { width: 1fr; }
    .is-gone #body { opacity: 50%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("q", "quit", "quit"),
        ("space", "hold", "hold, and go on"),
    ]

    def __init__(self, figures: AsyncIterator[dict[str, Any] | Gone]) -> None:
        super().__init__()
        self._figures = figures
        self._rates: deque[float] = deque(maxlen=SECONDS)
        self._slowest: deque[float] = deque(maxlen=SECONDS)
        self._is_held = False
        self._gone_at: float | None = None

    def compose(self) -> ComposeResult:
        """From the top: who, the figures, two charts, links, and what is behind them."""
        yield Static(id="head")
        yield Static(id="gone")
        with VerticalScroll(id="body"):
            yield Static(id="figures")
            with Horizontal(classes="charts"):
                with Vertical():
                    yield Static(f"messages/s, last {SECONDS} s")
                    yield Sparkline([], id="rates")
                with Vertical():
                    yield Static(f"p99 ms of each second, last {SECONDS} s")
                    yield Sparkline([], id="slowest")
            yield Static(id="links")
            with Horizontal(classes="panels"):
                yield Static(id="declines", classes="panel")
                yield Static(id="behind", classes="panel")
        yield Footer()

    def on_mount(self) -> None:
        """Begin to watch."""
        self.run_worker(self._watch(), exclusive=True)

    def action_hold(self) -> None:
        """Let the screen stand still, to read it; or go on."""
        self._is_held = not self._is_held

    async def _watch(self) -> None:
        async for told in self._figures:
            if isinstance(told, Gone):
                self._show_gone(told)
            else:
                self._take(told)

    def _take(self, now: dict[str, Any]) -> None:
        self._gone_at = None
        self.query_one("#gone").display = False
        self.remove_class("is-gone")
        self._rates.append(now["second"]["messages_per_second"])
        self._slowest.append(now["second"]["latency_ms"]["p99"] or 0.0)
        if not self._is_held:
            self._show(now)

    def _show(self, now: dict[str, Any]) -> None:
        self.query_one("#head", Static).update(layout.head(now))
        self.query_one("#figures", Static).update(layout.main_figures(now))
        self.query_one("#links", Static).update(layout.links(now))
        self.query_one("#declines", Static).update(layout.declines(now))
        self.query_one("#behind", Static).update(layout.behind(now))
        self.query_one("#rates", Sparkline).data = list(self._rates)
        self.query_one("#slowest", Sparkline).data = list(self._slowest)

    def _show_gone(self, gone: Gone) -> None:
        if self._gone_at is None:
            self._gone_at = time.monotonic()
        banner = self.query_one("#gone", Static)
        seconds = int(time.monotonic() - self._gone_at)
        banner.update(f"GONE for {seconds} s: {gone.problem}. It is asked again each second.")
        banner.display = True
        self.add_class("is-gone")
