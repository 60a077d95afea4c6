"""A scheme against a real switch: over sockets, while things go wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from switch.demo.program import LOAD_BIN
from switch.operate.simulate.mix import Mix
from tests.process import COMMAND, Switch, environment, free_port, running, until
from tests.traffic import add_load_cards
from tests.typed import typed

CARDS = 300
#: Long enough that a stopped Postgres is felt, short enough that the scheme has given up by then.
STOPPED_SECONDS = 2.5
LATER = ("visa-base1", "iso93-ascii", "cmf-2003")


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A switch with short deadlines, a link with MACs, and links of other dialects."""
    given: dict[str, object] = {
        "links__0__listen": f"127.0.0.1:{free_port()}",
        "links__0__answer_within_ms": 400,
        "links__0__margin_ms": 100,
        "links__1__name": "mac",
        "links__1__listen": "127.0.0.1:0",
        "links__1__mac_key": "zak",
    }
    for number, name in enumerate(LATER, start=2):
        link = {"name": name, "dialect": name, "listen": "127.0.0.1:0", "answer_within_ms": 3000}
        given |= {f"links__{number}__{key}": value for key, value in link.items()}
    with (
        tempfile.TemporaryDirectory(dir=quick_root) as folder,
        running(Path(folder), **given) as started,
    ):
        add_load_cards(started.database_url, CARDS)
        yield started


def words(switch: Switch, *more: str, link: str = "demo") -> list[str]:
    """What is typed."""
    return [
        "simulate", f"127.0.0.1:{switch.port(link)}", "--cards", str(CARDS), "--json", "--audit",
        *more,
    ]  # fmt: skip


def begun(switch: Switch, *more: str) -> subprocess.Popen[str]:
    """A simulation whose customers are coming."""
    told = switch.folder / "told.txt"
    with told.open("w") as errors:
        simulation = subprocess.Popen(
            [COMMAND, *words(switch, *more)],
            cwd=switch.folder,
            env=environment({"database__url": switch.database_url}),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    until(lambda: "    2 s" in told.read_text(), "two seconds of a simulation")
    return simulation


def ended(switch: Switch, simulation: subprocess.Popen[str], within: float) -> dict[str, Any]:
    """What it found, which must be nothing wrong; nothing it says has a card in it."""
    out, _ = simulation.communicate(timeout=within)
    errors = (switch.folder / "told.txt").read_text()
    assert out, errors[-1000:]
    figures: dict[str, Any] = json.loads(out)
    found = [*figures["differences"], *figures["notes"]]
    assert 0 == simulation.returncode, [line for line in found if "link lost" not in line]
    assert LOAD_BIN not in out + errors
    assert 0 == sum(
        figures[name]
        for name in ("wrong", "unacknowledged", "unfinished", "missing", "broken", "differ")
    )
    return figures


async def test_a_scheme_while_everything_stops(switch: Switch) -> None:
    """A quarter of an hour in fifteen seconds, with the database stopped and then the switch:
    what nobody answered is stood in for or reversed and acknowledged, and the scheme's books and
    the ledger's are the same.
    """
    simulation = begun(
        switch,
        "--rate",
        "0.4",
        "--for",
        "15m",
        "--speed",
        "60",
        "--links",
        "3",
        "--seed",
        "47",
        "--atc-from",
        "1",
    )
    for stop in (switch.signal_postgres, partial(os.kill, switch.pid)):
        stop(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_SECONDS)
        stop(signal.SIGCONT)
        await asyncio.sleep(1.0)
    figures = await asyncio.to_thread(ended, switch, simulation, 90)
    for name in ("unavailable", "timed_out", "stood_in", "reversed", "completed", "late", "cuts"):
        assert figures[name] > 0, name
    assert Mix().weights.keys() <= figures["by_story"].keys()
    assert figures["by_story"]["chip_pin"]["approved"] > 0
    assert {"14", "51", "55"} <= figures["response_codes"].keys()


@pytest.mark.parametrize(
    ("link", "more"),
    [("mac", ("--mac-key", "zak", "--atc-from", "5000"))]
    + [
        (name, ("--dialect", name, "--atc-from", str(10_000 + 5_000 * number)))
        for number, name in enumerate(LATER)
    ],
)
def test_links_of_other_kinds(switch: Switch, link: str, more: Sequence[str]) -> None:
    """With MACs, and in the terms of other dialects: all is answered as it must be."""
    said = typed(
        *words(switch, "--rate", "40", "--for", "1s", link=link), *more,
        "--mix", str(quick_mix(switch.folder)), "--expect", "unanswered=0",
        settings={"database__url": switch.database_url},
    )  # fmt: skip
    assert 0 == said.exit_code, said.output
    figures = json.loads(said.stdout)
    assert figures["approvals"] > 5
    assert 0 == figures["differ"] == figures["broken"] == figures["missing"]


def quick_mix(folder: Path) -> Path:
    """Every story, and nobody thinks for long."""
    file = folder / "quick.toml"
    file.write_text("[times]\nthink = 0.1\n")
    return file


def test_what_cannot_be_played_is_refused(switch: Switch) -> None:
    """In one line that says what to do: cards that are not there, a link that has another key."""
    address = f"127.0.0.1:{switch.port()}"
    for told, named in (
        (("--cards", "100000", "--rate", "200"), "switch demo cards --count 100000"),
        (("--mac-key", "zak", "--dialect", "iso93-ascii"), "no link signs on"),
    ):
        said = typed("simulate", address, *told, "--for", "5s")
        assert 1 == said.exit_code
        (line,) = [line for line in said.stderr.splitlines() if line.startswith("switch: ")]
        assert named in line


@pytest.mark.long
async def test_an_hour(switch: Switch) -> None:
    """An hour in a minute: the database stopped, the switch stopped, the switch killed and started
    again. At the end nothing is owed, lost or held that should not be.
    """
    began = time.monotonic()
    simulation = begun(
        switch, "--rate", "1", "--for", "1h", "--speed", "60", "--links", "4",
        "--atc-from", "30000", "--html", "hour.html",
    )  # fmt: skip
    for stop in (switch.signal_postgres, partial(os.kill, switch.pid)):
        stop(signal.SIGSTOP)
        await asyncio.sleep(2 * STOPPED_SECONDS)
        stop(signal.SIGCONT)
        await asyncio.sleep(5.0)
    await asyncio.to_thread(switch.kill)
    await asyncio.sleep(1.0)
    await asyncio.to_thread(switch.start)
    figures = await asyncio.to_thread(ended, switch, simulation, 240)
    assert time.monotonic() - began > 60
    assert figures["stories"] > 3_000
    assert figures["lost"] >= 4
    for name in ("unavailable", "timed_out", "stood_in", "reversed", "completed", "repeats"):
        assert figures[name] > 10, name
    assert "<h1>Simulation" in (switch.folder / "hour.html").read_text()
