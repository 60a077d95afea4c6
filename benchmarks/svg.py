"""Two drawings: bars that are compared, and lines over two logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720.0, 320.0
BAR, GAP, LABEL = 18.0, 8.0, 240.0
LEFT, TOP, RIGHT, BOTTOM = 60.0, 16.0, 70.0, 44.0

COLOURS = ("#2563ab", "#c2570c", "#5b7f1f", "#8a3b8f")


def bars(values: Mapping[str, float], unit: str) -> str:
    """A bar a name, from zero."""
    longest = max(values.values(), default=0.0) or 1.0
    parts = []
    for row, (name, value) in enumerate(values.items()):
        y = row * (BAR + GAP)
        width = (WIDTH - LABEL - RIGHT) * value / longest
        parts.append(
            _label(LABEL - 8, y + 13, name, "end")
            + f'<rect x="{LABEL:g}" y="{y:g}" width="{width:.1f}" height="{BAR:g}" '
            f'fill="{COLOURS[0]}"/>' + _label(LABEL + width + 6, y + 13, f"{value:,.10g}")
        )
    height = len(values) * (BAR + GAP) + 20
    return _drawing("".join(parts) + _label(LABEL, height - 6, unit), height)


def lines(curves: Mapping[str, Sequence[tuple[float, float]]], x_unit: str, y_unit: str) -> str:
    """A line a name; points that are not finite and above zero are left out."""
    shown = {
        name: [(x, y) for x, y in points if x > 0 and y > 0 and math.isfinite(y)]
        for name, points in curves.items()
    }
    every = [point for points in shown.values() for point in points]
    if not every:
        return ""
    across = _Axis([x for x, _ in every], LEFT, WIDTH - RIGHT)
    up = _Axis([y for _, y in every], HEIGHT - BOTTOM, TOP)
    parts = [_grid(across, up), _label(LEFT, HEIGHT - 6, x_unit), _label(4, TOP, y_unit)]
    for colour, (name, points) in zip(COLOURS, shown.items(), strict=False):
        if not points:
            continue
        places = [(across.place(x), up.place(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                      for x, y in places)
            + _label(places[-1][0] + 8, places[-1][1] + 4, name)
        )  # fmt: skip
    return _drawing("".join(parts), HEIGHT)


class _Axis:
    """A logarithmic axis over whole decades."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.first = math.floor(math.log10(min(values)))
        self.last = max(self.first + 1, math.ceil(math.log10(max(values))))
        self._start, self._end = start, end

    def place(self, value: float) -> float:
        share = (math.log10(value) - self.first) / (self.last - self.first)
        return self._start + share * (self._end - self._start)

    def marks(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def _grid(across: _Axis, up: _Axis) -> str:
    parts = []
    for mark in across.marks():
        x = across.place(mark)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_label(x, HEIGHT - BOTTOM + 16, f"{mark:,.10g}", "middle"))
    for mark in up.marks():
        y = up.place(mark)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_label(LEFT - 8, y + 4, f"{mark:,.10g}", "end"))
    return "".join(parts)


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _label(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _drawing(inside: str, height: float) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" '
        f'xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
    )
