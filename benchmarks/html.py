"""
The figures of a bench as one page that needs nothing beside itself.

    python -m benchmarks.html var/bench/bench.json > bench.html
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks.svg import bars, lines

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 56rem; margin: 2rem auto;
       padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #444 }
"""

Found = Mapping[str, Any]

QUANTILES = {"p50_ms": "p50", "p99_ms": "p99", "p99_9_ms": "p99.9"}


def page(found: Found) -> str:
    """The page of whatever was measured; what is missing is left out."""
    parts = {
        "Switch, pgbench and textbook": ("compared", _compared),
        "Latency by rate": ("ladder", _ladder),
        "Codec": ("codec", _codec),
        "Keys": ("keys", _keys),
        "One account": ("hot", _figures),
        "Idle links": ("links", _growth),
        "Messages in flight": ("in_flight", _figures),
        "Cards": ("cards", _growth),
        "History": ("history", _growth),
    }
    body = "".join(
        f"<h2>{escape(title)}</h2>{shown(found[name])}"
        for title, (name, shown) in parts.items()
        if name in found
    )
    about = " · ".join(f"{name} {value}" for name, value in found.get("machine", {}).items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Bench</title>'
        f"<style>{STYLE}</style><h1>Bench</h1><p>{escape(about)}</p>{body}</html>\n"
    )


def _compared(told: Found) -> str:
    names = ("switch", "pgbench", "textbook")
    rates = {name: float(told[f"{name}_per_s"]) for name in names}
    return bars(rates, "approvals a second") + _figures(told)


def _ladder(told: Found) -> str:
    curves = {
        name: [(float(step["per_s"]), _number(step[key])) for step in told["ladder"]]
        for key, name in QUANTILES.items()
    }
    steps = [*told["ladder"], *told["shares"]]
    rows = [
        (
            f"{step['per_s']:,} a second" + (f" ({step['share']:.0%})" if "share" in step else ""),
            *(_text(step[key]) for key in QUANTILES), step["approved_per_s"], step["unanswered"],
            _text(step["not_approved"]),
        )
        for step in steps
    ]  # fmt: skip
    heads = ("rate", *(f"{name} ms" for name in QUANTILES.values()), "approved a second",
             "unanswered", "not approved")  # fmt: skip
    return lines(curves, "messages a second", "ms") + table(heads, rows)


def _codec(told: Found) -> str:
    shown = {
        f"{cost['dialect']}, {what}": float(cost[f"{what}_us"])
        for cost in told["codec"]
        for what in ("decode", "encode", "pyiso8583_decode", "pyiso8583_encode")
    }
    return bars({name.replace("_", " "): us for name, us in shown.items()}, "µs a message, best")


def _keys(told: Found) -> str:
    return bars({name: float(us) for name, us in told["best_us"].items()}, "µs a question, best")


def _growth(told: Found) -> str:
    rows = [(when, *told[when].values()) for when in ("before", "after")]
    rest = {name: value for name, value in told.items() if name not in ("before", "after")}
    return table(("", *(_words(name) for name in told["before"])), rows) + _figures(rest)


def _figures(told: Found) -> str:
    return table(("", ""), [(_words(name), _text(value)) for name, value in told.items()])


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of text, whatever the values."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(one)}" for name, one in value.items()) or "none"
    if value is None:
        return "–"  # JSON's NaN: of nothing there is no quantile
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


@click.command()
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def main(report: Path) -> None:
    """Print the page of a bench.json."""
    click.echo(page(orjson.loads(report.read_bytes())), nl=False)


if __name__ == "__main__":
    main()
