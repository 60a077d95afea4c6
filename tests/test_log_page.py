"""docs/logs.md is true of the code, and its recipes do what it says."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from switch.ledger import errors
from switch.ledger.errors import LedgerUnavailable
from switch.log_events import EVENTS, WARNED_STATES, level_of
from switch.log_fields import FIELDS, CanonicalFields
from tests import log_page
from tests.process import PATIENCE_SECONDS
from tests.traffic import GOLDEN, ROOT
from tests.typed import typed

RECORDED = GOLDEN / "log.jsonl"

#: Methods by which an event is told.
TELLERS = {"event", "_event", "on_event", "_on_event", "_tell", "info", "warning", "error"}
TOLD = re.compile(rf"\b({'|'.join(sorted(TELLERS))})\(")
#: Put together where it is told.
BUILT = {"key_exchange_accepted"}


def test_every_field_is_documented() -> None:
    """The page has the fields of the list, each with its type and an example of it."""
    assert {"time", "level", "event", *FIELDS} == log_page.kinds().keys()
    for name, example in log_page.examples().items():
        assert type(example) in log_page.kinds()[name], name


def test_the_fields_of_a_message_have_their_types() -> None:
    """What the code says that a message's field holds is what the page says."""
    for name, hint in get_type_hints(CanonicalFields).items():
        held = {*(get_args(hint) or (hint,))} - {type(None)}
        assert held <= set(log_page.kinds()[name]), name


def test_every_event_is_documented() -> None:
    """The page has the events of the list, with the levels and the fields that they can have."""
    told: set[str] = set()
    for names, levels, fields in log_page.event_rows():
        told.update(names)
        may_be = {name: levels_of(name) for name in names}
        if len(levels) == len(names) > 1:
            assert [{level} for level in levels] == list(may_be.values()), names
        else:
            assert all(set(levels) == each for each in may_be.values()), names
        if not {"message", "unnamed"} & set(names):
            held = {field for name in names for field in EVENTS[name].fields.split()}
            assert fields == held, names
    assert EVENTS.keys() == told


def levels_of(name: str) -> set[str]:
    """The levels that an event can have."""
    by_state = {level_of(name, state) for event, state in WARNED_STATES if event == name}
    by_library = {"error"} if name == "library_message" else set()
    return {EVENTS[name].level} | by_state | by_library


def test_an_event_has_a_known_level() -> None:
    """A listed one has its own, by its state where that matters; another one is a warning."""
    assert {event.level for event in EVENTS.values()} == set(log_page.LEVELS)
    assert ["warning", "info", "info"] == [
        level_of("hsm_breaker", state) for state in ("open", "half_open", "closed")
    ]
    assert ["warning", "info"] == [level_of("link_state", each) for each in ("down", "connected")]
    assert "warning" == level_of("nobody_knows_it")


def sources() -> Iterator[tuple[Path, str]]:
    """The product's own files."""
    for folder in ("switch", "keys", "specs"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name != "log_events.py":
                yield path, path.read_text()


def test_the_code_tells_the_events_of_the_list() -> None:
    """Every event that is told is listed, with its fields; every listed one is told somewhere."""
    texts: set[str] = set()
    for path, text in sources():
        texts.update(re.findall(r'"([a-z_]+)"', text))
        if TOLD.search(text) is None:
            continue
        for call in filter(_is_told, ast.walk(ast.parse(text))):
            assert isinstance(call, ast.Call)
            for event in _texts(call.args[0]):
                where = f"{path.name}:{call.lineno} {event}"
                assert event in EVENTS, where
                given = {each.arg for each in call.keywords if each.arg}
                assert given <= set(EVENTS[event].fields.split()), where
    assert EVENTS.keys() - BUILT <= texts


def _is_told(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    return getattr(node.func, "attr", getattr(node.func, "id", "")) in TELLERS


def _texts(name: ast.expr) -> list[str]:
    """What an event's name is in the code; of a condition both names, of a variable none."""
    if isinstance(name, ast.IfExp):
        return [*_texts(name.body), *_texts(name.orelse)]
    return [name.value] if isinstance(name, ast.Constant) and isinstance(name.value, str) else []


def test_every_event_has_listed_fields() -> None:
    """What an event is said to hold may be logged."""
    for name, event in EVENTS.items():
        assert set(event.fields.split()) <= FIELDS.keys(), name


def test_what_became_of_it() -> None:
    """The page knows what bookings do, and every way in which the ledger is not available; and
    what is approved meanwhile.
    """
    sql = "".join(path.read_text() for path in (ROOT / "switch/ledger/functions").glob("*.sql"))
    done = set(re.findall(r"effect := '(\w+)'", sql))
    assert done | {"stand_in"} == log_page.table_of("`effect`")
    unavailable = {name for name, each in vars(errors).items()
                   if isinstance(each, type) and issubclass(each, LedgerUnavailable)}  # fmt: skip
    assert unavailable <= log_page.table_of("`problem` of a message")


def test_recorded_lines_are_as_documented() -> None:
    """Each line of the recorded log has known fields of their types, an event and a level."""
    lines = [json.loads(line) for line in RECORDED.read_text().splitlines()]
    assert [] == [said for line in lines for said in log_page.problems(line)]
    assert {line["outcome"] for line in lines if line["event"] == "message"} <= log_page.table_of(
        "`outcome`"
    )
    assert {"message", "link_state", "shedding", "shedding_ended", "message_error",
            "database_died", "stopped"} <= {line["event"] for line in lines}  # fmt: skip


def test_what_tail_shows() -> None:
    """The page shows what `switch tail` does of the recorded log."""
    [(words, shown)] = log_page.tails()
    said = typed("tail", str(RECORDED), *words.split())
    assert (0, shown) == (said.exit_code, said.stdout)


@pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq (Debian: apt-get install jq)")
@pytest.mark.parametrize(("recipe", "printed"), log_page.recipes())
def test_a_recipe(recipe: str, printed: str, tmp_path: Path) -> None:
    """What the page shows is what jq prints over the recorded log."""
    (tmp_path / "switch.log").symlink_to(RECORDED)
    said = subprocess.run(
        ["bash", "-o", "pipefail", "-ec", recipe],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        env=os.environ | {"LC_ALL": "C"},
    )  # fmt: skip
    assert (0, "", printed) == (said.returncode, said.stderr, said.stdout)


def test_there_are_recipes() -> None:
    """The page has some, so that the test above tests something."""
    assert len(log_page.recipes()) >= 8
