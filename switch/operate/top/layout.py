"""Figures as text: what stands where in `switch top`. Values in, renderables out; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

GOOD, WARN, BAD, DIM = "green", "yellow", "red", "dim"
_LINK_STYLES = {"down": BAD, "draining": WARN, "signed_off": WARN}
_HSM = {
    "inline": ("in process", GOOD),
    "closed": ("answers", GOOD),
    "open": ("down: breaker open", BAD),
    "half_open": ("being tried: breaker half open", WARN),
}
#: Reasons that are faults of ours, and answers that did not reach anybody.
_OURS = frozenset({"unavailable", "system_error"})
#: Reasons that are listed.
_REASONS_MOST = 8

Figures = Mapping[str, Any]


def head(now: Figures) -> Text:
    """Which process this is, and whether it serves."""
    process = now["process"]
    state = ("serving", GOOD) if now["ready"] else (f"not ready: {', '.join(now['missing'])}", BAD)
    words = (
        f"   {process['host']}   pid {process['pid']}   version {process['version']}"
        f"   up {between(process['started_at'], now['at'])}"
        f"   {percent(now['second']['cpu'])} of a core   {now['at'][11:19]} UTC"
    )
    return Text.assemble(("switch ", "bold"), state, (words, DIM))


def main_figures(now: Figures) -> Table:
    """Rate, answer time and approval rate, of the last second and the last minute."""
    table = _table("", "messages/s", "p50 ms", "p99 ms", "p99.9 ms", "approved", "of decisions",
                   "decisions a transaction")  # fmt: skip
    for name, window in (("last second", now["second"]), ("last minute", now["minute"])):
        latency = window["latency_ms"]
        table.add_row(
            Text(name, DIM),
            number(window["messages_per_second"]),
            *(number(latency[share]) for share in ("p50", "p99", "p999")),
            percent(window["approval_rate"]),
            number(window["decisions"]),
            number(window["batch_mean"]),
        )
    return table


def links(now: Figures) -> Table:
    """Each link with its state."""
    table = _table("link", "state", "since", "peers", "in flight", "messages/s", "last minute",
                   "last echo", text=2)  # fmt: skip
    for link in now["links"]:
        name, echo = link["name"], link["last_echo"]
        table.add_row(
            name,
            Text(words(link["state"]), _LINK_STYLES.get(link["state"], GOOD)),
            link["since"][11:19],
            number(link["connections"]),
            number(link["in_flight"]),
            number(now["second"]["links"].get(name, 0.0)),
            number(now["minute"]["links"].get(name, 0.0)),
            "none" if echo is None else f"{between(echo, now['at'])} ago",
        )
    return table


def declines(now: Figures) -> Table:
    """Declines of the last minute by reason, the most frequent first."""
    minute = now["minute"]
    table = _table("declines, last minute", "messages", "of decisions")
    listed = list(minute["declines"].items())
    for reason, count in listed[:_REASONS_MOST]:
        style = BAD if reason in _OURS else ""
        share = percent(count / minute["decisions"])
        table.add_row(Text(words(reason), style), number(count), share)
    if rest := sum(count for _, count in listed[_REASONS_MOST:]):
        table.add_row(Text("others", DIM), number(rest), percent(rest / minute["decisions"]))
    return table


def behind(now: Figures) -> Group:
    """What the switch asks: the HSM and the database; and what waits."""
    hsm, database = now["hsm"], now["database"]
    state, style = _HSM.get(hsm["state"], (hsm["state"], WARN))
    pairs: list[tuple[str, RenderableType]] = [
        (f"HSM {hsm['backend']}", Text(state, style)),
        ("database", Text("ready", GOOD) if database["ready"] else Text("not ready", BAD)),
        ("connections", f"{database['connected']} of {database['connections']}"),
        ("decisions waiting", number(database["waiting"])),
        ("messages in flight", number(now["in_flight"])),
        ("to be taken back", _alarm(database["unwinds_pending"])),
        ("log lines lost", _alarm(now["log_lines_lost"])),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, value in pairs:
        grid.add_row(Text(name, DIM), value)
    return Group(grid, *_questions(hsm["questions"]))


def _questions(questions: Sequence[Figures]) -> Iterable[Table]:
    if not questions:
        return
    table = _table("HSM question, last minute", "asked/s", "mean ms", "p99 ≤ ms", "failed")
    for asked in questions:
        failed = asked["asked"] - asked["outcomes"].get("answered", 0)
        table.add_row(
            words(asked["question"]), number(asked["per_second"]), number(asked["mean_ms"]),
            number(asked["p99_ms"]), _alarm(failed),
        )  # fmt: skip
    yield table


def _table(*heads: str, text: int = 1) -> Table:
    """A table without lines: the first columns are text, the others figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style=DIM)
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place < text else "right", no_wrap=True)
    return table


def _alarm(count: int) -> Text:
    return Text(number(count), BAD if count else "")


def number(value: float | None) -> str:
    """Three digits that mean something; a whole number is whole; none is a dash."""
    if value is None:
        return "–"
    if isinstance(value, int) or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def percent(share: float | None) -> str:
    """A share of one; none is a dash."""
    return "–" if share is None else f"{share * 100:.1f} %"


def words(name: str) -> str:
    """insufficient_funds → insufficient funds."""
    return name.replace("_", " ")


def between(earlier: str, later: str) -> str:
    """The time between two moments: 42 s, 3 min, 2 h 10 min, 3 d 4 h."""
    span = datetime.fromisoformat(later) - datetime.fromisoformat(earlier)
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min"
    hours = seconds // 3600
    return (
        f"{hours} h {seconds % 3600 // 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
    )
