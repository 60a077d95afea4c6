"""
A load's figures as one HTML page that needs nothing else: no script, no request.

It has figures and the notes of the summary: nothing of a message but its number and MTI.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

from switch.operate.replay.report import milliseconds, quantiles
from switch.operate.replay.tally import PERCENTILES, Tally, counts

__all__ = ["page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 760, 240, 70, 30, 12, 20

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 800px; color: #1d2433 }
h1 { font-size: 1.4em } h2 { font-size: 1.05em; margin: 1.8em 0 .3em }
table { border-collapse: collapse } td { padding: .1em 1.6em .1em 0 }
td + td { text-align: right; font-variant-numeric: tabular-nums }
.tables { display: flex; gap: 3em; flex-wrap: wrap }
.wide { overflow-x: auto; margin-top: 1.5em } .wide td { padding-right: .8em; font-size: .85em }
.wide thead td { color: #5b6475 }
svg { width: 100%; height: auto } svg text { font-size: 11px; fill: #5b6475 }
.grid { stroke: #dde2ea } .a { stroke: #1f6feb } .b { stroke: #d9480f } .c { stroke: #8a94a6 }
polyline { fill: none; stroke-width: 1.6 } .key { font-weight: 600 }
"""

Point = tuple[float, float]
Line = tuple[str, str, list[Point]]  # class, name, points


def page(
    tally: Tally, notes: Sequence[str], *, title: str = "Replay",
    table: Sequence[Sequence[str]] = (),
) -> str:  # fmt: skip
    """The whole page. A table of its own, its heads first, stands above the plots."""
    seconds = tally.timeline
    rate: list[Line] = [
        ("c", "sent", [(each.number, each.sent) for each in seconds]),
        ("a", "answered", [(each.number, each.answered) for each in seconds]),
    ]
    latency: list[Line] = [
        ("a", "p50", [(each.number, each.p50 * 1000) for each in seconds]),
        ("b", "p99", [(each.number, each.p99 * 1000) for each in seconds]),
        ("c", "max", [(each.number, each.max * 1000) for each in seconds if each.answered]),
    ]
    shares: list[Line] = [("a", "latency", _by_nines(tally.latencies.shares()))]
    told = "".join(f"<li>{escape(line)}</li>" for line in (*tally.told, *notes))
    return (
        '<!doctype html>\n<html lang="en"><meta charset="utf-8">'
        f"<title>{escape(title)}</title>"
        f"<style>{_STYLE}</style><h1>{escape(title)}: {tally.answered:,} answers, "
        f"{tally.rate:,.1f} a second</h1>"
        f'<div class="tables">{_table(_figures(tally))}{_table(_latencies(tally))}'
        f"{_table([(f'DE39 {code}', f'{n:,}') for code, n in sorted(tally.codes.items())])}</div>"
        f"{_wide(table)}"
        f"<h2>Messages a second, by second</h2>{_plot(rate, _number, _number)}"
        f"<h2>Latency in ms, by second</h2>{_plot(latency, _number, _number)}"
        "<h2>Latency in ms, by share of all answers</h2>"
        f"{_plot(shares, _nines, _number)}"
        "<p>A latency counts from the moment at which a message was due. What had no answer "
        "counts with the whole timeout.</p>"
        f"{f'<h2>Notes</h2><ul>{told}</ul>' if told else ''}</html>\n"
    )


def _figures(tally: Tally) -> list[tuple[str, str]]:
    return [(name, f"{count:,}") for name, count in counts(tally).items()]


def _latencies(tally: Tally) -> list[tuple[str, str]]:
    values = dict(zip(PERCENTILES, quantiles(tally), strict=True))
    values |= {name: tally.figure(name) for name in ("mean", "max")}
    return [(name, milliseconds(value)) for name, value in values.items()]


def _table(rows: Sequence[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><td>{escape(a)}<td>{b}" for a, b in rows) + "</table>"


def _wide(table: Sequence[Sequence[str]]) -> str:
    """A table with heads, which may be wider than a small screen; none where it has no rows."""
    if not table:
        return ""
    heads, *others = ("".join(f"<td>{escape(text)}" for text in row) for row in table)
    body = "".join(f"<tr>{row}" for row in others)
    return f'<div class="wide"><table><thead><tr>{heads}<tbody>{body}</table></div>'


def _by_nines(shares: Sequence[Point]) -> list[Point]:
    """Latencies over the count of nines of their share, so that the tail has its room."""
    last = len(shares) - 1
    return [
        (-math.log10(1 - share) if place < last else _most_nines(shares), seconds * 1000)
        for place, (seconds, share) in enumerate(shares)
    ]


def _most_nines(shares: Sequence[Point]) -> float:
    """Where the longest latency stands: whole nines beyond the last but one."""
    before = shares[-2][1] if len(shares) > 1 else 0.0
    return math.ceil(-math.log10(1 - before) + 0.01)


def _plot(lines: Sequence[Line], x_text: Callable[[float], str], y_text: Callable[[float], str],
          ) -> str:  # fmt: skip
    """Lines over a grid, with their names."""
    lines = [(kind, name, [p for p in points if not math.isnan(p[1])])
             for kind, name, points in lines]  # fmt: skip
    most_x = max((x for *_, points in lines for x, _ in points), default=0.0) or 1.0
    most_y = _round_up(max((y for *_, points in lines for _, y in points), default=0.0))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(x: float, y: float) -> str:
        return f"{_LEFT + x / most_x * wide:.0f},{_TOP + high - y / most_y * high:.0f}"

    drawn = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for part in range(5):
        y = _TOP + high - high * part / 4
        drawn.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{y_text(most_y * part / 4)}</text>"
        )
    drawn += [
        f'<text x="{_LEFT + x / most_x * wide:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">'
        f"{x_text(x)}</text>"
        for x in _ticks(most_x)
    ]
    for place, (kind, name, points) in enumerate(lines):
        # What stands on the same pixel is drawn once: a tail has thousands of latencies.
        path = " ".join(dict.fromkeys(at(x, y) for x, y in points))
        x, y = _LEFT + 10 + place * 90, _TOP + 6
        drawn.append(
            f'<polyline class="{kind}" points="{path}"/>'
            f'<line class="{kind}" x1="{x}" x2="{x + 16}" y1="{y}" y2="{y}"/>'
            f'<text class="key" x="{x + 21}" y="{y + 4}">{name}</text>'
        )
    return "".join((*drawn, "</svg>"))


def _ticks(most: float) -> list[float]:
    step = max(1.0, math.ceil(most / 8))
    return [step * place for place in range(int(most / step) + 1)]


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in (1, 2, 5, 10) if value <= power * step)


def _number(value: float) -> str:
    return f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _nines(nines: float) -> str:
    """1 → 90 %, 3 → 99.9 %."""
    return f"{100 * (1 - 10**-nines):.{max(0, round(nines) - 2)}f} %"
