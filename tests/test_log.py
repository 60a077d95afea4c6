"""What a log line holds, and what it never holds."""

import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from switch import log as log_module
from switch.log import (
    TEXT_MAX,
    CanonicalFields,
    LogFieldError,
    MessageLog,
    configure,
    describe_error,
    get_logger,
)
from switch.log_fields import FIELDS

ROOT = Path(__file__).parent.parent
PAN = "4761739001010119"
MASKED = "47617390****0119"

MESSAGE: dict[str, Any] = {
    "link": "demo", "mti": "0100", "stan": "000001", "rrn": "633012000001", "pan": MASKED,
    "amount_minor": 1234, "currency": "978", "mcc": "5411", "merchant": "CORNER SHOP",
    "terminal": "TERM0001", "entry_mode": "051", "reason": "approved", "response_code": "00",
    "authorization_code": "A00001", "repeat": False, "outcome": "sent", "parse_us": 60,
    "find_us": 210, "hsm_us": 40, "ledger_us": 900, "reply_us": 50, "total_us": 1300, "batch": 3,
    "left_ms": 248.5,
}  # fmt: skip


class Output:
    """Lines of a log that goes to a file."""

    def __init__(self, path: Path, level: str, *, strict: bool) -> None:
        self.path = path
        self.stream = path.open("wb")
        self.writer = configure(level, 10_000, self.stream.fileno(), strict=strict)

    def lines(self) -> list[dict[str, Any]]:
        """All lines so far; ends the log."""
        self.writer.stop()
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Callable[..., Output]]:
    """Starts a log of a level, strict or not."""
    started: list[Output] = []

    def start(level: str = "info", *, strict: bool = False) -> Output:
        started.append(Output(tmp_path / f"log{len(started)}", level, strict=strict))
        return started[-1]

    yield start
    for each in started:
        each.writer.stop()
        each.stream.close()


def test_a_message_is_one_line(output: Callable[..., Output]) -> None:
    """Its fields stand as they were given, after time, level and event."""
    log = output(strict=True)
    MessageLog(get_logger("flows")).write(MESSAGE)
    [line] = log.lines()
    stamp = line.pop("time")
    assert line == {"level": "info", "event": "message", "logger": "flows", **MESSAGE}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", stamp)
    assert abs((datetime.now(UTC) - datetime.fromisoformat(stamp)).total_seconds()) < 60


#: Every field of a message's line.
WHOLE: dict[str, Any] = dict.fromkeys(CanonicalFields.__annotations__) | MESSAGE


@pytest.mark.parametrize(
    ("is_short", "changed"),
    [
        (True,  {}),
        (True,  {"merchant": f"SHOP {PAN}"}),
        (True,  {"merchant": "4761 7390 0101 0119"}),
        (True,  {"merchant": None, "pan": None}),
        (True,  {"pan": "***"}),
        (True,  {"left_ms": float("inf")}),
        (False, {"pan": PAN}),
        (False, {"pan": f"{PAN}*"}),
        (False, {"pan": f"*{PAN}"}),
        (False, {"problem": f"x {PAN}"}),
        (False, {"terminal": "T" * 600}),
        (False, {"stan": ["000001"]}),
        (False, {"stan": 1 << 70}),
        (False, {"unlisted": 1}),
        (False, {"error": f"{PAN}"}),
        (False, {"url": "postgresql://u:p@h/"}),
    ],
)  # fmt: skip
def test_the_short_way_of_a_message_writes_what_the_long_way_does(
    output: Callable[..., Output],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_short: bool,
    changed: dict[str, Any],
) -> None:
    """`MessageLog` leaves out structlog's chain, and nothing else: no PAN comes through it."""
    log, admitted = output(), []
    admit = log_module._admit

    def noted(*about: Any) -> Any:
        admitted.append(about)
        return admit(*about)

    monkeypatch.setattr(log_module, "_admit", noted)
    MessageLog(get_logger("flows")).write(WHOLE | changed)
    assert is_short == (not admitted)
    get_logger("flows").info("message", **(WHOLE | changed))
    short, long = log.lines()
    assert short | {"time": ""} == long | {"time": ""}
    assert PAN not in log.path.read_text()


def test_no_text_of_a_short_line_is_too_long(output: Callable[..., Output]) -> None:
    """A line of all fields and one text that must be cut is never short, however empty the rest."""
    log = output()
    empty = dict.fromkeys(CanonicalFields.__annotations__)
    least = dict(list(empty.items())[:23])
    for fields in (empty, least):
        MessageLog(get_logger("f")).write(fields | {"terminal": "T" * (TEXT_MAX + 1)})
    assert {TEXT_MAX} == {len(line["terminal"]) for line in log.lines()}


def test_every_field_says_what_it_means() -> None:
    """The list of fields is documentation too."""
    assert all(meaning for meaning in FIELDS.values())
    assert not {"time", "level", "event"} & FIELDS.keys()
    assert MESSAGE.keys() <= FIELDS.keys()


@pytest.mark.parametrize("name", ["card_number", "track_2_data", "pin_block", "data", "level"])
def test_an_unlisted_field_is_not_written(name: str, output: Callable[..., Output]) -> None:
    """A PAN under a wrong name is left out, and counted."""
    log = output()
    get_logger("flows").info("message", stan="000001", **{name: PAN})
    [line] = log.lines()
    assert line["stan"] == "000001"
    assert PAN not in json.dumps(line)
    assert log.writer.log_fields_dropped_total == 1


@pytest.mark.parametrize(
    "value",
    [b"\x12\x34", ["a"], {"a": 1}, pytest.param(object(), id="object"), 2**64, "\ud800"],
    ids=repr,
)
def test_a_value_is_a_text_a_number_a_truth_value_or_null(
    value: object, output: Callable[..., Output]
) -> None:
    """Bytes could be anything, so they are no value; the rest of the line is written."""
    log = output()
    get_logger("flows").info("message", stan=value, rrn=None, repeat=True, seconds=0.5)
    [line] = log.lines()
    assert "stan" not in line
    assert (line["rrn"], line["repeat"], line["seconds"]) == (None, True, 0.5)
    assert log.writer.log_fields_dropped_total == 1


def test_an_event_is_a_name(output: Callable[..., Output]) -> None:
    """A sentence with values in it is not written."""
    log = output()
    get_logger("flows").info(f"declined {PAN}")
    get_logger("flows").info("declined %s", PAN)
    assert [line["event"] for line in log.lines()] == ["unnamed", "unnamed"]
    assert PAN not in log.path.read_text()


@pytest.mark.parametrize(
    ("event", "fields"),
    [("message", {"card_number": PAN}), ("message", {"stan": b"1"}), (PAN, {})],
)
def test_strict_mode_raises_what_is_otherwise_left_out(
    event: str, fields: dict[str, Any], output: Callable[..., Output]
) -> None:
    """Tests find the mistake; the error does not repeat the value."""
    log = output(strict=True)
    with pytest.raises(LogFieldError) as caught:
        get_logger("flows").info(event, **fields)
    assert PAN not in str(caught.value)
    assert log.lines() == []


def test_a_clear_pan_is_masked_in_its_own_field(output: Callable[..., Output]) -> None:
    """A caller that forgot to mask harms nobody."""
    log = output()
    for pan in (PAN, MASKED, f"*{PAN}", PAN + "=2512"):
        get_logger("flows").info("message", pan=pan)
    assert [line["pan"] for line in log.lines()] == [MASKED, MASKED, "*" + MASKED, "*" * 19]


def test_long_texts_are_cut(output: Callable[..., Output]) -> None:
    """A text is cut after it was cleaned, so that no part of a PAN is left at its end."""
    log = output()
    get_logger("flows").info("message", stan="9" * 5000, error="x" * 500 + " " + PAN)
    [line] = log.lines()
    assert len(line["stan"]) == 512
    assert line["error"] == "x" * 500 + " 47617390***"


def test_levels_below_the_configured_one_are_not_written(output: Callable[..., Output]) -> None:
    """A logger made before follows the level that is configured later."""
    log = get_logger("flows")
    first = output("warning")
    MessageLog(log).write(MESSAGE)
    log.info("link_up")
    log.warning("link_down")
    assert [line["event"] for line in first.lines()] == ["link_down"]
    second = output("debug")
    log.debug("link_up")
    assert [line["event"] for line in second.lines()] == ["link_up"]


def test_a_url_shows_neither_user_nor_options(output: Callable[..., Output]) -> None:
    """A password can stand in both."""
    log = output()
    get_logger("app").info("starting", url="postgresql://me:hunter2@db:5432/x?password=hunter2")
    [line] = log.lines()
    assert line["url"] == "postgresql://db:5432/x"


class OursError(Exception):
    """An error of a package of ours."""


OursError.__module__ = "switch.ledger.errors"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OursError("connection lost"),         "OursError: connection lost"),
        (ValueError(PAN),                      "ValueError"),
        (ConnectionRefusedError(111, PAN),     "ConnectionRefusedError: ECONNREFUSED"),
        (OSError(PAN),                         "OSError"),
    ],
)  # fmt: skip
def test_an_error_is_told_by_its_type(error: Exception, told: str) -> None:
    """Only our own messages are known to hold no value."""
    assert told == describe_error(error)


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_traceback_names_places_and_only_at_debug(
    level: str, output: Callable[..., Output]
) -> None:
    """Neither messages of others nor local variables are written."""
    log = output(level)
    try:
        int(PAN + "x")
    except ValueError as error:
        get_logger("flows").exception("fault")
        get_logger("flows").error("fault", exc_info=error)
    lines = log.lines()
    assert [(line["level"], line["error"]) for line in lines] == [("error", "ValueError")] * 2
    assert [level == "debug"] * 2 == ["traceback" in line for line in lines]
    assert PAN not in log.path.read_text()
    if level == "debug":
        assert re.match(r"test_log\.py:\d+ test_a_traceback", lines[0]["traceback"])


def test_libraries_are_told_by_their_first_words(output: Callable[..., Output]) -> None:
    """asyncio prints a failed callback with its arguments, and those can be a message."""
    log = output()
    told = f"Exception in callback received('{PAN}')"
    logging.getLogger("asyncio").error(told, exc_info=ValueError(PAN))
    logging.getLogger("asyncio").info("not told")
    [line] = log.lines()
    assert (line["event"], line["level"], line["library"]) == (
        "library_message",
        "error",
        "asyncio",
    )
    assert (line["problem"], line["error"]) == ("Exception in callback received", "ValueError")
    assert PAN not in log.path.read_text()


def test_a_closed_stream_stops_nobody(output: Callable[..., Output]) -> None:
    """Lines that nobody can read any more are lost and counted."""
    reader, stream = os.pipe()
    os.close(reader)
    writer = configure("info", 100, stream)
    MessageLog(get_logger("flows")).write(MESSAGE)
    writer.stop()
    os.close(stream)
    assert writer.log_dropped_total == 1
