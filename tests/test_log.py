"""What a log line holds, what it never holds, and that it never makes anybody wait."""

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from switch import log as log_module
from switch.log import (
    TEXT_MAX,
    CanonicalFields,
    LogFieldError,
    LogWriter,
    MessageLog,
    configure,
    describe_error,
    get_logger,
)
from switch.log_fields import FIELDS, passes_luhn, scrub
from switch.log_writer import FLUSH_S
from switch.mask import mask_pan

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


@pytest.mark.parametrize(
    ("pan", "masked"),
    [
        ("4761739001010119",     "47617390****0119"),      # 16: eight of the BIN
        ("4761739001010119123",  "47617390*******9123"),   # 19
        ("374245455400126",      "374245*****0126"),       # 15: six
        ("676770000000",         "676770**0000"),          # 12
        ("67677000000",          "***********"),           # 11: no PAN
        ("47617390010101191234", "*******************"),   # 20: no PAN
        ("4761 7390 0101 0119",  "*******************"),
        ("٤٧٦١٧٣٩٠٠١٠١٠١١٩",     "****************"),
        ("",                     ""),
    ],
)  # fmt: skip
def test_a_masked_pan_shows_the_bin_and_the_last_four(pan: str, masked: str) -> None:
    """More than that is shown of nothing."""
    assert masked == mask_pan(pan)


@given(st.text())
def test_of_what_is_no_pan_nothing_is_shown(text: str) -> None:
    """Garbage in the PAN's place may be anything, a track for one."""
    if not re.fullmatch(r"[0-9]{12,19}", text):
        assert not mask_pan(text).strip("*")


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


def luhn_digit(digits: str) -> str:
    return next(digit for digit in "0123456789" if passes_luhn(digits + digit))


PANS = st.from_regex(r"\A[0-9]{11,18}\Z").map(lambda digits: digits + luhn_digit(digits))
NOT_DIGITS = st.text(st.characters(exclude_characters="0123456789@"))


@given(before=NOT_DIGITS, pan=PANS, after=NOT_DIGITS)
def test_a_pan_in_free_text_is_masked(before: str, pan: str, after: str) -> None:
    """Wherever it stands, its middle is not to be read."""
    assert pan not in scrub(before + pan + after)
    assert mask_pan(pan) in scrub(before + pan + after)


@given(st.text())
def test_text_without_long_numbers_is_left_alone(text: str) -> None:
    """Cleaning changes what looks like a PAN or a password, and nothing else."""
    if not re.search(r"[0-9]{12}|@", text):
        assert text == scrub(text)


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        (f"card {PAN}, ref 476173900101", f"card {MASKED}, ref 476173900101"),
        (f"{PAN}=25122010000012300000",   f"{MASKED}=*******************"),
        ("4761739001010118",              "4761739001010118"),
        ("0" * 20,                        "*" * 19),
        ("postgresql://me:p@ss@db/x",     "postgresql://db/x"),
        ("mail me@example.com",           "mail me@example.com"),
    ],
)  # fmt: skip
def test_free_text_is_cleaned(text: str, scrubbed: str) -> None:
    """Numbers pass where they are no PAN, and are hidden whole where they may hold one."""
    assert scrubbed == scrub(text)


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


def test_a_stream_that_does_not_block_gets_every_line() -> None:
    """Standard output can have been set so by who shares it."""
    reader, stream = os.pipe()
    os.set_blocking(stream, False)
    writer = LogWriter(10_000, stream, lambda count: b"lost %d\n" % count)
    lines = [b"%0999d\n" % number for number in range(300)]
    for line in lines:
        writer.write(line)
    received = b""
    while len(received) < 300_000:
        received += os.read(reader, 4096)
    writer.stop()
    os.close(reader)
    os.close(stream)
    assert b"".join(lines) == received


def test_stopping_waits_only_so_long_for_a_reader() -> None:
    """A reader that is stuck for good does not keep the switch from stopping."""
    reader, stream = os.pipe()
    writer = LogWriter(10_000, stream, lambda count: b"lost %d\n" % count)
    for _ in range(200):
        writer.write(b"x" * 1000)
    began = time.monotonic()
    writer.stop()
    assert FLUSH_S <= time.monotonic() - began < FLUSH_S + 1
    writer.write(b"late\n")
    assert writer.log_dropped_total == 1
    os.close(reader)  # the stuck write fails now, and its thread ends
    writer._thread.join(1)
    os.close(stream)


#: Writes 5,000 lines while its event loop ticks, tells how that went, and stops on a signal.
UNREAD = """
import asyncio, sys, time
from switch.log import MessageLog, configure, get_logger

async def main():
    writer, messages, gap = configure("info", 100), MessageLog(get_logger("flows")), 0.0
    for number in range(5000):
        before = time.monotonic()
        messages.write({"stan": f"{number:06}", "merchant": "CORNER SHOP " * 20})
        await asyncio.sleep(0)
        gap = max(gap, time.monotonic() - before)
        if number % 100 == 0:
            await asyncio.sleep(0.002)
    print(writer.log_dropped_total, gap, file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    writer.stop()

asyncio.run(main())
"""


def test_a_reader_that_is_stuck_stalls_nobody() -> None:
    """A standard output that nobody reads loses lines, counted and told, and no time."""
    with subprocess.Popen(
        [sys.executable, "-c", UNREAD],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        dropped, gap = process.stderr.readline().split()
        process.stdin.write("read now\n")
        process.stdin.close()
        lines = [json.loads(line) for line in process.stdout]
        assert process.wait(10) == 0
    lost = [line["count"] for line in lines if line["event"] == "log_lines_lost"]
    written = [line["stan"] for line in lines if line["event"] == "message"]
    assert int(dropped) > 4000
    assert float(gap) < 1
    assert int(dropped) == sum(lost)
    assert len(written) + sum(lost) == 5000
    assert sorted(written) == written
    assert next(line["level"] for line in lines if line["event"] == "log_lines_lost") == "warning"
