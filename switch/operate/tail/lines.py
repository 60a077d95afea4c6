"""From bytes to the lines of a log, without I/O."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

#: A line longer than this is none of ours. It is cut there, so that a file without line ends costs
#: no more memory than this.
LINE_MAX = 64 * 1024


class Entry(NamedTuple):
    """One line of a log."""

    raw: bytes  #: without its line end
    fields: dict[str, Any] | None  #: None where it is no line of ours

    @property
    def is_message(self) -> bool:
        """The line of a message, not of an event."""
        return self.fields is not None and self.fields["event"] == "message"


def parse(raw: bytes) -> Entry:
    """A line as it came. Ours are JSON objects with an event."""
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Entry(raw, None)
    is_ours = isinstance(fields, dict) and isinstance(fields.get("event"), str)
    return Entry(raw, fields if is_ours else None)


class Lines:
    """Takes bytes, gives whole lines, however the bytes are split. Blank ones are left out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that are whole now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_MAX:
            lines.append(self.end())
        return [line[:LINE_MAX] for line in map(bytes.rstrip, lines) if line]

    def end(self) -> bytes:
        """The half line that is left; empty where there is none."""
        rest, self._rest = self._rest, b""
        return rest[:LINE_MAX].rstrip()


class ServerSentEvents:
    """Takes the bytes of an event stream, gives what stands after `data:`, one line an event.

    The switch writes one line of data for each event, so that names, ids and times to wait, which
    the format has too, are left out as comments are.
    """

    def __init__(self) -> None:
        self._lines = Lines()

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the lines that are whole now."""
        lines = self._lines.feed(data)
        return [line[5:].strip() for line in lines if line.startswith(b"data:")]
