"""
`make bench`: every bench, one after the other, told in one JSON file and one page of HTML.

    python -m benchmarks.whole                       # a million cards, ten million messages
    python -m benchmarks.whole --cards 10000 --history 100000 --seconds 2 --rounds 1

Each is a program of its own, which this starts and waits for. The last line of the output is the
JSON of all of them.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import orjson

from benchmarks.html import page


def perform(program: str, *words: str) -> dict[str, Any]:
    """Run one bench, let its lines through, give the object of its last one.

    Exits with 1 where it has none.
    """
    click.echo(f"\n— {program} {' '.join(words)}".rstrip())
    last = ""
    command = [sys.executable, "-m", f"benchmarks.{program}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                click.echo(line, nl=False)
                last = line
        except KeyboardInterrupt:
            process.terminate()  # and the `with` waits for what it takes down
            raise
    try:
        told: dict[str, Any] = orjson.loads(last)
    except orjson.JSONDecodeError:
        sys.exit(f"bench: {program} gave no figures")
    return told


def machine() -> dict[str, Any]:
    """Where and when."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
    }


def stopped(*_: object) -> None:
    """SIGTERM ends it as Ctrl-C does."""
    raise KeyboardInterrupt


@click.command()
@click.option("--cards", type=int, default=1_000_000, show_default=True,
              help="Of the growth case of that name; as those below.")  # fmt: skip
@click.option("--history", type=int, default=10_000_000, show_default=True)
@click.option("--links", type=int, default=1_000, show_default=True)
@click.option("--in-flight", type=int, default=2_000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1), default=10.0, show_default=True,
              help="How long each measurement takes.")  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="How often all take turns.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="var/bench",
              show_default=True, help="Where bench.json and bench.html are written.")  # fmt: skip
def main(
    cards: int,
    history: int,
    links: int,
    in_flight: int,
    seconds: float,
    rounds: int,
    out: Path,
) -> None:
    """Measure everything. What is done is written down at once: it stays if the rest fails."""
    signal.signal(signal.SIGTERM, stopped)
    out.mkdir(parents=True, exist_ok=True)
    long, often = ("--seconds", str(seconds)), ("--rounds", str(rounds))
    programs = {
        "compared": ("bench", "--switches", "2", *long, *often),
        "ladder": ("ladder", *long),
        "codec": ("codec",),
        "keys": ("keys",),
        "hot": ("growth", "--hot", *long, *often),
        "links": ("growth", "--links", str(links), *long, *often),
        "in_flight": ("growth", "--in-flight", str(in_flight), *long),
        "cards": ("growth", "--cards", str(cards), *long, *often),
        "history": ("growth", "--history", str(history), *long, *often),
    }
    found: dict[str, Any] = {"machine": machine()}
    try:
        for name, words in programs.items():
            told = perform(*words)
            found[name] = told[name] if words[0] == "growth" else told
            (out / "bench.json").write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
            (out / "bench.html").write_text(page(found), "utf-8")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
    click.echo(f"\nwritten: {out / 'bench.json'}, {out / 'bench.html'}")
    click.echo(orjson.dumps(found))


if __name__ == "__main__":
    main()
