"""The demo's day of messages, encoded by another implementation, against a real switch."""

from __future__ import annotations

import asyncio
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
from switch.operate.replay.scenario import Step, read_scenario
from switch.operate.why import Place, explain
from switch.wire.message import Message, encode
from tests import log_page
from tests.process import Switch, running, until
from tests.traffic import GOLDEN
from tests.typed import typed

SCENARIO, CAPTURE = GOLDEN / "scenario.jsonl", GOLDEN / "scenario.pcap"
ASCII = load_spec("iso87-ascii")
STEPS = {step.number: step for step in read_scenario(SCENARIO, ASCII)}

#: A capture lacks the two completions that need a code of an earlier answer (67, 69), so that the
#: balance of row 71 is another: 1000.00 - 15.00 - 15.00 - 80.00 - 1.00 + 20.00.
BALANCE_WITHOUT_COMPLETIONS = "0002978C000000090900"

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


def rows_of(said: Result) -> dict[int, str]:
    """The verdict of each row that was played."""
    found = map(_ROW.match, said.stdout.splitlines())
    return {int(row["number"]): row["verdict"] for row in found if row}


def test_the_whole_day_is_answered_right_twice(switch: Switch) -> None:
    """Each of the 75 messages is answered as expected, and again after a reset."""
    for _ in range(2):
        forget(switch)
        said = replay(switch, SCENARIO)
        assert dict.fromkeys(range(1, 76), "right") == rows_of(said), said.stdout
        assert (0, "") == (said.exit_code, said.stderr)
        assert said.stdout.endswith("75 right, 0 different, 0 sent and not compared\n")


def test_the_day_is_answered_right_from_a_capture(switch: Switch) -> None:
    """So it is from a capture, but for the balance that two completions would change."""
    forget(switch)
    said = replay(switch, CAPTURE)
    rows = rows_of(said)
    assert {n for n, step in STEPS.items() if step.payload is not None} == rows.keys()
    assert {71} == {number for number, verdict in rows.items() if verdict != "right"}, said.stdout
    assert f"got {BALANCE_WITHOUT_COMPLETIONS}" in said.stdout


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


def test_every_line_is_as_documented(switch: Switch) -> None:
    """What a whole day writes has known fields of their types, an event and a level."""
    assert [] == [said for line in switch.lines() for said in log_page.problems(line)]


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


async def test_every_row_of_the_day_is_explained(switch: Switch) -> None:
    """What `switch why` says of each message of the day is what was recorded of it: nothing
    that is known contradicts it.
    """
    await asyncio.to_thread(forget, switch)
    await asyncio.to_thread(replay, switch, SCENARIO)
    connection = await switch.connect()
    try:
        rows = await connection.fetch(
            "SELECT account_id, authorization_id, received_at, mti, reason FROM authorizations"
        )
        rows += await connection.fetch("SELECT 0, stan::int, received_at, mti, reason FROM refused")
        assert len(rows) > 60
        for account_id, number, received_at, mti, reason in rows:
            told = await explain(connection, Place(account_id, number, received_at))
            assert (reason, ()) == (told.reason, told.notes)
            if account_id == 0 or mti[1:3] in ("10", "20"):
                assert reason == (told.refusing and told.refusing.reason)
                assert {"not_recorded"}.isdisjoint(check.verdict for check in told.checks)
            else:
                assert ("booked", ()) == (told.verdict, told.checks)
    finally:
        await connection.close()


def load(switch: Switch, *words: str) -> tuple[int, dict[str, Any]]:
    """Play the capture as a load of new messages; the exit code and the figures."""
    said = typed(
        "replay", str(CAPTURE), "--to", f"127.0.0.1:{switch.port()}", "--fresh", "--json",
        "--check-ledger", *words, settings={"database__url": switch.database_url},
    )  # fmt: skip
    return said.exit_code, json.loads(said.stdout)


def test_a_fresh_day_is_a_new_day(switch: Switch, tmp_path: Path) -> None:
    """New messages of the capture are decided anew, twice, with right cryptograms: nothing is a
    repeat, every approval has its row, and the books are right.
    """
    forget(switch)
    code, first = load(switch, "--atc-from", "1000")
    assert (0, 73, 0) == (code, first["answered"], first["wrong"]), first["differences"]
    page = tmp_path / "report.html"
    # The second day finds less money: what is expected of the first one is not of it.
    code, second = load(switch, "--atc-from", "2000", "--mti", "0800", "--report", str(page))
    assert (0, 73, 0) == (code, second["answered"], second["wrong"]), second["differences"]
    for day in (first, second):
        assert (0, 0, 0) == (day["unanswered"], day["missing"], day["broken"])
        # A wrong CVV, a wrong CVV2 and a wrong cryptogram, as recorded, and no replayed one.
        assert 3 == day["response_codes"]["82"]
    assert second["approvals"] > 10
    assert not [pan for pan in {s.fields.get(2, "-") for s in STEPS.values()} - {"-"}
                if pan in page.read_text()]  # fmt: skip


def test_a_load_is_held_to_its_thresholds(switch: Switch) -> None:
    """What is met is not told; one that is not is named, and the exit code says so."""
    held = ("sent=73", "unanswered<1", "p99<30s", "p50<1us", "wrong>=0")
    words = ("--as-fast-as-possible", "--in-flight", "4", "--atc-from", "60000", "--json")
    said = replay(switch, CAPTURE, "--fresh", *words, *(w for h in held for w in ("--expect", h)))
    notes = json.loads(said.stdout)["notes"]
    assert (2, ["not met: p50<1us"]) == (said.exit_code, [n for n in notes if "met" in n])


def test_a_load_in_words(switch: Switch) -> None:
    """Progress goes to standard error, the figures to standard output."""
    forget(switch)
    said = replay(switch, SCENARIO, "--rate", "500", "--connections", "2", "--expect", "wrong>=0")
    assert re.search(r"^ +1 s +\d+ answers .* p99 ", said.stderr, re.MULTILINE)
    assert re.search(r"^answered +73$", said.stdout, re.MULTILINE)
    assert re.search(r"^p99\.9 +[0-9.,]+ ms$", said.stdout, re.MULTILINE)
    assert "messages 67, 69" in said.stdout
    assert 0 == said.exit_code


ENCODED = [step for step in STEPS.values() if step.payload is not None]


@pytest.mark.parametrize("step", ENCODED, ids=[str(step.number) for step in ENCODED])
def test_our_encoder_makes_the_same_bytes(step: Step) -> None:
    """Fields of the scenario become, byte for byte, what another implementation made of them."""
    assert step.payload == encode(Message(step.mti, step.fields), ASCII)
