"""
The log: one JSON line per message and per event, on standard output.

A line holds the fields listed in `log_fields` and no others, each a text, a
number, a truth value or null. An error is told by its type, with its message
only where the message is ours: those of libraries repeat values. Writing never
waits (`log_writer`). Before `configure` nothing is written.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from switch.log_fields import CLEANERS, FIELDS, CanonicalFields, scrub
from switch.log_writer import LogWriter

__all__ = [
    "CanonicalFields",
    "LogFieldError",
    "LogWriter",
    "MessageLog",
    "configure",
    "get_logger",
    "listen",
    "lost_line",
]

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
#: Characters of a text, after which it is cut.
TEXT_MAX = 512
#: Frames of a traceback, from where it was raised.
FRAMES_MAX = 8
#: Packages whose exceptions name fields and never values.
OURS = ("switch", "specs", "keys")

#: A message's line has so many fields at least, and their names alone take more than a short line
#: has room for beside a text of `TEXT_MAX`: no text in it is too long.
_WHOLE_LINE = 23
_SHORT_LINE = 800
#: A PAN as `mask_pan` leaves it.
_MASKED = re.compile(r"(?:[0-9]{6}|[0-9]{8})\*{2,}[0-9]{4}|\**")

_EVENT = re.compile(r"[a-z_]{1,64}")
_WORDS = re.compile(r"[A-Za-z ,.'_-]*")
_SCALARS = frozenset({str, int, float, bool, type(None)})


class LogFieldError(ValueError):
    """A log line was given what it may not hold. Raised only in strict mode, by tests."""


_CANONICAL = frozenset(CanonicalFields.__annotations__)


@dataclass(slots=True)
class _Output:
    """Where lines go now, and from which level on."""

    writer: LogWriter | None = None
    rank: int = LEVELS["info"]
    strict: bool = False
    listener: Callable[[bytes], None] | None = None

    def put(self, line: bytes) -> None:
        if self.writer is not None:
            self.writer.write(line)
        if self.listener is not None:
            self.listener(line)

    # The names by which structlog hands over a line.
    debug = info = warning = error = critical = put


_output = _Output()


def configure(level: str, queue_max: int, stream_fd: int = 1, *, strict: bool = False) -> LogWriter:
    """Write lines of `level` and above to a descriptor from now on; the app stops the writer.

    `queue_max` lines wait for a slow reader. Where `strict`, a refused field
    raises `LogFieldError`; otherwise it is left out and counted. Warnings of
    libraries go the same way.
    """
    _output.writer = LogWriter(queue_max, stream_fd, lost_line)
    _output.rank = LEVELS[level]
    _output.strict = strict
    root = logging.getLogger()
    if _libraries not in root.handlers:
        root.addHandler(_libraries)
    return _output.writer


def listen(listener: Callable[[bytes], None] | None) -> None:
    """Give every line to one listener too, in the thread that writes it; None ends that."""
    _output.listener = listener


def get_logger(name: str) -> FilteringBoundLogger:
    """A logger whose lines carry this name. Events are lower case words: `link_up`."""
    logger = structlog.wrap_logger(_output, PROCESSORS, _METHODS, context_class=dict)
    return cast("FilteringBoundLogger", logger.bind(logger=name))


class MessageLog:
    """Writes the one line of each message, as `log.info("message", …)` would, for a third of it.

    A line of common length needs the cleaning of one text and nothing else: its fields are listed,
    and none is too long. Any other goes the way of all lines.
    """

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._head = {"level": "info", "event": "message", **structlog.get_context(log)}

    def write(self, fields: Mapping[str, Any]) -> None:
        """Write a line of `CanonicalFields`."""
        if _output.rank > LEVELS["info"]:
            return
        text = self._short(fields)
        if text is None:
            event = {"event": "message", **structlog.get_context(self._log), **fields}
            text = _render(self._log, "info", _admit(self._log, "info", event))
        _output.put(text)

    def _short(self, fields: Mapping[str, Any]) -> bytes | None:
        """The line, where its merchant is all that may have to be cleaned."""
        if len(fields) < _WHOLE_LINE or not fields.keys() <= _CANONICAL:
            return None
        if not _SCALARS.issuperset(map(type, fields.values())):
            return None
        pan, merchant = fields.get("pan"), fields.get("merchant")
        if fields.get("problem") is not None or not (pan is None or _MASKED.fullmatch(pan)):
            return None
        line = {"time": _now(), **self._head, **fields}
        if merchant is not None:
            line["merchant"] = scrub(merchant)
        try:
            text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            return None
        return text if len(text) < _SHORT_LINE else None


def describe_error(error: BaseException) -> str:
    """An error's type; with its message where we wrote it, with its errno where it has one."""
    kind = type(error)
    if kind.__module__.partition(".")[0] in OURS:
        return f"{kind.__name__}: {error}"
    number = error.errno if isinstance(error, OSError) else None
    if number is not None and number in errno.errorcode:
        return f"{kind.__name__}: {errno.errorcode[number]}"
    return kind.__name__


# The way of one line, in order.


def _keep_level(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    if LEVELS[method] < _output.rank:
        raise structlog.DropEvent
    return event


def _name_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    if not given:
        return event
    if isinstance(given, tuple):
        given = given[1]
    error = given if isinstance(given, BaseException) else sys.exc_info()[1]
    if error is not None:
        event["error"] = describe_error(error)
        if _output.rank == LEVELS["debug"]:
            event["traceback"] = _places(error)
    return event


def _places(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_MAX:]
    places = (f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[::-1])
    return " < ".join(places)


def _admit(_: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """The line: its head, then the given fields that may be written."""
    line: EventDict = {"time": _now(), "level": method, "event": _event_name(event.pop("event"))}
    # Whole sets are compared at once: a line has twenty fields, and most are in order.
    if not (event.keys() <= FIELDS.keys() and _SCALARS.issuperset(map(type, event.values()))):
        event = {name: value for name, value in event.items() if _is_allowed(name, value)}
    for name in CLEANERS.keys() & event.keys():
        if isinstance(event[name], str):
            event[name] = CLEANERS[name](event[name])
    for name, value in event.items():
        if type(value) is str and len(value) > TEXT_MAX:
            event[name] = value[:TEXT_MAX]
    line.update(event)
    return line


def _is_allowed(name: str, value: Any) -> bool:
    if name in FIELDS and type(value) in _SCALARS:
        return True
    _refuse(name)
    return False


def _event_name(event: Any) -> str:
    # A sentence with values in it is no event.
    if isinstance(event, str) and _EVENT.fullmatch(event):
        return event
    _refuse("event")
    return "unnamed"


def _refuse(name: str) -> None:
    if _output.strict:
        raise LogFieldError(f"{name} may not be logged so")
    if _output.writer is not None:
        _output.writer.log_fields_dropped_total += 1


def _render(_: WrappedLogger, __: str, event: Mapping[str, Any]) -> bytes:
    # In the caller: 0.6 µs, and the writing thread then hardly holds the interpreter.
    try:
        return orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        # A number beyond 64 bits or a broken text: that field is refused, not the line.
        sound = {name: value for name, value in event.items() if _is_json(name, value)}
        return orjson.dumps(sound, option=orjson.OPT_APPEND_NEWLINE)


def _is_json(name: str, value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        _refuse(name)
        return False
    return True


def _now() -> str:
    """UTC, ISO 8601 with microseconds."""
    second, microsecond = divmod(time.time_ns() // 1_000, 1_000_000)
    return f"{_second(second)}.{microsecond:06d}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def lost_line(count: int) -> bytes:
    """The line that tells a reader how many lines are missing before it."""
    head = {"time": _now(), "level": "warning", "event": "log_lines_lost"}
    return _render(None, "warning", head | {"logger": "log", "count": count})


PROCESSORS: list[Processor] = [_keep_level, _name_error, _admit, _render]
_METHODS = structlog.make_filtering_bound_logger(LEVELS["debug"])
# Whoever asks structlog itself for a logger gets the same lines.
structlog.configure(
    processors=PROCESSORS, wrapper_class=_METHODS, logger_factory=lambda *_: _output
)


class _Libraries(logging.Handler):
    """Warnings that libraries log, by their first plain words.

    asyncio prints the arguments of a failed callback, and those can be a message.
    """

    def emit(self, record: logging.LogRecord) -> None:
        words = _WORDS.match(str(record.msg))
        tell = _log.error if record.levelno >= logging.ERROR else _log.warning
        tell(
            "library_message",
            library=record.name,
            problem=words[0].strip() if words else "",
            exc_info=record.exc_info,
        )


_log = get_logger("log")
_libraries = _Libraries(logging.WARNING)
