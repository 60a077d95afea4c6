"""The demo's day of messages, encoded by another implementation, against a real switch."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from specs.spec import load as load_spec
from switch.operate.replay import Step, read_scenario
from switch.wire.message import Message, encode
from tests.process import Switch, running, until
from tests.traffic import GOLDEN
from tests.typed import typed

SCENARIO, CAPTURE = GOLDEN / "scenario.jsonl", GOLDEN / "scenario.pcap"
ASCII = load_spec("iso87-ascii")
STEPS = {step.number: step for step in read_scenario(SCENARIO, ASCII)}

#: The classes that are decided. What follows from others (an advice that replaced a hold, a
#: reversal that gave money back) cannot be right without them.
DECIDED = ("0100", "0101", "0800")
FOLLOWS_FROM_OTHERS = {25, 26, 27, 28, 29, 30, 31, 55, 71}

_ROW = re.compile(r" *(?P<number>\d+) (?P<mti>\d{4}) (?P<verdict>right|DIFFERENT) ")


@pytest.fixture(scope="module")
def switch(quick_root: Path) -> Iterator[Switch]:
    """A running switch with the demo's cards."""
    with tempfile.TemporaryDirectory(dir=quick_root) as folder, running(Path(folder)) as started:
        yield started


def forget(switch: Switch) -> None:
    """Begin the day anew."""
    reset = typed("demo", "reset", settings={"database__url": switch.database_url})
    assert (0, "22 demo cards are loaded\n") == (reset.exit_code, reset.output)


def replay(switch: Switch, file: Path, *words: str) -> Result:
    """Play a file."""
    return typed("replay", str(file), "--to", f"127.0.0.1:{switch.port()}", *words)


@pytest.mark.parametrize("file", [SCENARIO, CAPTURE], ids=["scenario", "capture"])
def test_every_authorization_of_the_day_is_answered_right(switch: Switch, file: Path) -> None:
    """Each 0100, 0101 and 0800 is answered as expected, from fields and from a capture."""
    only = [word for mti in DECIDED for word in ("--mti", mti)]
    forget(switch)
    said = replay(switch, file, *only)
    rows = {int(row["number"]): row for row in map(_ROW.match, said.stdout.splitlines()) if row}
    sent = {n for n, step in STEPS.items() if file is SCENARIO or step.payload is not None}
    assert {n for n in sent if STEPS[n].mti in DECIDED} == rows.keys()
    assert all(STEPS[number].mti == row["mti"] for number, row in rows.items())
    different = {number for number, row in rows.items() if row["verdict"] != "right"}
    assert different <= FOLLOWS_FROM_OTHERS, said.stdout
    assert (2 if different else 0) == said.exit_code
    assert "" == said.stderr


def test_a_second_day_repeats_the_first(switch: Switch) -> None:
    """Every message of the day sent again is a repeat: nothing more is held."""
    began = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def lines() -> list[dict[str, Any]]:
        return [line for line in switch.lines("message") if line["time"] > began]

    replay(switch, CAPTURE)
    until(lambda: len(lines()) >= 73, "73 lines")
    decided = [
        line
        for line in lines()
        if line["mti"] == "0100" and line["reason"] not in ("no_card_record", "format_error")
    ]
    assert decided
    assert {True} == {line["repeat"] for line in decided}


def test_a_replay_tells_what_was_different(switch: Switch, tmp_path: Path) -> None:
    """A wrong expectation is shown with what came, masked, and the exit code says so."""
    row = json.loads(SCENARIO.read_text().splitlines()[2])
    row["expect"] |= {"39": "51", "2": row["fields"]["2"]}
    changed = tmp_path / "changed.jsonl"
    changed.write_text(json.dumps(row) + "\n")
    said = replay(switch, changed)
    assert 2 == said.exit_code
    assert "39: expected 51, got 00" in said.stdout
    assert said.stdout.endswith("0 right, 1 different, 0 sent and not compared\n")


ENCODED = [step for step in STEPS.values() if step.payload is not None]


@pytest.mark.parametrize("step", ENCODED, ids=[str(step.number) for step in ENCODED])
def test_our_encoder_makes_the_same_bytes(step: Step) -> None:
    """Fields of the scenario become, byte for byte, what another implementation made of them."""
    assert step.payload == encode(Message(step.mti, step.fields), ASCII)
